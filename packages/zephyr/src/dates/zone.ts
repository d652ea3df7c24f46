/** A moment taken apart in some zone. Months count from 1, weekdays from 0 = Sunday. */
export interface Moment {
  /** UNIX milliseconds. */
  readonly at: number
  readonly year: number
  readonly month: number
  readonly day: number
  readonly weekday: number
  readonly hour: number
  readonly minute: number
  readonly second: number
  readonly millisecond: number
  /** East of UTC, in minutes. */
  readonly offset: number
}

export const DAY = 86_400_000
const QUARTER = 900_000
const FARTHEST = 8.64e15

interface Zone {
  readonly format: Intl.DateTimeFormat
  /** Offset in minutes by quarter of an hour: no zone changes its offset within one. */
  readonly offsets: Map<number, number>
}

const zones = new Map<string, Zone | null>()

/** Whether the runtime knows a zone name. */
export function isTimeZone(name: string): boolean {
  return zoneOf(name) !== null
}

function zoneOf(name: string): Zone | null {
  const known = zones.get(name)
  if (known !== undefined) return known
  let zone: Zone | null = null
  try {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
    zone = { format, offsets: new Map() }
  } catch {
    // Not a zone: UTC is used. The caller checks settings when they are made.
  }
  if (zones.size > 1000) zones.clear()
  zones.set(name, zone)
  return zone
}

/** Minutes east of UTC at a moment given in UNIX milliseconds. */
export function offsetAt(at: number, timeZone: string): number {
  if (timeZone === 'UTC') return 0
  const zone = zoneOf(timeZone)
  if (zone === null) return 0
  const quarter = Math.floor(at / QUARTER)
  const known = zone.offsets.get(quarter)
  if (known !== undefined) return known
  const parts: Record<string, string> = {}
  for (const { type, value } of zone.format.formatToParts(quarter * QUARTER)) parts[type] = value
  const year = parts.era === 'BC' ? 1 - Number(parts.year) : Number(parts.year)
  const local = utc(
    year,
    Number(parts.month),
    Number(parts.day),
    Number(parts.hour),
    Number(parts.minute),
    Number(parts.second),
  )
  const offset = Math.round((local - quarter * QUARTER) / 1000) / 60
  if (zone.offsets.size > 10_000) zone.offsets.clear()
  zone.offsets.set(quarter, offset)
  return offset
}

/** UNIX milliseconds of a UTC date; unlike `Date.UTC` it takes years below 100 as they are. */
export function utc(year: number, month: number, day: number, hour = 0, minute = 0, second = 0, ms = 0): number {
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  return date.getTime() + hour * 3_600_000 + minute * 60_000 + second * 1000 + ms
}

/** Takes a moment apart; `null` beyond what dates can say. */
export function momentAt(at: number, timeZone: string): Moment | null {
  if (!(Math.abs(at) <= FARTHEST - 2 * DAY)) return null
  const offset = offsetAt(at, timeZone)
  const local = new Date(at + offset * 60_000)
  return {
    at,
    year: local.getUTCFullYear(),
    month: local.getUTCMonth() + 1,
    day: local.getUTCDate(),
    weekday: local.getUTCDay(),
    hour: local.getUTCHours(),
    minute: local.getUTCMinutes(),
    second: local.getUTCSeconds(),
    millisecond: local.getUTCMilliseconds(),
    offset,
  }
}

/**
 * UNIX milliseconds of a wall-clock time, given as if it were UTC. A time skipped in spring moves forward,
 * one that happens twice in autumn is the first of the two.
 */
export function fromLocal(local: number, timeZone: string): number {
  const before = local - offsetAt(local - DAY, timeZone) * 60_000
  if (before + offsetAt(before, timeZone) * 60_000 === local) return before
  const after = local - offsetAt(local + DAY, timeZone) * 60_000
  return after + offsetAt(after, timeZone) * 60_000 === local ? after : before
}

/** Abbreviations are kept by region: American English knows EST, British English knows CEST. */
const LOCALES = ['en-US', 'en-GB', 'en-AU', 'en-CA', 'en-IN', 'en-ZA', 'en-NZ']
const names = new Map<string, Intl.DateTimeFormat>()

/** Name of the zone at a moment: `EST`, or `Eastern Standard Time`. */
export function zoneName(at: number, timeZone: string, long: boolean): string {
  const quarter = Math.floor(at / QUARTER)
  if (last.quarter === quarter && last.timeZone === timeZone && last.long === long) return last.name
  const name = namedAt(at, timeZone, long)
  last = { quarter, timeZone, long, name }
  return name
}

/** The name that was asked for last: a pattern may want it many times. */
let last = { quarter: Number.NaN, timeZone: '', long: false, name: '' }

function namedAt(at: number, timeZone: string, long: boolean): string {
  const zone = isTimeZone(timeZone) ? timeZone : 'UTC'
  const first = nameIn('en-US', at, zone, long)
  if (long || !/^GMT[+-]/.test(first)) return first
  return LOCALES.map((locale) => nameIn(locale, at, zone, false)).find((name) => !/^GMT[+-]/.test(name)) ?? first
}

function nameIn(locale: string, at: number, timeZone: string, long: boolean): string {
  const key = `${locale} ${timeZone} ${long}`
  let format = names.get(key)
  if (format === undefined) {
    format = new Intl.DateTimeFormat(locale, { timeZone, timeZoneName: long ? 'long' : 'short' })
    if (names.size > 1000) names.clear()
    names.set(key, format)
  }
  return format.formatToParts(at).find((part) => part.type === 'timeZoneName')?.value ?? timeZone
}
