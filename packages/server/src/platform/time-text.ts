import { DateTime, IANAZone } from 'luxon'
import { abbreviatedZones } from './zone-names.ts'

/**
 * Time as people and PHP programs write it: a reader for the texts that PHP's strtotime takes, and the RFC 2822 form
 * in which times are given back.
 *
 * The text is cut into pieces, each known by its shape, and each piece fills in its part of a `Reading`. What is
 * missing comes from the present moment in the text's own zone, or the account's when it names none.
 */

interface Reading {
  date: { year: number | null; month: number; day: number } | null
  /** Hour, minute, second, millisecond. */
  time: [number, number, number, number] | null
  /** A day was named by a word such as "tomorrow", which begins at midnight. */
  dayNamed: boolean
  zone: IANAZone | { offsetMinutes: number } | null
  /** A day named alone, as in "next monday": 0 Sunday … 6, and how many of them ahead. */
  weekday: { day: number; steps: -1 | 0 | 1 } | null
  shift: Record<'year' | 'month' | 'day' | 'millisecond', number>
  /** "first day of" and "last day of" the month that is reached in the end. */
  edge: 'first' | 'last' | null
}

type Groups = Record<string, string | undefined>
/** Takes a piece into the reading; false when the piece cannot stand there. */
type Take = (groups: Groups, reading: Reading) => boolean

const LONGEST_TEXT = 200

/**
 * Understands a time.
 * @param text as received; 9 to 11 digits, or any number after `@`, are Unix seconds
 * @param now what "tomorrow" and missing parts refer to
 * @param zone IANA name of the zone for texts that name none
 * @returns null when the text is not understood, or no calendar has such a day
 */
export function parseTimeText(text: string, now: Date, zone: string): Date | null {
  const trimmed = text.trim()
  if (trimmed === '' || trimmed.length > LONGEST_TEXT) return null
  const unix = /^(?:@(-?\d{1,12}(?:\.\d{1,6})?)|(\d{9,11}))$/.exec(trimmed)
  if (unix) return valid(new Date(Number(unix[1] ?? unix[2]) * 1000))
  const reading = read(trimmed)
  return reading && resolve(reading, now, zone)
}

function read(text: string): Reading | null {
  const reading: Reading = {
    date: null,
    time: null,
    dayNamed: false,
    zone: null,
    weekday: null,
    shift: { year: 0, month: 0, day: 0, millisecond: 0 },
    edge: null,
  }
  let position = 0
  let said = false
  scan: while (position < text.length) {
    for (const [shape, take] of pieces) {
      shape.lastIndex = position
      const match = shape.exec(text)
      if (match && match[0] !== '' && take(match.groups ?? {}, reading)) {
        position = shape.lastIndex
        said ||= take !== skip && take !== takeOffset && take !== takeZoneName
        continue scan
      }
    }
    return null
  }
  return said ? reading : null
}

// Shapes

const MONTH_NAMES = 'jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec'.split('|')
const DAY_NAMES = 'sun|mon|tue|wed|thu|fri|sat'.split('|')
const ORDINALS = 'first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth'.split('|')

const MONTH =
  '(?<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)(?![a-z])\\.?'
const WEEKDAY =
  '(?<weekday>sun(?:day)?|mon(?:day)?|tue(?:s|sday)?|wed(?:s|nesday)?|thu(?:r|rs|rsday)?|fri(?:day)?|sat(?:urday)?)\\b'
const DAY = '(?<day>0?[1-9]|[12]\\d|3[01])(?:st|nd|rd|th)?'
const UNIT = '(?<unit>msec|millisecond|sec|second|min|minute|hour|day|fortnight|forthnight|week|month|year)s?\\b'
const GAP = '[\\s,.-]*'
/** What may follow a piece of digits: nothing that would make it a different number. */
const END = '(?![\\d:])'

const piece = (shape: string, take: Take): [RegExp, Take] => [new RegExp(shape, 'iy'), take]

