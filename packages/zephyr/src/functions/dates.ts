import { formatDate } from '../dates/pattern.ts'
import { readTime } from '../dates/read.ts'
import { momentAt } from '../dates/zone.ts'
import type { Run } from '../run.ts'
import { show } from '../text.ts'
import { NONE, toNumber, typeName, type Value } from '../values.ts'
import { type Arg, type Definition, define } from './definition.ts'

const DEFAULT_FORMAT = 'MMMM d, yyyy'

export function nowOf(run: Run): number {
  return run.env.now ?? Math.floor(Date.now() / 1000)
}

function date(run: Run, format: Arg, timestamp: Arg): Value {
  const pattern = format === undefined || format === null || format === '' ? DEFAULT_FORMAT : show(run, format)
  const seconds = timestamp === undefined ? (run.env.sendTime ?? nowOf(run)) : secondsOf(run, timestamp)
  if (seconds === null) return ''
  // Names of zones and of days take their time.
  run.burn(4096)
  const zone = run.env.timeZone ?? 'UTC'
  const moment = momentAt(Math.round(seconds * 1000), zone)
  return moment === null ? '' : formatDate(pattern, moment, zone)
}

/** A moment as number, numeric text or anything `time()` reads. */
function secondsOf(run: Run, value: Value): number | null {
  if (value === null || value === NONE || value === '' || typeof value === 'boolean') return null
  const n = toNumber(value)
  if (!Number.isNaN(n)) return n
  if (typeName(value) !== 'string') return null
  run.burn(4096)
  return readTime(show(run, value), nowOf(run), run.env.timeZone ?? 'UTC')
}

function time(run: Run, text: Arg, base: Arg): Value {
  const zone = run.env.timeZone ?? 'UTC'
  const from = base === undefined ? nowOf(run) : (secondsOf(run, base) ?? nowOf(run))
  if (text === undefined) return from
  if (text === null) return null
  const type = typeName(text)
  if (type === 'number') return toNumber(text)
  run.spend(200)
  run.burn(4096)
  return type === 'string' ? readTime(show(run, text), from, zone) : null
}

export const dateFunctions: Definition[] = [
  define('date([format [, timestamp]])', 0, date),
  define('time([text [, base]])', 0, time, { taint: 'clears' }),
]
