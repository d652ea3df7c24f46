import type { StartedFairlead } from '../packages/server/test/support/fairlead.ts'
import { type LoadResult, load } from './load.ts'
import { type Bar, type Measure, median } from './measure.ts'
import { cpuSeconds } from './processes.ts'

export interface Comparison {
  /** What is done: `POST user, new people`. */
  name: string
  fairlead: StartedFairlead
  bare: { port: number }
  /** Requests of a round, made before the clock starts. */
  requests(round: number): readonly Buffer[]
  /** Whether the requests of a round may be sent more than once. */
  repeat?: boolean
  bar?: Bar
  connections?: number
}

const ROUNDS = 5
const MILLISECONDS = 2_000
export const CONNECTIONS = 32

/**
 * Loads Fairlead and the bare server in turns, so that whatever else the machine does meets both, after one round that
 * only warms them up. Rates and their ratio are medians over the rounds.
 */
export async function compare(comparison: Comparison): Promise<Measure[]> {
  const { name, fairlead, bare, requests, repeat, bar, connections = CONNECTIONS } = comparison
  const ours: LoadResult[] = []
  const theirs: LoadResult[] = []
  const cpu = new Map<string, number>()
  for (let round = 0; round <= ROUNDS; round++) {
    const bytes = requests(round)
    const before = cpuSeconds(fairlead)
    const our = await load({ port: fairlead.port, connections, requests: bytes, repeat, milliseconds: MILLISECONDS })
    const after = cpuSeconds(fairlead)
    const their = await load({
      port: bare.port,
      connections,
      requests: bytes,
      repeat: true,
      milliseconds: MILLISECONDS,
    })
    if (round === 0) continue
    ours.push(our)
    theirs.push(their)
    for (const [part, seconds] of after) cpu.set(part, (cpu.get(part) ?? 0) + seconds - (before.get(part) ?? 0))
  }
  const answers = ours.reduce((total, one) => total + one.answers, 0)
  const of = `bare Fastify, ${name}`
  return [
    { name: of, value: median(theirs.map((one) => one.rate)), unit: 'requests/s' },
    {
      name,
      value: median(ours.map((one) => one.rate)),
      unit: 'requests/s',
      ratio: median(ours.map((one, round) => one.rate / theirs[round]!.rate)),
      of,
      ...(bar && { bar }),
    },
    { name: `${name}: half within`, value: median(ours.map((one) => one.p50)), unit: 'ms' },
    { name: `${name}: 99 of 100 within`, value: median(ours.map((one) => one.p99)), unit: 'ms' },
    ...Array.from(cpu, ([part, seconds]) => ({
      name: `${name}: CPU of ${part}`,
      value: (seconds * 1e6) / answers,
      unit: 'µs/request',
    })),
  ]
}
