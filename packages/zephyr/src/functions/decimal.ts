import { numberText } from '../values.ts'

/** Digits of a non-negative number rounded half-even to `places` decimals: `'1234'` and `'50'`. */
export function roundedDigits(n: number, places: number): { whole: string; fraction: string } {
  const text = fixed(n, Math.max(0, Math.min(places, 100)))
  const point = text.indexOf('.')
  return point === -1 ? { whole: text, fraction: '' } : { whole: text.slice(0, point), fraction: text.slice(point + 1) }
}

function fixed(n: number, places: number): string {
  if (n >= 1e21) return numberText(n) + (places > 0 ? `.${'0'.repeat(places)}` : '')
  const up = n.toFixed(places)
  // toFixed sees the exact binary value and rounds ties up. A tie needs n * 2^(places + 1) to be whole,
  // a multiplication that loses nothing; then one more place shows the exact value.
  if (places < 100 && Number.isInteger(n * 2 ** (places + 1))) {
    const exact = n.toFixed(places + 1)
    if (exact.endsWith('5')) {
      let down = exact.slice(0, -1)
      if (down.endsWith('.')) down = down.slice(0, -1)
      if ((down.charCodeAt(down.length - 1) - 48) % 2 === 0) return down
    }
  }
  return up
}

export function grouped(whole: string, size: number): string {
  if (size <= 0 || whole.length <= size) return whole
  let out = whole.slice(-size)
  for (let i = whole.length - size; i > 0; i -= size) out = `${whole.slice(Math.max(0, i - size), i)},${out}`
  return out
}

/** `number(x, precision)`: thousands commas, no digit before the point when there is none but zero. */
export function withCommas(n: number, places: number): string {
  const { whole, fraction } = roundedDigits(Math.abs(n), places)
  const zero = /^0+$/.test(whole + fraction)
  const digits = fraction === '' ? grouped(whole, 3) : `${whole === '0' ? '' : grouped(whole, 3)}.${fraction}`
  return (n < 0 && !zero ? '-' : '') + digits
}

/** One half of a `java.text.DecimalFormat` pattern. */
interface Half {
  prefix: string
  suffix: string
  /** Number of digits between commas; 0 for none. */
  group: number
  leastWhole: number
  mostWhole: number
  leastFraction: number
  mostFraction: number
  /** Digits of the exponent; -1 for no scientific notation. */
  exponent: number
  scale: number
}

export interface DecimalPattern {
  readonly positive: Half
  readonly negative: { prefix: string; suffix: string } | null
}

const LONGEST = 40

/** Reads a `DecimalFormat` pattern; `null` when it holds no digit. */
export function decimalPattern(pattern: string): DecimalPattern | null {
  const [first, rest] = splitHalves(pattern.slice(0, 200))
  const positive = half(first)
  if (positive === null) return null
  const other = rest === null ? null : half(rest)
  return { positive, negative: other === null ? null : { prefix: other.prefix, suffix: other.suffix } }
}

function splitHalves(pattern: string): [string, string | null] {
  let quoted = false
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] === "'") quoted = !quoted
    else if (pattern[i] === ';' && !quoted) return [pattern.slice(0, i), pattern.slice(i + 1)]
  }
  return [pattern, null]
}

function half(pattern: string): Half | null {
  const result: Half = {
    prefix: '',
    suffix: '',
    group: 0,
    leastWhole: 0,
    mostWhole: 0,
    leastFraction: 0,
    mostFraction: 0,
    exponent: -1,
    scale: 1,
  }
  let phase: 'prefix' | 'whole' | 'fraction' | 'suffix' = 'prefix'
  let sinceComma = -1
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i]!
    if (phase !== 'suffix' && (c === '#' || c === '0')) {
      if (phase === 'fraction') {
        result.mostFraction++
        if (c === '0') result.leastFraction++
      } else {
        phase = 'whole'
        result.mostWhole++
        if (c === '0') result.leastWhole++
        if (sinceComma >= 0) sinceComma++
      }
    } else if (c === ',' && phase === 'whole') sinceComma = 0
    else if (c === '.' && (phase === 'whole' || phase === 'prefix')) phase = 'fraction'
    else if (c === 'E' && (phase === 'whole' || phase === 'fraction') && pattern[i + 1] === '0') {
      result.exponent = 0
      while (pattern[i + 1] === '0') {
        result.exponent++
        i++
      }
      phase = 'suffix'
    } else {
      if (phase !== 'prefix') phase = 'suffix'
      let text = c
      if (c === "'") {
        const end = pattern.indexOf("'", i + 1)
        const inner = end === -1 ? pattern.slice(i + 1) : pattern.slice(i + 1, end)
        text = inner === '' ? "'" : inner
        i = end === -1 ? pattern.length : end
      } else if (c === '%') result.scale = 100
      else if (c === '‰') result.scale = 1000
      else if (c === '¤') text = '$'
      if (phase === 'prefix') result.prefix += text
      else result.suffix += text
    }
  }
  // Java reads a pattern without any 0 as if it had one: before the point, or after it where nothing stands before.
  if (result.leastWhole + result.leastFraction === 0 && result.mostFraction > 0) {
    if (result.mostWhole > 0) result.leastWhole = 1
    else result.leastFraction = 1
  }
  result.group = Math.max(0, sinceComma)
  result.leastFraction = Math.min(result.leastFraction, LONGEST)
  result.mostFraction = Math.min(result.mostFraction, LONGEST)
  return result.mostWhole + result.mostFraction === 0 ? null : result
}

export function formatDecimal(n: number, pattern: DecimalPattern): string {
  const { positive } = pattern
  const scaled = Math.abs(n) * positive.scale
  const body = positive.exponent < 0 ? plain(scaled, positive) : scientific(scaled, positive)
  if (n >= 0 || /^[0.,]*$/.test(body)) return positive.prefix + body + positive.suffix
  if (pattern.negative !== null) return pattern.negative.prefix + body + pattern.negative.suffix
  return `-${positive.prefix}${body}${positive.suffix}`
}

function plain(n: number, half: Half): string {
  const { whole, fraction } = roundedDigits(n, half.mostFraction)
  let digits = whole === '0' ? '' : whole
  // '#' alone still prints a zero when there is nothing else to print.
  const least = half.leastWhole === 0 && half.mostFraction === 0 ? 1 : half.leastWhole
  digits = digits.padStart(least, '0')
  const kept = trimFraction(fraction, half.leastFraction)
  if (digits === '' && kept === '') digits = '0'
  return grouped(digits, half.group) + (kept === '' ? '' : `.${kept}`)
}

function trimFraction(fraction: string, least: number): string {
  let end = fraction.length
  while (end > least && fraction[end - 1] === '0') end--
  return fraction.slice(0, end)
}

function scientific(n: number, half: Half): string {
  const whole = Math.max(1, half.leastWhole)
  let exponent = n === 0 ? 0 : Math.floor(Math.log10(n)) - (whole - 1)
  let digits = roundedDigits(n / 10 ** exponent, half.mostFraction)
  if (digits.whole.length > whole) {
    exponent++
    digits = roundedDigits(n / 10 ** exponent, half.mostFraction)
  }
  const kept = trimFraction(digits.fraction, half.leastFraction)
  const power = String(Math.abs(exponent)).padStart(half.exponent, '0')
  return `${digits.whole}${kept === '' ? '' : `.${kept}`}E${exponent < 0 ? '-' : ''}${power}`
}
