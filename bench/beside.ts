import { setTimeout as sleep } from 'node:timers/promises'
import { openDatabase } from '../packages/server/src/platform/database.ts'
import { locateEmbedded } from '../packages/server/src/platform/postgres/index.ts'
import type { StartedFairlead } from '../packages/server/test/support/fairlead.ts'
import { startCampaign } from './campaign-content.ts'
import { addPeople } from './fill.ts'
import { formRequest, type Latency, latency, load } from './load.ts'
import { type BenchOptions, type Measure, median } from './measure.ts'
import { pace } from './paced.ts'
import { CONNECTIONS } from './rounds.ts'
import { call, signedForm } from './sailthru.ts'
import { startBare, startSending } from './servers.ts'
import { type Sink, startSink } from './sink.ts'
import { untilQuiet, watch } from './watch.ts'

const ROUNDS = 3
/** How long callers are watched in each round, and the campaign comes up to speed before that, in ms. */
const MILLISECONDS = 10_000
const WARM_UP = 2_500
/** Between one call and the next, in ms: few, so that it is the campaign that they wait for. */
const EVERY = 20
/** More than are sent while anybody watches. */
const PEOPLE = 200_000
/** Of the mail server. */
const SMTP_CONNECTIONS = 10
/** Taking back what a campaign did not send takes no longer, in ms. */
const PATIENCE = 120_000

const TEMPLATE = 'Order shipped'
const KINDS = ['POST user', 'POST send'] as const
type Kind = (typeof KINDS)[number]
const BARE = 'bare Fastify'
type Round = Record<Kind | typeof BARE, Latency>

/**
 * What callers of the API feel of a campaign that runs at full speed: calls about people who are known come at fixed
 * times, in turns with nothing else going on and beside a campaign. Each round has a campaign of its own, whose
 * recipients are still being written when it begins. A bare server gets the same calls at the same times, which shows
 * what of the wait is the machine's.
 *
 * @param milliseconds that each half of a round takes
 */
export async function run(
  options: BenchOptions = { profile: null },
  people = PEOPLE,
  milliseconds = MILLISECONDS,
): Promise<Measure[]> {
  const sink = await startSink()
  const fairlead = await startSending(options, sink, SMTP_CONNECTIONS)
  const db = openDatabase(locateEmbedded(fairlead.dataDir)!, 2)
  const bare = await startBare({ 'POST /user': { ok: true }, 'POST /send': { ok: true } })
  const both = { fairlead, bare }
  try {
    await addPeople(db, people, 1)
    await prepare(fairlead)
    const requests = requestsOf(fairlead, people)
    await warmUp(both, sink, requests)
    const idle: Round[] = []
    const busy: Round[] = []
    const rates: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      idle.push(await measure(both, requests, milliseconds))
      const id = await startCampaign(fairlead, `Round ${round}`)
      await sleep(WARM_UP)
      const [calls, seen] = await Promise.all([measure(both, requests, milliseconds), watch(sink, milliseconds)])
      busy.push(calls)
      rates.push(seen.rate)
      await cancel(fairlead, sink, id)
    }
    return [
      ...([BARE, ...KINDS] as const).flatMap((kind) => describe(kind, idle, busy)),
      { name: 'mail meanwhile', value: median(rates), unit: 'messages/s' },
    ]
  } finally {
    await bare.stop()
    await db.destroy()
    await fairlead.remove()
    sink.stop()
  }
}

async function prepare(fairlead: StartedFairlead): Promise<void> {
  await call(fairlead, 'POST', 'list', { list: 'Weekly' })
  await call(fairlead, 'POST', 'template', {
    template: TEMPLATE,
    subject: 'On its way, {first_name}',
    content_html:
      '<p>Hello {first_name}, order {order} is on its way.</p><a href="{optout_confirm_url}">Stop these messages</a>',
  })
}

/** Calls about people who are on the campaign's list and get mail, of both kinds in turns. */
function requestsOf(fairlead: StartedFairlead, people: number): Buffer[] {
  const post = (kind: Kind, params: object) => formRequest(kind.replace('POST ', '/'), signedForm(params, fairlead))
  return Array.from({ length: people / 10 }, (_, number) => {
    const email = `person${number * 10 + 1}.1@example.com`
    const vars = { first_name: 'Ada', city: 'Lisbon', visits: number }
    return [
      post('POST user', { id: email, key: 'email', vars, lists: { Weekly: 1 } }),
      post('POST send', { template: TEMPLATE, email, vars: { order: `A-${number}` } }),
    ]
  }).flat()
}

interface Both {
  fairlead: StartedFairlead
  bare: { port: number }
}

/** Code that was never run is slow, and would make idle look worse and busy better. */
async function warmUp({ fairlead, bare }: Both, sink: Sink, requests: readonly Buffer[]): Promise<void> {
  for (const { port } of [bare, fairlead]) {
    await load({ port, connections: CONNECTIONS, requests, milliseconds: WARM_UP })
  }
  await untilQuiet(sink)
  const id = await startCampaign(fairlead, 'Warm-up')
  await sleep(WARM_UP)
  await cancel(fairlead, sink, id)
}

async function measure({ fairlead, bare }: Both, all: readonly Buffer[], milliseconds: number): Promise<Round> {
  const requests = all.slice(0, Math.floor(milliseconds / EVERY))
  const [ours, theirs] = await Promise.all(
    [fairlead, bare].map(({ port }) => pace({ port, connections: CONNECTIONS, requests, every: EVERY })),
  )
  const of = (kind: Kind) => latency(ours!.filter((_, number) => KINDS[number % KINDS.length] === kind))
  return { [BARE]: latency(theirs!), 'POST user': of('POST user'), 'POST send': of('POST send') }
}

/** Ends the campaign, and waits until what it did not send is taken back. @throws when all of it was sent already */
async function cancel(fairlead: StartedFairlead, sink: Sink, id: unknown): Promise<void> {
  await call(fairlead, 'POST', 'blast', { blast_id: id, status: 'sent' })
  await untilQuiet(sink)
  const deadline = performance.now() + PATIENCE
  while ((await call(fairlead, 'GET', 'blast', { blast_id: id })).stop_time === null) {
    if (performance.now() > deadline) throw new Error(`campaign ${id} does not end`)
    await sleep(1_000)
  }
}

function describe(kind: keyof Round, idle: readonly Round[], busy: readonly Round[]): Measure[] {
  const all = (rounds: readonly Round[], of: keyof Latency) => rounds.map((round) => round[kind][of])
  const name = (when: string, of: keyof Latency) => `${kind}, ${when}: ${of === 'p50' ? 'half' : '99 of 100'} within`
  return (['p50', 'p99'] as const).flatMap((of) => [
    { name: name('idle', of), value: median(all(idle, of)), unit: 'ms' },
    {
      name: name('beside a campaign', of),
      value: median(all(busy, of)),
      unit: 'ms',
      ratio: median(all(busy, of).map((time, round) => time / all(idle, of)[round]!)),
      of: name('idle', of),
      ...(of === 'p99' && kind !== BARE && { bar: { atMost: 3 } }),
    },
  ])
}
