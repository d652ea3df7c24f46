import { reopenStranded } from '../campaigns/finish.ts'
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
import type { ComposeParts } from './compose.ts'
import { createHolding } from './holding.ts'
import { cacheHolds, holdBack } from './holds.ts'
import type { HandOutcome } from './lanes.ts'
import { createLine, domainOf } from './line.ts'
import { createDeliveryMetrics } from './metrics.ts'
import { directSource } from './mx/direct.ts'
import { internet, type MxWorld } from './mx/hosts.ts'
import { watchOver } from './orphans.ts'
import { consequenceOf, verdictOn } from './outcome.ts'
import { createOutlets, type Outlets } from './outlets.ts'
import { createPacing } from './pacing.ts'
import { type Prepared, type PrepareParts, prepare, prepareFresh, type ReadyMessage } from './prepare.ts'
import {
  type Claim,
  type ClaimedMessage,
  claim,
  claimOfCampaigns,
  type Filled,
  type Settlement,
  stoppedAmong,
} from './queue.ts'
import { createRecovery } from './recovery.ts'
import { createDeliveryReport } from './report.ts'
import { type Settled, settleAll } from './settle.ts'
import { createSupply } from './supply.ts'
import { type Offers, type Opening, relaySource, type Source } from './transport.ts'
import { LEASE, takeOverExpired } from './workers.ts'
import { type Written, write } from './write.ts'

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
  /** Writes the next recipients of campaigns, held by this worker; unset: there are no campaigns. */
  fill?: (worker: number, now: Date, limit: number) => Promise<Filled | null>
  /** How connections are opened, where it is not as usual. */
  opening?: Omit<Opening, 'signal'>
}

export interface Delivery {
  name: string
  start(): void
  stop(): Promise<void>
}

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
 * The way of a message out of the house: claim → decide again → list as attempted → render, compose, hand over →
 * settle. Messages move through it in batches, each at its own speed; everything held is leased, so a worker may die
 * at any point.
 */