/** In order of preference: longer and stricter shapes first. */
const pieces: [RegExp, Take][] = [
  piece('[\\s,;]+', skip),
  piece('\\([^()]*\\)', skip),

  piece(`(?<year>\\d{4})-(?<month>\\d{1,2})-(?<day>\\d{1,2})(?!\\d)`, takeDate),
  piece(`(?<year>\\d{4})/(?<month>\\d{1,2})/(?<day>\\d{1,2})${END}`, takeDate),
  piece(`(?<month>\\d{1,2})/(?<day>\\d{1,2})/(?<year>\\d{4}|\\d{2})${END}`, takeDate),
  piece(`(?<month>\\d{1,2})/(?<day>\\d{1,2})(?![\\d:/])`, takeDate),
  piece(`(?<day>\\d{1,2})[.-](?<month>\\d{1,2})[.-](?<year>\\d{4})${END}`, takeDate),
  piece(`(?<year>\\d{4})(?<month>\\d\\d)(?<day>\\d\\d)(?!\\d)`, takeDate),
  piece(`${DAY}${GAP}${MONTH}${GAP}(?<year>\\d{4}|\\d{2})${END}(?!\\s?[ap]\\.?m\\b)`, takeDate),
  piece(`${DAY}${GAP}${MONTH}`, takeDate),
  piece(`(?<year>\\d{4})${GAP}${MONTH}${GAP}${DAY}${END}`, takeDate),
  piece(`${MONTH}${GAP}${DAY}${END}(?!\\s?[ap]\\.?m\\b)(?:[\\s,.-]+(?<year>\\d{4})${END})?`, takeDate),
  piece(`${MONTH}${GAP}(?<year>\\d{4})${END}`, takeDate),

  piece(
    't?(?<hour>\\d{1,2})(?::(?<minute>\\d\\d)(?::(?<second>\\d\\d)(?:[.,](?<fraction>\\d+))?)?)?\\s?(?<half>[ap])\\.?m\\b\\.?',
    takeTime,
  ),
  piece('t?(?<hour>\\d{1,2}):(?<minute>\\d\\d)(?::(?<second>\\d\\d)(?:[.,](?<fraction>\\d+))?)?(?![\\d:])', takeTime),
  piece('t(?<hour>\\d\\d)(?<minute>\\d\\d)(?<second>\\d\\d)?(?!\\d)', takeTime),

  piece(`(?<edge>first|last) day of`, (groups, reading) => {
    reading.edge = groups.edge?.toLowerCase() as 'first' | 'last'
    return true
  }),
  piece(`(?<number>next|last|previous|this)\\s+${WEEKDAY}`, takeWeekday),
  piece(WEEKDAY, takeWeekday),
  piece(`(?<sign>[+-][\\s+-]*)?(?<number>\\d{1,9})\\s*${UNIT}(?<ago>\\s+ago\\b)?`, takeShift),
  piece(`(?<number>next|last|previous|this|an?|${ORDINALS.join('|')})\\s+${UNIT}(?<ago>\\s+ago\\b)?`, takeShift),
  piece('(?<word>now|today|midnight|noon|tomorrow|yesterday)\\b', takeWord),

  piece('(?:gmt|utc)?(?<sign>[+-])(?<hour>\\d{1,2})(?::?(?<minute>\\d\\d))?(?![\\d:])', takeOffset),
  piece('(?<name>[a-z]+(?:[_+-][a-z0-9]+)*(?:/[a-z0-9]+(?:[_+-][a-z0-9]+)*)+)', takeZoneName),
  piece('(?<name>[a-z]+)\\b', takeZoneName),
  piece(`(?<year>\\d{4})${END}`, takeYear),
]

// What each piece means

function skip(): boolean {
  return true
}

function takeDate(groups: Groups, reading: Reading): boolean {
  if (reading.date) return false
  const month = /\d/.test(groups.month ?? '') ? Number(groups.month) : MONTH_NAMES.indexOf(prefix(groups.month)) + 1
  const year = groups.year === undefined ? null : fullYear(groups.year)
  const day = groups.day === undefined ? 1 : Number(groups.day)
  if (month < 1 || month > 12 || day < 1 || day > 31) return false
  reading.date = { year, month, day }
  return true
}

