import { MONTHS, WEEKDAYS } from './pattern.ts'
import { DAY, fromLocal, momentAt, utc } from './zone.ts'

/**
 * Reads the texts that `time()` understands, left to right: dates, times of day, offsets and weekdays,
 * each changing what the ones before it came to. UNIX seconds, or `null` when some part means nothing.
 */
export function readTime(text: string, base: number, timeZone: string): number | null {
  const input = text.trim()
  if (input.length > 200) return null
  if (/^@?-?\d{9,14}(\.\d+)?$/.test(input)) return Number(input.replace('@', ''))
  const reader = new Reader(input, base, timeZone)
  return reader.read()
}

const UNITS: Readonly<Record<string, readonly [unit: 'second' | 'day' | 'month' | 'weekday', factor: number]>> = {
  sec: ['second', 1],
  second: ['second', 1],
  min: ['second', 60],
  minute: ['second', 60],
  hour: ['second', 3600],
  hr: ['second', 3600],
  day: ['day', 1],
  week: ['day', 7],
  fortnight: ['day', 14],
  weekday: ['weekday', 1],
  month: ['month', 1],
  mon: ['month', 1],
  year: ['month', 12],
  yr: ['month', 12],
}

const ZONES: Readonly<Record<string, number>> = {
  z: 0,
  utc: 0,
  gmt: 0,
  est: -300,
  edt: -240,
  cst: -360,
  cdt: -300,
  mst: -420,
  mdt: -360,
  pst: -480,
  pdt: -420,
}

const MONTH =
  '(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\\.?'
const WEEKDAY =
  '(sun(?:day)?|mon(?:day)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:rs?(?:day)?)?|fri(?:day)?|sat(?:urday)?)'

type Rule = [RegExp, (reader: Reader, m: RegExpExecArray) => boolean]

function monthOf(name: string): number {
  return MONTHS.findIndex((month) => month.toLowerCase().startsWith(name.slice(0, 3))) + 1
}

function weekdayOf(name: string): number {
  return WEEKDAYS.findIndex((day) => day.toLowerCase().startsWith(name.slice(0, 3)))
}

/** Two-digit years are of this century. */
function yearOf(text: string): number {
  return text.length <= 2 ? 2000 + Number(text) : Number(text)
}

