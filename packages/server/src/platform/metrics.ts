/**
 * Figures of one process. A hot path keeps the cell of a counter or histogram in its hand, so counting is an addition
 * to a number. Nothing is computed before somebody asks for a snapshot.
 */
export interface Metrics {
  /** A number that only grows. Asked for twice, a name gives the same counter. */
  counter(name: string, help: string, labels?: readonly string[]): Counter
  /** @param bounds upper ends of the buckets, ascending, in the unit that the name says */
  histogram(name: string, help: string, bounds: readonly number[], labels?: readonly string[]): Histogram
  /** Numbers that somebody else keeps, read when a snapshot is taken. @param type `counter`: they only grow */
  gauge(
    name: string,
    help: string,
    labels: readonly string[],
    read: () => Iterable<Reading>,
    type?: 'gauge' | 'counter',
  ): void
  /** Everything as plain data, which can be sent to another process. */
  snapshot(): Family[]
}

export interface Counter {
  /** @param values of the labels, in their order; few different ones, as each is kept for good */
  of(...values: string[]): Cell
}

export interface Cell {
  value: number
}

export interface Histogram {
  /** @param values of the labels, in their order; few different ones, as each is kept for good */
  of(...values: string[]): Distribution
}

export interface Distribution {
  observe(value: number): void
}

/** Values of the labels, and the number. */
export type Reading = readonly [values: readonly string[], value: number]

/** All figures of one name. */
export interface Family {
  name: string
  help: string
  type: 'counter' | 'gauge' | 'histogram'
  labels: readonly string[]
  samples: Sample[]
  /** Of a histogram. */
  bounds?: readonly number[]
}

export interface Sample {
  values: readonly string[]
  /** Of a histogram the sum of what was observed. */
  value: number
  /** Of a histogram: how many in each bucket, and last those beyond the highest bound. */
  counts?: readonly number[]
}

/** Bounds in seconds from a millisecond to ten seconds: answers, statements, transactions. */
export const QUICK = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
/** Bounds in seconds from a tenth of a second to three days: waits in a queue. */
export const SLOW = [0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1_800, 3_600, 14_400, 86_400, 259_200]

export function createMetrics(): Metrics {
  const families = new Map<string, { made: Counter | Histogram | null; read: () => Family }>()

  function remember<Made extends Counter | Histogram | null>(name: string, make: () => { made: Made; read(): Family }) {
    const known = families.get(name)
    if (known) return known.made as Made
    const fresh = make()
    families.set(name, fresh)
    return fresh.made
  }

  return {
    counter: (name, help, labels = []) =>
      remember(name, () => {
        const { of, entries } = cellsBy(() => ({ value: 0 }))
        const samples = () => entries().map(([values, { value }]) => ({ values, value }))
        return { made: { of }, read: () => ({ name, help, type: 'counter', labels, samples: samples() }) }
      }),
    histogram: (name, help, bounds, labels = []) =>
      remember(name, () => {
        const { of, entries } = cellsBy(() => createDistribution(bounds))
        const samples = () => entries().map(([values, one]) => ({ values, ...one.read() }))
        return { made: { of }, read: () => ({ name, help, type: 'histogram', labels, bounds, samples: samples() }) }
      }),
    gauge(name, help, labels, read, type = 'gauge') {
      const samples = () => Array.from(read(), ([values, value]) => ({ values, value }))
      families.set(name, { made: null, read: () => ({ name, help, type, labels, samples: samples() }) })
    },
    snapshot: () => [...families.values()].map(({ read }) => read()),
  }
}

/** One cell for each combination of label values. */
function cellsBy<T>(make: () => T) {
  const cells = new Map<string, { values: string[]; cell: T }>()
  return {
    of(...values: string[]): T {
      const key = values.length === 1 ? values[0]! : values.join('\0')
      const known = cells.get(key)
      if (known) return known.cell
      const cell = make()
      cells.set(key, { values, cell })
      return cell
    },
    entries: (): Array<[string[], T]> => Array.from(cells.values(), ({ values, cell }) => [values, cell]),
  }
}

function createDistribution(bounds: readonly number[]) {
  const counts = Array.from<number>({ length: bounds.length + 1 }).fill(0)
  let sum = 0
  return {
    observe(value: number): void {
      let bucket = 0
      while (bucket < bounds.length && value > bounds[bucket]!) bucket += 1
      counts[bucket]! += 1
      sum += value
    },
    read: () => ({ value: sum, counts: [...counts] }),
  }
}