/** RFC 2822 §4.3, with PHP's boundary: 70–99 are of the last century. */
const fullYear = (digits: string) => Number(digits) + (digits.length > 2 ? 0 : Number(digits) < 70 ? 2000 : 1900)

/** A year that stands after time and zone, as Java's `Date.toString()` writes it. */
function takeYear(groups: Groups, reading: Reading): boolean {
  if (!reading.date || reading.date.year !== null) return false
  reading.date.year = Number(groups.year)
  return true
}

function takeTime(groups: Groups, reading: Reading): boolean {
  if (reading.time) return false
  let hour = Number(groups.hour)
  const minute = Number(groups.minute ?? 0)
  const second = Number(groups.second ?? 0)
  const millisecond = Math.floor(Number(`0.${groups.fraction ?? 0}`) * 1000)
  if (groups.half) {
    if (hour < 1 || hour > 12) return false
    hour = (hour % 12) + (groups.half.toLowerCase() === 'p' ? 12 : 0)
  }
  if (hour > 24 || minute > 59 || second > 60 || (hour === 24 && minute + second > 0)) return false
  reading.time = [hour, minute, second, millisecond]
  return true
}

function takeWeekday(groups: Groups, reading: Reading): boolean {
  if (reading.weekday) return false
  const steps = groups.number ? COUNTS[groups.number.toLowerCase()] : 0
  reading.weekday = { day: DAY_NAMES.indexOf(prefix(groups.weekday)), steps: steps as -1 | 0 | 1 }
  return true
}

const COUNTS: Record<string, number> = { next: 1, last: -1, previous: -1, this: 0, a: 1, an: 1 }
ORDINALS.forEach((word, i) => {
  COUNTS[word] = i + 1
})

const UNITS: Record<string, [keyof Reading['shift'], number]> = {
  mse: ['millisecond', 1],
  mil: ['millisecond', 1],
  sec: ['millisecond', 1000],
  min: ['millisecond', 60_000],
  hou: ['millisecond', 3_600_000],
  day: ['day', 1],
  wee: ['day', 7],
  for: ['day', 14],
  mon: ['month', 1],
  yea: ['year', 1],
}

function takeShift(groups: Groups, reading: Reading): boolean {
  const word = groups.number?.toLowerCase() ?? ''
  const minuses = (groups.sign ?? '').split('-').length - 1 + (groups.ago ? 1 : 0)
  const [field, factor] = UNITS[prefix(groups.unit)] as [keyof Reading['shift'], number]
  reading.shift[field] += (COUNTS[word] ?? Number(word)) * factor * (minuses % 2 === 0 ? 1 : -1)
  return true
}

function takeWord(groups: Groups, reading: Reading): boolean {
  const word = groups.word?.toLowerCase()
  if (word === 'now') return true
  if (word === 'tomorrow') reading.shift.day += 1
  if (word === 'yesterday') reading.shift.day -= 1
  if (word === 'noon') reading.time = [12, 0, 0, 0]
  else reading.dayNamed = true
  return true
}

function takeOffset(groups: Groups, reading: Reading): boolean {
  const hour = Number(groups.hour)
  const minute = Number(groups.minute ?? 0)
  if (reading.zone || hour > 14 || minute > 59) return false
  reading.zone = { offsetMinutes: (groups.sign === '-' ? -1 : 1) * (hour * 60 + minute) }
  return true
}

function takeZoneName(groups: Groups, reading: Reading): boolean {
  const name = groups.name as string
  if (reading.zone) return false
  const offset = abbreviatedZones.get(name.toUpperCase())
  if (offset !== undefined) reading.zone = { offsetMinutes: offset * 60 }
  else if (name.includes('/') && IANAZone.isValidZone(name)) reading.zone = IANAZone.create(name)
  else return false
  return true
}

const prefix = (word: string | undefined) => (word ?? '').slice(0, 3).toLowerCase()

// From the reading to the moment

