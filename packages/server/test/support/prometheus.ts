/** A page of figures as Prometheus reads it. */
export interface Scrape {
  /** By family name. */
  types: Map<string, string>
  /** The one sample with this name and at least these labels. @throws when there is none, or more than one */
  value(name: string, labels?: { [label: string]: string }): number
  /** All samples with this name and at least these labels. */
  samples(name: string, labels?: { [label: string]: string }): Reading[]
}

export interface Reading {
  name: string
  labels: { [label: string]: string }
  value: number
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y

/**
 * Reads the text format of Prometheus (version 0.0.4) and is strict about it: a type before its samples, all samples of
 * a family together, no sample twice, buckets that only grow and end with the count.
 */
export function parseMetrics(text: string): Scrape {
  if (!text.endsWith('\n')) throw new Error('the last line must be ended')
  const types = new Map<string, string>()
  const readings: Reading[] = []
  const seen = new Set<string>()
  let family = ''
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line)
    if (comment) {
      const [, what, name = '', rest = ''] = comment
      if (what === 'HELP') continue
      if (types.has(name)) throw new Error(`the family ${name} comes twice`)
      if (!['counter', 'gauge', 'histogram'].includes(rest)) throw new Error(`unknown type: ${line}`)
      types.set(name, rest)
      family = name
      continue
    }
    const [, name, labelText = '', number = ''] = SAMPLE.exec(line) ?? []
    if (name === undefined) throw new Error(`not a sample: ${line}`)
    const suffixes = types.get(family) === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
    if (!suffixes.some((suffix) => name === family + suffix)) throw new Error(`not of the family ${family}: ${line}`)
    const labels = readLabels(labelText)
    const key = `${name} ${JSON.stringify(Object.entries(labels).sort())}`
    if (seen.has(key)) throw new Error(`twice: ${line}`)
    seen.add(key)
    readings.push({ name, labels, value: readNumber(number) })
  }
  checkHistograms(types, readings)

  const samples: Scrape['samples'] = (name, labels = {}) =>
    readings.filter(
      (one) => one.name === name && Object.entries(labels).every(([label, text]) => one.labels[label] === text),
    )
  return {
    types,
    samples,
    value(name, labels = {}) {
      const found = samples(name, labels)
      if (found.length !== 1) throw new Error(`${found.length} samples of ${name} ${JSON.stringify(labels)}`)
      return found[0]!.value
    },
  }
}

function readLabels(text: string): { [label: string]: string } {
  const labels: { [label: string]: string } = {}
  LABEL.lastIndex = 0
  while (LABEL.lastIndex < text.length) {
    const [whole, name = '', value = ''] = LABEL.exec(text) ?? []
    if (whole === undefined) throw new Error(`not labels: ${text}`)
    labels[name] = value.replace(/\\(.)/g, (_, one: string) => (one === 'n' ? '\n' : one))
  }
  return labels
}

function readNumber(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY
  const value = Number(text)
  if (text === '' || Number.isNaN(value)) throw new Error(`not a number: ${text}`)
  return value
}

function checkHistograms(types: ReadonlyMap<string, string>, readings: readonly Reading[]): void {
  for (const [family, type] of types) {
    if (type !== 'histogram') continue
    const series = Map.groupBy(
      readings.filter((one) => one.name.startsWith(`${family}_`)),
      ({ labels: { le: _, ...rest } }) => JSON.stringify(rest),
    )
    for (const [labels, ones] of series) {
      const buckets = ones.filter((one) => one.name === `${family}_bucket`)
      const counts = buckets.map((one) => one.value)
      const count = ones.find((one) => one.name === `${family}_count`)?.value
      const grows = counts.every((value, index) => index === 0 || value >= counts[index - 1]!)
      if (!grows || buckets.at(-1)?.labels.le !== '+Inf' || counts.at(-1) !== count) {
        throw new Error(`bad buckets of ${family} ${labels}: ${counts} of ${count}`)
      }
      if (!ones.some((one) => one.name === `${family}_sum`)) throw new Error(`no sum of ${family} ${labels}`)
    }
  }
}
