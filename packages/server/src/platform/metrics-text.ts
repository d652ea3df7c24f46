import type { Family, Sample } from './metrics.ts'

/** Figures from one source, and labels that say which. */
export interface Source {
  labels: { [name: string]: string }
  families: readonly Family[]
}

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/**
 * Writes figures in the text format that Prometheus reads (version 0.0.4). Families of the same name from several
 * sources stand together, as the format demands.
 */
export function writeMetrics(sources: readonly Source[]): string {
  const byName = new Map<string, { first: Family; lines: string[] }>()
  for (const { labels, families } of sources) {
    for (const family of families) {
      const known = byName.get(family.name) ?? { first: family, lines: [] }
      byName.set(family.name, known)
      for (const sample of family.samples) known.lines.push(...linesOf(family, sample, labels))
    }
  }
  return [...byName.values()]
    .filter(({ lines }) => lines.length > 0)
    .map(({ first, lines }) => `${headOf(first)}${lines.join('\n')}\n`)
    .join('')
}

function headOf({ name, help, type }: Family): string {
  return `# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}\n# TYPE ${name} ${type}\n`
}

function linesOf(family: Family, sample: Sample, source: { [name: string]: string }): string[] {
  const own = family.labels.map((label, index) => [label, sample.values[index] ?? ''] as const)
  const labels = [...Object.entries(source), ...own]
  if (!sample.counts) return [line(family.name, labels, sample.value)]
  const bounds = [...(family.bounds ?? []), Number.POSITIVE_INFINITY]
  let count = 0
  const buckets = bounds.map((bound, index) => {
    count += sample.counts?.[index] ?? 0
    return line(`${family.name}_bucket`, [...labels, ['le', numberText(bound)]], count)
  })
  return [...buckets, line(`${family.name}_sum`, labels, sample.value), line(`${family.name}_count`, labels, count)]
}

function line(name: string, labels: ReadonlyArray<readonly [string, string]>, value: number): string {
  const written = labels.map(([label, text]) => `${label}="${escaped(text)}"`).join(',')
  return `${name}${written === '' ? '' : `{${written}}`} ${numberText(value)}`
}

const escaped = (text: string) => text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  if (value === Number.NEGATIVE_INFINITY) return '-Inf'
  return String(value)
}
