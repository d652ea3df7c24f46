import { randomUUID } from 'node:crypto'
import type { Direct, Relay } from '../config.ts'
import type { Clock } from '../platform/clock.ts'
import { coalesce } from '../platform/coalesce.ts'
import { isReachable } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import { createMetrics, type Metrics } from '../platform/metrics.ts'
import { oneLine } from '../platform/operator-error.ts'
import { createWorkLoop } from '../platform/work-loop.ts'
import type { Profiles } from '../profiles/door.ts'
import type { SettingsCache } from '../settings/settings.ts'
import { type Catcher, startCatcher } from './catcher.ts'
import { type ComposeParts, compose } from './compose.ts'
import { cacheHolds, holdBack } from './holds.ts'
import { createLine } from './line.ts'
import { createDeliveryMetrics } from './metrics.ts'
import { directSource } from './mx/direct.ts'
import { internet, type MxWorld } from './mx/hosts.ts'
import { consequenceOf, verdictOn } from './outcome.ts'
import { createOutlets, type Outlets } from './outlets.ts'
import { createPacing } from './pacing.ts'
import { type Prepared, type PrepareParts, prepare, type ReadyMessage } from './prepare.ts'
import {
  type ClaimedMessage,
  claim,
  claimOfCampaigns,
  extendLeases,
  giveBack,
  LEASE,
  markAttempting,
  type Settlement,
  takeOverExpired,
} from './queue.ts'
import { createDeliveryReport } from './report.ts'
import { type Settled, settleAll } from './settle.ts'
import { createSupply } from './supply.ts'
import { type Connection, type Opening, relaySource, type Source, type TransmitOutcome } from './transport.ts'

export interface DeliveryParts extends PrepareParts, ComposeParts {
  links: PrepareParts['links'] & ComposeParts['links']
  clock: Clock
  log: Log
  settings: SettingsCache
  profiles: Profiles
  /** None: mail goes directly, or is caught on this machine. */
  relays: readonly Relay[]
  /** How mail goes to the servers of each domain without a relay; unset or null: it does not. */
  direct?: Direct | null
  /** Where those servers are found; unset: on the Internet. */
  mxWorld?: MxWorld
  /** Calls back when messages were queued, if somebody tells. */
  onWake?: (hear: () => void) => void
  /** Where to count; unset: nowhere that anybody looks. */
  metrics?: Metrics
  /** Connections at most, shared among the relays by weight. */
  connections: number
  /** How connections are opened, where it is not as usual. */
  opening?: Omit<Opening, 'signal'>
}

export interface Delivery {
  name: string
  start(): void
  stop(): Promise<void>
}

/** Messages claimed and made at a time; small enough that an opt-out is seen by all but the next few. */
const CLAIM = 150
/** No more of campaigns are claimed while this many of theirs are held; as many of the others are held beside them. */
const MOST_HELD = 600
/** Messages marked as attempted at a time: so many are in doubt when the process is killed. */
const AHEAD = 64
/** What becomes of messages waits this long to be written together, in ms. */
const LINGER = 30
/** Looks by itself this often, in ms, so that nothing depends on being told. */
const POLL = 500
const HEARTBEAT = LEASE / 5
/** What is under way at a stop may finish within this, in ms. */
const FINISH_WITHIN = 5_000
/** Messages for a domain that wants to be left alone for longer than this go back to the queue, in ms. */
const PATIENCE = 2_000

/**
 * The way of a message out of the house: claim → decide again, render → mark as attempted → compose, hand over →
 * settle. Messages move through it in batches, each at its own speed; everything held is leased, so a worker may die
 * at any point.
 */
