/** One number, and what it is to be held against. */
export interface Measure {
  name: string
  value: number
  unit: string
  /** `value` beside that of another measurement of the same run; medians over rounds that took turns. */
  ratio?: number
  /** Name of that other measurement. */
  of?: string
  /** What we want of the ratio or, without one, of the value. Printed, never enforced: machines differ. */
  bar?: Bar
}

export type Bar = { atLeast: number } | { atMost: number }

export interface BenchOptions {
  /** Folder for a CPU profile of each process that is measured; null: none. */
  profile: string | null
}

/** What a benchmark's file exports. */
export interface Benchmark {
  run(options?: BenchOptions): Promise<Measure[]>
}

/** The middle value; the mean of the two in the middle of an even number. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** One JSON object for programs: the five documented fields. */
export function toJson({ name, value, unit, ratio, of }: Measure): string {
  return JSON.stringify({ name, value: rounded(value), unit, ratio: ratio && rounded(ratio), of })
}

/** One line for people. */
export function toLine(measure: Measure): string {
  const { name, value, unit, ratio, of, bar } = measure
  const amount = value >= 1000 ? Math.round(value).toLocaleString('en') : String(rounded(value))
  const parts = [name.padEnd(58), amount.padStart(10), unit.padEnd(10)]
  if (ratio !== undefined) parts.push(`${ratio.toFixed(2)} × ${of}`)
  if (bar) parts.push(verdict(ratio ?? value, bar))
  return parts.join(' ').trimEnd()
}

function verdict(measured: number, bar: Bar): string {
  const [word, limit, met] =
    'atLeast' in bar
      ? ['at least', bar.atLeast, measured >= bar.atLeast]
      : ['at most', bar.atMost, measured <= bar.atMost]
  return `(${word} ${limit}${met ? '' : ': MISSED'})`
}

const rounded = (value: number) => Number(value.toPrecision(4))
