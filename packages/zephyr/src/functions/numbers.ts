import type { Run } from '../run.ts'
import { hasTaint, show } from '../text.ts'
import { finite, Rounded, Tainted, toInteger, toNumber, toNumberOr, typeName, type Value } from '../values.ts'
import { decimalPattern, formatDecimal, withCommas } from './decimal.ts'
import { type Arg, type Definition, define } from './definition.ts'

function number(run: Run, x: Arg, precision: Arg): Value {
  const value = x ?? null
  const n = typeof value === 'string' && value.trim() === '' ? Number.NaN : toNumber(value)
  if (Number.isNaN(n)) return ''
  // Any text with a digit place in it is a pattern, '000' too; '2' can only be meant as a precision.
  const isPattern = typeName(precision ?? null) === 'string' && /[#0]/.test(show(run, precision))
  if (!isPattern) return withCommas(n, Math.max(0, Math.min(20, toInteger(precision, 0))))
  const pattern = decimalPattern(show(run, precision))
  const text = pattern === null ? withCommas(n, 0) : formatDecimal(n, pattern)
  return run.tainting && hasTaint(run, precision) ? new Tainted(text) : text
}

function compare(run: Run, a: Arg, b: Arg): Value {
  const x = a ?? null
  const y = b ?? null
  const texts = typeName(x) === 'string' && typeName(y) === 'string'
  const n = toNumber(x)
  const m = toNumber(y)
  if (!texts && !Number.isNaN(n) && !Number.isNaN(m)) return n < m ? -1 : n > m ? 1 : 0
  const left = show(run, x)
  const right = show(run, y)
  const shorter = Math.min(left.length, right.length)
  run.spend(shorter)
  for (let i = 0; i < shorter; i++) {
    const difference = left.charCodeAt(i) - right.charCodeAt(i)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}

function random(run: Run, limit: Arg): Value {
  if (limit === undefined) return run.random.next()
  const n = toInteger(limit, 0)
  const drawn = run.random.next()
  return n > 0 ? Math.floor(drawn * n) : 0
}

const EARTH_MILES = 3958.7613
const EARTH_KILOMETRES = 6371.0088

/** Great-circle distance between two places in degrees. */
function distance(run: Run, lat1: Arg, lon1: Arg, lat2: Arg, lon2: Arg, units: Arg): Value {
  const radians = (value: Arg) => (toNumber(value ?? null) * Math.PI) / 180
  const a = radians(lat1)
  const b = radians(lat2)
  const h = Math.sin((b - a) / 2) ** 2 + Math.cos(a) * Math.cos(b) * Math.sin((radians(lon2) - radians(lon1)) / 2) ** 2
  const radius = show(run, units).slice(0, 1).toLowerCase() === 'k' ? EARTH_KILOMETRES : EARTH_MILES
  return finite(2 * radius * Math.asin(Math.min(1, Math.sqrt(h))))
}

/** A numeric argument of which the unreadable gives `null`. */
function calculated(x: Arg, calculate: (n: number) => number): Value {
  const n = toNumber(x ?? null)
  return Number.isNaN(n) ? null : finite(calculate(n) + 0)
}

const CLEARS = { taint: 'clears' } as const

export const numberFunctions: Definition[] = [
  define('number(x [, precision])', 1, number, { taint: 'carries' }),
  define('int(x)', 1, (_run, x) => toInteger(x, 0), CLEARS),
  define(
    'round(x)',
    1,
    (_run, x) => {
      const n = toNumber(x ?? null)
      return Number.isFinite(n) ? new Rounded(Math.round(n) + 0) : null
    },
    CLEARS,
  ),
  define('abs(x)', 1, (_run, x) => calculated(x, Math.abs), CLEARS),
  define('sqrt(x)', 1, (_run, x) => calculated(x, Math.sqrt), CLEARS),
  define('exp(value, power)', 2, (_run, x, y) => finite(toNumberOr(x, 0) ** toNumberOr(y, 0)), CLEARS),
  define('random([limit])', 0, random, CLEARS),
  define('compare(a, b)', 2, compare, CLEARS),
  define('distance(lat1, lon1, lat2, lon2 [, units])', 4, distance, CLEARS),
  define('type(x)', 1, (_run, x) => typeName(x ?? null), CLEARS),
]