export function createDelivery(parts: DeliveryParts): Delivery {
  const { db, clock, log, settings, profiles } = parts
  const owner = randomUUID()
  const held = { triggered: new Set<number>(), campaign: new Set<number>() }
  const heldIds = () => [...held.triggered, ...held.campaign]
  const heldOf = ({ campaign_id }: ClaimedMessage) => (campaign_id === null ? held.triggered : held.campaign)
  const holds = cacheHolds(db)
  const pacing = createPacing()
  const line = createLine(pacing)
  const supply = createSupply({
    line,
    pacing,
    ahead: AHEAD,
    async mark(messages) {
      const ids = messages.map(({ message }) => message.id)
      const marked = await markAttempting(db, owner, ids, clock.now())
      return messages.filter(({ message }) => marked.has(message.id))
    },
    lost(messages) {
      for (const { message } of messages) release(message)
    },
  })
  const metrics = createDeliveryMetrics(parts.metrics ?? createMetrics())
  const report = createDeliveryReport(log, metrics)
  const settlers = { db, profiles, owner, metrics, report }
  const settler = coalesce((batch: Settled[]) => settleAll(settlers, batch, clock.now()), {
    linger: LINGER,
  })
  let isStopping = false
  let begun: Promise<void> | null = null
  let heartbeat: NodeJS.Timeout | null = null
  let catcher: Catcher | null = null
  let outlets: Outlets | null = null

  const loop = createWorkLoop({
    turn,
    poll: () => Math.max(50, Math.min(outlets?.wait() ?? POLL, POLL)),
    failed: (error) => log.warn({ err: error }, 'delivery waits for the database'),
  })

  function release(message: ClaimedMessage): void {
    const kind = heldOf(message)
    kind.delete(message.id)
    if (kind.size === MOST_HELD - CLAIM) loop.nudge()
  }

  /** Keeps on trying while the database is away: that a message was accepted must not be forgotten. */
  async function settled(message: ClaimedMessage, settlement: Settled): Promise<void> {
    for (let wait = 250; ; wait = Math.min(wait * 2, 2_000)) {
      try {
        await settler(settlement)
        break
      } catch (error) {
        report.unwritten(error)
        if (isStopping && !(await isReachable(db))) break
        await new Promise((resolve) => setTimeout(resolve, wait))
      }
    }
    release(message)
  }

  const settling = new Set<Promise<void>>()
  function settleSoon(message: ClaimedMessage, consequence: Pick<Settled, 'settlement' | 'change' | 'alarm'>): void {
    const { profile_id, template_id, kind, scheduled_for, created_at } = message
    const facts = { profileId: profile_id, templateId: template_id, kind, since: scheduled_for ?? created_at }
    const done = settled(message, { ...consequence, ...facts })
    settling.add(done)
    void done.finally(() => settling.delete(done))
  }

  async function returnToQueue(messages: readonly ClaimedMessage[], dueAt: Date | null = null): Promise<void> {
    const ids = messages.map((message) => message.id)
    // Should this fail, the leases run out and the messages are taken over.
    await giveBack(db, owner, ids, dueAt).catch((error) => log.warn({ err: error }, 'messages could not be given back'))
    for (const message of messages) release(message)
  }

  async function hand({ draft }: ReadyMessage, connection: Connection): Promise<TransmitOutcome> {
    try {
      const made = await compose(parts, draft, connection.offers)
      return made.ok ? await connection.transmit(made.composed) : { kind: 'unsendable', problem: made.problem }
    } catch (error) {
      log.error({ err: error, message: draft.message.id }, 'a message could not be composed')
      return { kind: 'unsendable', problem: oneLine(error) }
    }
  }

  function done({ message, template }: ReadyMessage, outcome: TransmitOutcome): void {
    metrics.handedOver(outcome)
    const { revisionId } = template
    settleSoon(message, consequenceOf(outcome, message, revisionId, message.attempts + 1, clock.now()))
    if (verdictOn(outcome) === 'slow-down') letRest()
  }

  /** What would wait here for long waits in the queue instead, and leaves room for others. */
  function letRest(): void {
    const now = clock.now().getTime()
    for (const { messages, wait } of line.takePaused(PATIENCE)) {
      void returnToQueue(
        messages.map(({ message }) => message),
        new Date(now + wait),
      )
    }
  }

  async function openSources(): Promise<Source[]> {
    const { relays, direct, mxWorld = internet() } = parts
    if (direct) return [directSource(direct, mxWorld)]
    if (relays.length > 0) return relays.map(relaySource)
    catcher = await startCatcher(db, clock, log)
    return [relaySource(catcher.relay)]
  }

  async function openOutlets(): Promise<Outlets> {
    return createOutlets({
      sources: await openSources(),
      connections: parts.connections,
      opening: parts.opening,
      log,
      supply,
      hand,
      verdictOn,
      done,
      opened: loop.nudge,
      failed: metrics.unreachable,
      unsent: ({ message }) => void returnToQueue([message]).then(loop.nudge),
      closed() {
        void returnToQueue(line.drain().map(({ message }) => message))
        void supply.drain().then((marked) => returnToQueue(marked.map(({ message }) => message)))
      },
    })
  }

  async function prepareBatch(claimed: readonly ClaimedMessage[]): Promise<Prepared[]> {
    const env = { now: clock.now(), settings: await settings.get() }
    try {
      return await prepare(parts, claimed, env)
    } catch (error) {
      if (!(await isReachable(db))) throw error
      log.error({ err: error, messages: claimed.length }, 'a batch of messages could not be made; each is tried alone')
      return Promise.all(
        claimed.map((message) =>
          prepare(parts, [message], env).then(
            (one) => one[0]!,
            (problem): Prepared => ({ kind: 'settled', settlement: setAside(message, problem, env.now) }),
          ),
        ),
      )
    }
  }

  /** Brings claimed messages into the line. */
  async function take(claimed: readonly ClaimedMessage[]): Promise<void> {
    for (const message of claimed) heldOf(message).add(message.id)
    try {
      const { free, kept } = holdBack(claimed, await holds(), clock.now())
      const prepared = free.length > 0 ? await prepareBatch(free) : []
      for (const { message, settlement } of kept) settleSoon(message, { settlement, change: null, alarm: null })
      const ready: ReadyMessage[] = []
      for (const [index, one] of prepared.entries()) {
        if (one.kind === 'ready') ready.push(one.ready)
        else settleSoon(free[index]!, { settlement: one.settlement, change: null, alarm: null })
      }
      if (isStopping || !outlets!.isOpen()) return await returnToQueue(ready.map(({ message }) => message))
      line.add(ready)
      letRest()
      supply.arrived()
    } catch (error) {
      await returnToQueue(claimed)
      throw error
    }
  }

  /** One turn. @returns whether there may be more to do at once */
  async function turn(): Promise<boolean> {
    outlets ??= await openOutlets()
    outlets.tryClosed()
    if (!outlets.isOpen()) return false
    if ((await holds()).everything) return false
    let hasMore = false
    for (const [kind, claimSome] of [
      [held.triggered, claim],
      [held.campaign, claimOfCampaigns],
    ] as const) {
      if (kind.size > MOST_HELD - CLAIM) continue
      const claimed = await claimSome(db, owner, clock.now(), CLAIM)
      if (claimed.length === 0) continue
      await take(claimed)
      hasMore ||= claimed.length >= CLAIM && kind.size <= MOST_HELD - CLAIM
    }
    return hasMore
  }

  async function beat(): Promise<void> {
    try {
      const ids = heldIds()
      await extendLeases(db, owner, ids, clock.now())
      const { triggered, campaigns } = await takeOverExpired(db, ids, clock.now())
      if (triggered > 0) log.warn({ messages: triggered }, 'in doubt after a crash: tried again, same Message-ID')
      if (campaigns > 0) log.warn({ messages: campaigns }, 'campaign messages in doubt after a crash: kept as they are')
    } catch (error) {
      log.debug({ err: error }, 'leases could not be extended')
    }
  }

  return {
    name: 'delivery',
    start() {
      parts.onWake?.(loop.nudge)
      heartbeat = setInterval(beat, HEARTBEAT)
      report.start()
      begun = beat().then(loop.start)
    },
    async stop() {
      isStopping = true
      if (heartbeat) clearInterval(heartbeat)
      await Promise.all([begun, loop.stop()])
      supply.stop()
      await returnToQueue([...line.drain(), ...(await supply.drain())].map(({ message }) => message))
      await outlets?.stop(FINISH_WITHIN)
      await Promise.all(settling)
      report.stop()
      await catcher?.close()
    },
  }
}

/** A defect of ours must not lose the message: it waits for a better version, and for three days at most. */
function setAside(message: ClaimedMessage, problem: unknown, now: Date): Settlement {
  const isOld = now.getTime() - message.created_at.getTime() > 72 * 3_600_000
  return {
    id: message.id,
    state: isOld ? 'failed' : 'deferred',
    reason: isOld ? 'internal' : null,
    reply: oneLine(problem),
    dueAt: isOld ? null : new Date(now.getTime() + 300_000),
    revisionId: null,
  }
}