export function createDelivery(parts: DeliveryParts): Delivery {
  const { db, clock, log, settings, profiles } = parts
  const holding = createHolding({ db, clock, log, hasRoom: () => loop.nudge() })
  const { release, giveBack } = holding
  const holds = cacheHolds(db)
  const pacing = createPacing()
  const line = createLine(pacing)
  const supply = createSupply({
    line,
    pacing,
    ahead: AHEAD,
    mark: (messages) => holding.mark(messages.map(({ message }) => message)),
    lost: (messages) => void giveBack(messages.map(({ message }) => message)),
  })
  const metrics = createDeliveryMetrics(parts.metrics ?? createMetrics())
  const report = createDeliveryReport(log, metrics)
  const recovery = createRecovery({ db, clock, log, wake: () => loop.nudge() })
  const settlers = { db, profiles, book: holding.book, metrics, report }
  const settler = coalesce((batch: Settled[]) => holding.asking(settleAll(settlers, batch, clock.now())), {
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

  /** Keeps on trying while the database is away: that a message was accepted must not be forgotten. */
  async function settled(message: ClaimedMessage, settlement: Settled): Promise<void> {
    for (let wait = 250; ; wait = Math.min(wait * 2, 2_000)) {
      try {
        await settler(settlement)
        break
      } catch (error) {
        report.unwritten(error)
        // The lease runs out, and whoever takes over finds the message on the list of an attempt.
        if (isStopping && !(await isReachable(db))) return
        await new Promise((resolve) => setTimeout(resolve, wait))
      }
    }
    release(message)
  }

  let settling = 0
  let settledAll: (() => void) | null = null
  function settleSoon(message: ClaimedMessage, consequence: Pick<Settled, 'settlement' | 'change' | 'alarm'>): void {
    const { profile_id, template_id, kind, scheduled_for, created_at, worker_id: worker } = message
    const facts = { profileId: profile_id, templateId: template_id, kind, since: scheduled_for ?? created_at, worker }
    settling += 1
    void settled(message, { ...consequence, ...facts }).then(() => {
      settling -= 1
      if (settling === 0) settledAll?.()
    })
  }

  async function writeFor(ready: ReadyMessage, offers: Offers): Promise<Written> {
    try {
      return await write(parts, ready, offers)
    } catch (error) {
      log.error({ err: error, message: ready.message.id }, 'a message could not be written')
      return { kind: 'unsendable', problem: oneLine(error) }
    }
  }

  function done(ready: ReadyMessage, outcome: HandOutcome): void {
    const { message, template, env } = ready
    if (outcome.kind === 'ended') {
      settleSoon(message, { settlement: outcome.settlement, change: null, alarm: null })
      return
    }
    holding.left(message, performance.now() - env.decidedAt)
    metrics.handedOver(outcome)
    recovery.saw(domainOf(ready), outcome)
    const { revisionId } = template
    settleSoon(message, consequenceOf(outcome, message, revisionId, message.attempts + 1, clock.now()))
    if (verdictOn(outcome) === 'slow-down') letRest()
  }

  /** What would wait here for long waits in the queue instead, and leaves room for others. */
  function letRest(): void {
    const now = clock.now().getTime()
    for (const { messages, wait } of line.takePaused(PATIENCE)) {
      void giveBack(
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
      write: writeFor,
      verdictOn: (outcome) => (outcome.kind === 'ended' ? 'other' : verdictOn(outcome)),
      done,
      opened: loop.nudge,
      failed: metrics.unreachable,
      unsent: ({ message }) => void giveBack([message]).then(loop.nudge),
      closed() {
        void giveBack(line.drain().map(({ message }) => message))
        void supply.drain().then((marked) => giveBack(marked.map(({ message }) => message)))
      },
    })
  }

  async function prepareBatch(
    messages: readonly ClaimedMessage[],
    people: Filled['people'] | null,
  ): Promise<Prepared[]> {
    const env = { now: clock.now(), settings: await settings.get(), decidedAt: performance.now() }
    const some = (messages: readonly ClaimedMessage[]) =>
      people ? prepareFresh(parts, messages, people, env) : prepare(parts, messages, env)
    try {
      return await some(messages)
    } catch (error) {
      if (!(await isReachable(db))) throw error
      log.error(
        { err: error, messages: messages.length },
        'a batch of messages could not be prepared; each is tried alone',
      )
      return Promise.all(
        messages.map((message) =>
          some([message]).then(
            (one) => one[0]!,
            (problem): Prepared => ({ kind: 'settled', settlement: setAside(message, problem, env.now) }),
          ),
        ),
      )
    }
  }

  /** Brings messages that this worker holds into the line. */
  async function take(messages: readonly ClaimedMessage[], people: Filled['people'] | null): Promise<void> {
    try {
      const { free, kept } = holdBack(messages, await holds(), clock.now())
      const prepared = free.length > 0 ? await prepareBatch(free, people) : []
      for (const { message, settlement } of kept) settleSoon(message, { settlement, change: null, alarm: null })
      const ready: ReadyMessage[] = []
      for (const [index, one] of prepared.entries()) {
        if (one.kind === 'ready') ready.push(one.ready)
        else settleSoon(free[index]!, { settlement: one.settlement, change: null, alarm: null })
      }
      if (isStopping || !outlets!.isOpen()) return await giveBack(ready.map(({ message }) => message))
      line.add(ready)
      letRest()
      supply.arrived()
    } catch (error) {
      await giveBack(messages)
      throw error
    }
  }

  /** Claims what waits. @returns how many */
  async function takeWaiting(claiming: Promise<Claim>): Promise<number> {
    const claimed = await holding.asking(claiming)
    if (!claimed) return 0
    holding.add(claimed.batch, claimed.messages)
    await take(claimed.messages, null)
    return claimed.messages.length
  }

  /** Writes recipients of campaigns and takes them. @returns whether there were any */
  async function takeRecipients(mine: number, limit: number): Promise<boolean> {
    if (!parts.fill) return false
    let filled: Filled | null
    try {
      filled = await holding.asking(parts.fill(mine, clock.now(), limit))
    } catch (error) {
      if (!(await isReachable(db))) throw error
      // A campaign that cannot go on holds up neither the others nor what people wait for.
      report.unfilled(error)
      return false
    }
    if (!filled) return false
    const { batch, messages, people } = filled
    if (batch) {
      holding.add(batch, messages)
      await take(messages, people)
    }
    return true
  }

  /** What waits here of campaigns that were paused or cancelled a moment ago goes back. */
  async function letGoOfStopped(): Promise<void> {
    const ids = line.campaigns()
    if (ids.size === 0) return
    const stopped = await stoppedAmong(db, [...ids])
    if (stopped.size > 0) await giveBack(line.takeCampaigns(stopped).map(({ message }) => message))
  }

  /** One turn. @returns whether there may be more to do at once */
  async function turn(): Promise<boolean> {
    const mine = await holding.join()
    await holding.settleDoubt()
    outlets ??= await openOutlets()
    outlets.tryClosed()
    if (!outlets.isOpen()) return false
    if ((await holds()).everything) return false
    let hasMore = false
    const free = holding.free('triggered')
    if (free > 0) hasMore = (await takeWaiting(claim(db, mine, clock.now(), free))) >= free
    await letGoOfStopped()
    const freeForCampaigns = holding.free('campaign')
    if (freeForCampaigns > 0) {
      const left = freeForCampaigns - (await takeWaiting(claimOfCampaigns(db, mine, clock.now(), freeForCampaigns)))
      if (left <= 0 || (await takeRecipients(mine, left))) hasMore = true
    }
    return hasMore
  }

  async function beat(): Promise<void> {
    try {
      if (!(await holding.renew())) forgetAll()
      const { triggered, campaigns } = await takeOverExpired(db, clock.now())
      if (triggered > 0) log.warn({ messages: triggered }, 'in doubt after a crash: tried again, same Message-ID')
      if (campaigns > 0) log.warn({ messages: campaigns }, 'campaign messages in doubt after a crash: kept as they are')
      const found = await watchOver(db, clock.now(), log)
      for (const campaign of await reopenStranded(db)) log.error({ campaign }, 'an ended campaign had messages waiting')
      if (triggered + campaigns + found > 0) loop.nudge()
    } catch (error) {
      log.debug({ err: error }, 'the lease could not be renewed, or what is lost not looked for')
    }
  }

  /** This worker was so slow that another one took over what it held; it goes on as a new one. */
  function forgetAll(): void {
    log.warn('this worker was given up for dead; what it held belongs to another')
    const letGo = (some: readonly ReadyMessage[]) => {
      const messages = some.map(({ message }) => message)
      for (const message of messages) if (!holding.isMine(message)) release(message)
      return giveBack(messages.filter(holding.isMine))
    }
    void letGo(line.drain())
    void supply.drain().then(letGo)
    loop.nudge()
  }

  return {
    name: 'delivery',
    start() {
      parts.onWake?.(loop.nudge)
      heartbeat = setInterval(beat, HEARTBEAT)
      report.start()
      recovery.start()
      begun = beat().then(loop.start)
    },
    async stop() {
      isStopping = true
      if (heartbeat) clearInterval(heartbeat)
      await Promise.all([begun, loop.stop()])
      supply.stop()
      await giveBack([...line.drain(), ...(await supply.drain())].map(({ message }) => message))
      await outlets?.stop(FINISH_WITHIN)
      if (settling > 0) await new Promise<void>((resolve) => (settledAll = resolve))
      await recovery.stop()
      report.stop()
      await catcher?.close()
      await holding.leave()
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