function resolve(reading: Reading, now: Date, accountZone: string): Date | null {
  const zone = reading.zone ?? (accountZone === 'UTC' ? { offsetMinutes: 0 } : IANAZone.create(accountZone))
  const today = new Date(now.getTime() + offsetAt(zone, now.getTime()) * 60_000)
  const date = {
    year: reading.date?.year ?? today.getUTCFullYear(),
    month: reading.date?.month ?? today.getUTCMonth() + 1,
    day: reading.date?.day ?? today.getUTCDate(),
  }
  if (reading.date && date.day > daysIn(date.year, date.month)) return null

  // Once a day is named, the hour of the present moment means nothing any more.
  const named = reading.dayNamed || reading.date !== null || reading.weekday !== null
  const time =
    reading.time ?? (named ? [0, 0, 0, 0] : [today.getUTCHours(), today.getUTCMinutes(), today.getUTCSeconds(), 0])

  // Beside a date, the weekday is a courtesy to the reader: "Tue, 05 Mar 2030".
  const { shift } = reading
  if (reading.weekday && !reading.date) date.day += daysUntil(reading.weekday, date)
  const month = date.month + shift.month + (reading.edge === 'last' ? 1 : 0)
  const day = reading.edge === 'first' ? 1 : reading.edge === 'last' ? 0 : date.day + shift.day
  const local = new Date(0)
  local.setUTCFullYear(date.year + shift.year, month - 1, day)
  local.setUTCHours(...time)
  const moment = momentOf(local, zone)
  return moment === null ? null : valid(new Date(moment + shift.millisecond))
}

/** Days from a date to a weekday: the same day counts for "monday", never for "next monday" or "last monday". */
function daysUntil(
  weekday: NonNullable<Reading['weekday']>,
  date: { year: number; month: number; day: number },
): number {
  const from = new Date(0)
  from.setUTCFullYear(date.year, date.month - 1, date.day)
  const ahead = (weekday.day - from.getUTCDay() + 7) % 7
  if (weekday.steps === 1) return ahead === 0 ? 7 : ahead
  return weekday.steps === -1 ? ahead - 7 : ahead
}

const daysIn = (year: number, month: number) => new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate()

/** The moment at which clocks of the zone show a local time (held in the UTC fields of `local`). */
function momentOf(local: Date, zone: IANAZone | { offsetMinutes: number }): number | null {
  if (Number.isNaN(local.getTime())) return null
  if (!(zone instanceof IANAZone)) return local.getTime() - zone.offsetMinutes * 60_000
  const at = DateTime.fromObject(
    {
      year: local.getUTCFullYear(),
      month: local.getUTCMonth() + 1,
      day: local.getUTCDate(),
      hour: local.getUTCHours(),
      minute: local.getUTCMinutes(),
      second: local.getUTCSeconds(),
      millisecond: local.getUTCMilliseconds(),
    },
    { zone },
  )
  return at.isValid ? at.toMillis() : null
}

const offsetAt = (zone: IANAZone | { offsetMinutes: number }, moment: number) =>
  zone instanceof IANAZone ? zone.offset(moment) : zone.offsetMinutes

const valid = (date: Date) => (date.getUTCFullYear() >= 1 && date.getUTCFullYear() <= 9999 ? date : null)

// The way back

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const two = (value: number) => String(value).padStart(2, '0')

/**
 * `Tue, 05 Mar 2030 09:30:00 -0500`: RFC 2822 with a two-digit day and a numeric offset, in the given zone.
 * @param zone IANA name
 */
export function formatRfc2822(moment: Date, zone: string): string {
  // The usual zone of an account, without the work of asking for its offset.
  const offset = zone === 'UTC' ? 0 : Math.round(IANAZone.create(zone).offset(moment.getTime()))
  const local = new Date(moment.getTime() + offset * 60_000)
  const distance = Math.abs(offset)
  return (
    `${DAYS[local.getUTCDay()]}, ${two(local.getUTCDate())} ${MONTHS[local.getUTCMonth()]} ` +
    `${String(local.getUTCFullYear()).padStart(4, '0')} ` +
    `${two(local.getUTCHours())}:${two(local.getUTCMinutes())}:${two(local.getUTCSeconds())} ` +
    `${offset < 0 ? '-' : '+'}${two(Math.floor(distance / 60))}${two(distance % 60)}`
  )
}
