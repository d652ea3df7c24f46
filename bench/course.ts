import { setTimeout as sleep } from 'node:timers/promises'
import type { StartedFairlead } from '../packages/server/test/support/fairlead.ts'
import { startCampaign } from './campaign-content.ts'
import { reachable } from './fill.ts'
import { cpuSeconds, memoryOfWorkers, type Part } from './processes.ts'
import { call } from './sailthru.ts'
import type { Count, Sink } from './sink.ts'
import { untilQuiet } from './watch.ts'

/** How one campaign went, from being scheduled until the API called it sent. */
export interface Course {
  messages: number
  /** From the first message at the sink to the last, in seconds; a pause does not count. */
  seconds: number
  /** From scheduling to the first message at the sink, in ms. */
  untilFirst: number
  /** From the last message at the sink until the API said `sent`, in ms. */
  untilSent: number
  /** From asking for a pause to the last message that still came, in ms; null: there was none. */
  untilPaused: number | null
  /** Seconds that each part of Fairlead used. */
  cpu: Map<Part, number>
  /** Of the workers, in MB. */
  memory: { before: number; after: number }
}

export interface Plan {
  name: string
  /** A list of `addPeople`, and how many are on it. */
  listId: number
  people: number
  /** Whether to pause it half way, and let it go on when nothing comes any more. */
  pause: boolean
}

/** How often the sink is asked, in ms: while the first message is awaited, and later. */
const CLOSELY = 5
const NOW_AND_THEN = 100
/** Nothing comes from a campaign that paused for so long, in ms. */
const AT_REST = 1_500
/** A campaign that sends nothing for so long hangs, in ms. */
const PATIENCE = 180_000
/** How often people are told how far it is, in ms. */
const TELL_EVERY = 5_000

/**
 * Sends one campaign to its end.
 *
 * @throws when the sink did not get exactly one message for everybody who did not opt out
 */
export async function follow(fairlead: StartedFairlead, sink: Sink, plan: Plan): Promise<Course> {
  const { name, listId, people, pause } = plan
  const messages = reachable(people)
  const { messages: already } = await sink.count()
  const until = (count: number, every: number) =>
    untilReceived(sink, already + count, every, (now) => tell(name, now - already, messages))
  const cpuBefore = cpuSeconds(fairlead)
  const before = memoryOfWorkers(fairlead)

  const scheduledAt = Date.now()
  // Counting a large list for the answer takes longer than to begin.
  const starting = startCampaign(fairlead, name, listId)
  const { lastAt: firstAt } = await until(1, CLOSELY)
  const id = await starting
  let paused: Pause | null = null
  if (pause) {
    await until(Math.floor(messages / 2), NOW_AND_THEN)
    paused = await pauseAndResume(fairlead, sink, id)
  }
  const { lastAt } = await until(messages, NOW_AND_THEN)
  const sentAt = await untilSent(fairlead, id)
  const cpu = new Map(
    Array.from(cpuSeconds(fairlead), ([part, seconds]) => [part, seconds - (cpuBefore.get(part) ?? 0)]),
  )
  const after = memoryOfWorkers(fairlead)

  await untilQuiet(sink)
  const received = (await sink.count()).messages - already
  if (received !== messages) throw new Error(`${name}: ${received} messages came, and not ${messages}`)
  return {
    messages,
    seconds: (lastAt - firstAt - (paused?.rest ?? 0)) / 1_000,
    untilFirst: firstAt - scheduledAt,
    untilSent: sentAt - lastAt,
    untilPaused: paused?.untilQuiet ?? null,
    cpu,
    memory: { before, after },
  }
}

interface Pause {
  /** From asking to the last message that still came, in ms. */
  untilQuiet: number
  /** From that one to the next, in ms. */
  rest: number
}

async function pauseAndResume(fairlead: StartedFairlead, sink: Sink, id: unknown): Promise<Pause> {
  const askedAt = Date.now()
  await call(fairlead, 'POST', 'blast', { blast_id: id, paused: true })
  await untilQuiet(sink, AT_REST)
  const { messages, lastAt } = await sink.count()
  await call(fairlead, 'POST', 'blast', { blast_id: id, paused: false })
  const { lastAt: resumedAt } = await untilReceived(sink, messages + 1, CLOSELY)
  return { untilQuiet: Math.max(0, lastAt - askedAt), rest: resumedAt - lastAt }
}

/** Waits until so many messages have come to the sink in all. @throws when no more come */
async function untilReceived(
  sink: Sink,
  messages: number,
  every: number,
  told: (messages: number) => void = () => {},
): Promise<Count> {
  let moved = { messages: -1, at: 0 }
  let toldAt = performance.now()
  for (;;) {
    const count = await sink.count()
    const now = performance.now()
    if (count.messages >= messages) return count
    if (count.messages > moved.messages) moved = { messages: count.messages, at: now }
    if (now - moved.at > PATIENCE) throw new Error(`${count.messages} messages came, ${messages} were to come`)
    if (now - toldAt > TELL_EVERY) {
      told(count.messages)
      toldAt = now
    }
    await sleep(every)
  }
}

/** @returns when the API said that all is sent, in ms since 1970 */
async function untilSent(fairlead: StartedFairlead, id: unknown): Promise<number> {
  const deadline = performance.now() + PATIENCE
  while (performance.now() < deadline) {
    const { status } = await call(fairlead, 'GET', 'blast', { blast_id: id })
    if (status === 'sent') return Date.now()
    await sleep(NOW_AND_THEN)
  }
  throw new Error(`campaign ${id} is not called sent though all of its messages came`)
}

function tell(name: string, sent: number, of: number): void {
  console.error(`${name}: ${sent.toLocaleString('en')} of ${of.toLocaleString('en')} messages`)
}