const RULES: Rule[] = [
  [/^(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:t(?=\d))?/, (r, m) => r.date(Number(m[1]), Number(m[2]), Number(m[3]))],
  [/^(\d{1,2})\/(\d{1,2})\/(\d{4}|\d{2})(?!\d)/, (r, m) => r.date(yearOf(m[3]!), Number(m[1]), Number(m[2]))],
  [/^(\d{1,2})\/(\d{1,2})(?![\d/])/, (r, m) => r.date(r.year(), Number(m[1]), Number(m[2]))],
  [/^(\d{1,2})[-.](\d{1,2})[-.](\d{4})/, (r, m) => r.date(Number(m[3]), Number(m[2]), Number(m[1]))],
  [
    new RegExp(
      `^${MONTH}\\s*(\\d{1,2})(?:st|nd|rd|th)?(?![\\d:])(?:\\s*,?\\s*(\\d{4}|'?\\d{2}(?!\\s*(?:[ap]\\.?m|:|\\d|[a-z]))))?(?![\\d:])`,
    ),
    (r, m) => r.date(m[3] === undefined ? r.year() : yearOf(m[3].replace("'", '')), monthOf(m[1]!), Number(m[2])),
  ],
  [
    new RegExp(
      `^(\\d{1,2})(?:st|nd|rd|th)?[\\s-]*${MONTH}[\\s,-]*(\\d{4}|\\d{2}(?!\\s*(?:[ap]\\.?m|:|\\d|[a-z])))?(?![\\d:])`,
    ),
    (r, m) => r.date(m[3] === undefined ? r.year() : yearOf(m[3]), monthOf(m[2]!), Number(m[1])),
  ],
  [
    new RegExp(`^${MONTH}(?:\\s+(\\d{4}))?(?![a-z\\d])`),
    (r, m) => r.date(m[2] === undefined ? r.year() : Number(m[2]), monthOf(m[1]!), 1),
  ],
  [
    /^(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?\s*([ap])\.?m\b\.?/,
    (r, m) => r.twelveHours(Number(m[1]), m[2], m[3], m[4] === 'p'),
  ],
  [
    /^t?(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?/,
    (r, m) => r.time(Number(m[1]), Number(m[2]), Number(m[3] ?? 0), m[4] === undefined ? 0 : Number(`0.${m[4]}`)),
  ],
  [
    /^([+-])(\d{2}):?(\d{2})(?!\d)(?!\s*[a-z])/,
    (r, m) => r.zone((m[1] === '-' ? -1 : 1) * (Number(m[2]) * 60 + Number(m[3]))),
  ],
  [/^(z|utc|gmt|[ecmp][sd]t)\b/, (r, m) => r.zone(ZONES[m[1]!]!)],
  [
    /^([+-]?)\s*(\d{1,9})\s*(fortnight|weekday|second|minute|hour|month|week|year|sec|min|mon|day|hr|yr)s?(?![a-z])(\s+ago\b)?/,
    (r, m) => r.shift((m[1] === '-' ? -1 : 1) * (m[4] === undefined ? 1 : -1) * Number(m[2]), m[3]!),
  ],
  [
    /^(next|last|previous|this)\s+(fortnight|weekday|second|minute|hour|month|week|year|day)(?![a-z])/,
    (r, m) => r.shift(m[1] === 'next' ? 1 : m[1] === 'this' ? 0 : -1, m[2]!),
  ],
  [
    new RegExp(`^(next|last|previous|this)\\s+${WEEKDAY}(?![a-z])`),
    (r, m) => r.weekday(weekdayOf(m[2]!), m[1] === 'this' ? 'on' : m[1] === 'next' ? 'after' : 'before'),
  ],
  [new RegExp(`^${WEEKDAY}(?![a-z])`), (r, m) => r.weekday(weekdayOf(m[1]!), 'on')],
  [/^now\b/, () => true],
  [/^(?:today|midnight)\b/, (r) => r.dayShift(0)],
  [/^tomorrow\b/, (r) => r.dayShift(1)],
  [/^yesterday\b/, (r) => r.dayShift(-1)],
  [/^noon\b/, (r) => r.time(12, 0, 0, 0)],
  [/^(?:at\b|,|of\b)/, () => true],
]

class Reader {
  private rest: string
  private readonly timeZone: string
  /** Wall clock, as if it were UTC, in milliseconds. */
  private local: number
  private timeGiven = false
  private failed = false

  constructor(text: string, base: number, timeZone: string) {
    this.rest = text.toLowerCase()
    this.timeZone = timeZone
    const start = momentAt(base * 1000, timeZone)
    this.failed = start === null
    this.local = start === null ? 0 : start.at + start.offset * 60_000
  }

  read(): number | null {
    if (this.rest === '' || this.failed) return null
    while (this.rest !== '') {
      const rule = RULES.find(([pattern]) => pattern.test(this.rest))
      if (rule === undefined) return null
      const match = rule[0].exec(this.rest)!
      if (!rule[1](this, match)) return null
      this.rest = this.rest.slice(match[0].length).trimStart()
      if (!(Math.abs(this.local) < 8e15)) return null
    }
    return fromLocal(this.local, this.timeZone) / 1000
  }

  year(): number {
    return new Date(this.local).getUTCFullYear()
  }

  /** Goes to a day, at midnight unless a time of day was given before. */
  date(year: number, month: number, day: number): boolean {
    if (month < 1 || month > 12 || day < 1 || day > 31) return false
    const sinceMidnight = this.timeGiven ? mod(this.local, DAY) : 0
    this.local = utc(year, month, day) + sinceMidnight
    return new Date(utc(year, month, day)).getUTCDate() === day
  }

  dayShift(days: number): boolean {
    const midnight = this.local - mod(this.local, DAY) + days * DAY
    this.local = midnight + (this.timeGiven ? mod(this.local, DAY) : 0)
    return true
  }

  time(hour: number, minute: number, second: number, fraction: number): boolean {
    if (hour > 24 || minute > 59 || second > 60) return false
    this.timeGiven = true
    this.local = this.local - mod(this.local, DAY) + hour * 3_600_000 + minute * 60_000 + (second + fraction) * 1000
    return true
  }

  twelveHours(hour: number, minute: string | undefined, second: string | undefined, afternoon: boolean): boolean {
    if (hour < 1 || hour > 12) return false
    return this.time((hour % 12) + (afternoon ? 12 : 0), Number(minute ?? 0), Number(second ?? 0), 0)
  }

  /** The wall clock read so far was that of another zone. */
  zone(offset: number): boolean {
    const at = momentAt(this.local - offset * 60_000, this.timeZone)
    if (at === null) return false
    this.local = at.at + at.offset * 60_000
    return true
  }

  shift(count: number, unitName: string): boolean {
    const [unit, factor] = UNITS[unitName]!
    const amount = count * factor
    if (unit === 'second') {
      // Hours and minutes pass in real time, also across a change of the clock.
      const at = momentAt(fromLocal(this.local, this.timeZone) + amount * 1000, this.timeZone)
      if (at === null) return false
      this.local = at.at + at.offset * 60_000
    } else if (unit === 'day') this.local += amount * DAY
    else if (unit === 'month') return this.months(amount)
    else this.weekdays(amount)
    return true
  }

  /** The same day of another month, or its last day if it is shorter. */
  private months(count: number): boolean {
    if (Math.abs(count) > 1_000_000) return false
    const now = new Date(this.local)
    const index = now.getUTCFullYear() * 12 + now.getUTCMonth() + count
    const year = Math.floor(index / 12)
    const month = mod(index, 12) + 1
    const last = new Date(utc(year, month + 1, 0)).getUTCDate()
    this.local = utc(year, month, Math.min(now.getUTCDate(), last)) + mod(this.local, DAY)
    return true
  }

  private weekdays(count: number): void {
    const step = count < 0 ? -1 : 1
    const weeks = Math.trunc(count / 5)
    this.local += weeks * 7 * DAY
    for (let left = Math.abs(count % 5); left > 0; ) {
      this.local += step * DAY
      const day = new Date(this.local).getUTCDay()
      if (day !== 0 && day !== 6) left--
    }
  }

  weekday(wanted: number, which: 'on' | 'after' | 'before'): boolean {
    const today = new Date(this.local).getUTCDay()
    let days = mod(wanted - today, 7)
    if (which === 'after' && days === 0) days = 7
    if (which === 'before') days = days === 0 ? -7 : days - 7
    return this.dayShift(days)
  }
}

function mod(a: number, b: number): number {
  return ((a % b) + b) % b
}
