import { DAY, type Moment, utc, zoneName } from './zone.ts'

export const MONTHS: readonly string[] = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]
export const WEEKDAYS: readonly string[] = [
  'Sunday',
  'Monday',
  'Tuesday',
  'Wednesday',
  'Thursday',
  'Friday',
  'Saturday',
]

type Field = string | ((moment: Moment, timeZone: string) => string)

const LONGEST = 500
const compiled = new Map<string, readonly Field[]>()

/** Formats a moment with a `java.text.SimpleDateFormat` pattern; names are English. */
export function formatDate(whole: string, moment: Moment, timeZone: string): string {
  const pattern = whole.slice(0, LONGEST)
  let fields = compiled.get(pattern)
  if (fields === undefined) {
    fields = compile(pattern)
    if (compiled.size > 1000) compiled.clear()
    compiled.set(pattern, fields)
  }
  let out = ''
  for (const field of fields) out += typeof field === 'string' ? field : field(moment, timeZone)
  return out
}

function compile(pattern: string): Field[] {
  const fields: Field[] = []
  let i = 0
  while (i < pattern.length) {
    const c = pattern[i]!
    if (c === "'") {
      const [text, end] = quoted(pattern, i)
      fields.push(text)
      i = end
    } else if (/[A-Za-z]/.test(c)) {
      let count = 1
      while (pattern[i + count] === c) count++
      fields.push(letter(c, count))
      i += count
    } else {
      fields.push(c)
      i++
    }
  }
  return fields
}

/** A literal between apostrophes; two of them stand for one, inside and outside. */
function quoted(pattern: string, start: number): [string, number] {
  if (pattern[start + 1] === "'") return ["'", start + 2]
  let text = ''
  let i = start + 1
  for (;;) {
    const end = pattern.indexOf("'", i)
    if (end === -1) return [text + pattern.slice(i), pattern.length]
    text += pattern.slice(i, end)
    if (pattern[end + 1] !== "'") return [text, end + 1]
    text += "'"
    i = end + 2
  }
}

function pad(n: number, width: number): string {
  return n < 0 ? `-${String(-n).padStart(width, '0')}` : String(n).padStart(width, '0')
}

function letter(c: string, count: number): Field {
  switch (c) {
    case 'y':
      return (m) => year(m.year, count)
    case 'Y':
      return (m) => year(weekYear(m), count)
    case 'M':
    case 'L':
      if (count >= 4) return (m) => MONTHS[m.month - 1]!
      if (count === 3) return (m) => MONTHS[m.month - 1]!.slice(0, 3)
      return (m) => pad(m.month, count)
    case 'd':
      return (m) => pad(m.day, count)
    case 'E':
      return count >= 4 ? (m) => WEEKDAYS[m.weekday]! : (m) => WEEKDAYS[m.weekday]!.slice(0, 3)
    case 'u':
      return (m) => pad(m.weekday === 0 ? 7 : m.weekday, count)
    case 'a':
      return (m) => (m.hour < 12 ? 'AM' : 'PM')
    case 'H':
      return (m) => pad(m.hour, count)
    case 'k':
      return (m) => pad(m.hour === 0 ? 24 : m.hour, count)
    case 'K':
      return (m) => pad(m.hour % 12, count)
    case 'h':
      return (m) => pad(m.hour % 12 === 0 ? 12 : m.hour % 12, count)
    case 'm':
      return (m) => pad(m.minute, count)
    case 's':
      return (m) => pad(m.second, count)
    case 'S':
      return (m) => pad(m.millisecond, count)
    case 'G':
      return (m) => (m.year > 0 ? 'AD' : 'BC')
    case 'D':
      return (m) => pad(dayOfYear(m), count)
    case 'F':
      return (m) => pad(Math.ceil(m.day / 7), count)
    case 'w':
      return (m) => pad(weekOfYear(m), count)
    case 'W':
      return (m) => pad(Math.ceil((m.day + weekdayOf(m.year, m.month, 1)) / 7), count)
    case 'z':
      return (m, zone) => zoneName(m.at, zone, count >= 4)
    case 'Z':
      return (m) => offset(m.offset, '')
    case 'X':
      return (m) => {
        if (m.offset === 0) return 'Z'
        return count === 1 ? offset(m.offset, '').slice(0, 3) : offset(m.offset, count === 2 ? '' : ':')
      }
    default:
      // Not a letter of the language: stands for itself.
      return c.repeat(count)
  }
}

function year(n: number, count: number): string {
  const shown = n > 0 ? n : 1 - n
  return count === 2 ? pad(shown % 100, 2) : pad(shown, count)
}

function offset(minutes: number, separator: string): string {
  const whole = Math.abs(Math.trunc(minutes))
  return `${minutes < 0 ? '-' : '+'}${pad(Math.floor(whole / 60), 2)}${separator}${pad(whole % 60, 2)}`
}

function dayOfYear(m: Moment): number {
  return Math.round((utc(m.year, m.month, m.day) - utc(m.year, 1, 1)) / DAY) + 1
}

function weekdayOf(y: number, month: number, day: number): number {
  return new Date(utc(y, month, day)).getUTCDay()
}

/** Weeks begin on Sunday, and the week of January 1st is the first: Java's rule for the United States. */
function weekOfYear(m: Moment): number {
  if (weekYear(m) > m.year) return 1
  return Math.floor((dayOfYear(m) - 1 + weekdayOf(m.year, 1, 1)) / 7) + 1
}

function weekYear(m: Moment): number {
  const saturday = utc(m.year, m.month, m.day) + (6 - m.weekday) * DAY
  return saturday >= utc(m.year + 1, 1, 1) ? m.year + 1 : m.year
}
