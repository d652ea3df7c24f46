import { randomUUID } from 'node:crypto'
import type { Relay } from '../config.ts'
import type { Clock } from '../platform/clock.ts'
import { coalesce } from '../platform/coalesce.ts'
import { isReachable } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import { oneLine } from '../platform/operator-error.ts'
import type { Profiles } from '../profiles/door.ts'
import type { SettingsCache } from '../settings/settings.ts'
import { type Catcher, startCatcher } from './catcher.ts'
import { createGate } from './gate.ts'
import { createLanes, type Lanes } from './lanes.ts'
import { consequenceOf } from './outcome.ts'
import { type Prepared, type PrepareParts, prepare, type ReadyMessage } from './prepare.ts'
import {
  type ClaimedMessage,
  claim,
  extendLeases,
  giveBack,
  LEASE,
  markAttempting,
  type Settlement,
  takeOverExpired,
} from './queue.ts'
import { type Settled, settleAll } from './settle.ts'
import { openConnection } from './transport.ts'

export interface DeliveryParts extends PrepareParts {
  clock: Clock
  log: Log
  settings: SettingsCache
  profiles: Profiles
  /** Null: mail is caught on this machine. */
  relay: Relay | null
  /** Calls back when messages were queued, if somebody tells. */
  onWake?: (hear: () => void) => void
  /** Connections to the relay at most. */
  connections?: number
}

export interface Delivery {
  name: string
  start(): void
  stop(): Promise<void>
}

/** Messages claimed at a time; small enough that an opt-out is seen by all but the next few. */
const CLAIM = 100
/** No more are claimed while this many are held. */
const MOST_HELD = 300
/** Looks by itself this often, in ms, so that nothing depends on being told. */
const POLL = 500
const HEARTBEAT = LEASE / 5
/** What is under way at a stop may finish within this, in ms. */
const FINISH_WITHIN = 5_000
const CONNECTIONS = 20

/**
 * The way of a message out of the house: claim → decide again, render, compose → mark as attempted → hand over →
 * settle. Messages move through it in batches, each at its own speed; everything held is leased, so a worker may die
 * at any point.
 */
export function createDelivery(parts: DeliveryParts): Delivery {
  const { db, clock, log, settings, profiles } = parts
  const owner = randomUUID()
  const held = new Set<number>()
  const gate = createGate()
  const settler = coalesce((batch: Settled[]) => settleAll({ db, profiles, log, owner }, batch, clock.now()))
  const marker = coalesce(async (ids: number[]) => {
    const marked = await markAttempting(db, owner, ids, clock.now())
    return ids.map((id) => marked.has(id))
  })
  let stopping = false
  let running: Promise<void> | null = null
  let heartbeat: NodeJS.Timeout | null = null
  let relay = parts.relay
  let catcher: Catcher | null = null
  let lanes: Lanes | null = null

  // A call during work is remembered, so that work queued meanwhile does not wait for the next look.
  let called = false
  let wakeIdle: (() => void) | null = null
  const nudge = () => {
    called = true
    wakeIdle?.()
  }
  const idle = (milliseconds: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(() => wakeIdle?.(), milliseconds)
      wakeIdle = () => {
        clearTimeout(timer)
        wakeIdle = null
        resolve()
      }
    })

  function release(id: number): void {
    held.delete(id)
    if (held.size === MOST_HELD - CLAIM) nudge()
  }

  /** Keeps on trying while the database is away: that a message was accepted must not be forgotten. */
  async function settled(settlement: Settled): Promise<void> {
    const { id } = settlement.settlement
    for (let wait = 250; ; wait = Math.min(wait * 2, 2_000)) {
      try {
        await settler(settlement)
        break
      } catch (error) {
        log.warn({ err: error, message: id }, 'what became of a message could not be written yet')
        if (stopping && !(await isReachable(db))) break
        await new Promise((resolve) => setTimeout(resolve, wait))
      }
    }
    release(id)
  }

  const settling = new Set<Promise<void>>()
  function settleSoon(message: ClaimedMessage, consequence: Pick<Settled, 'settlement' | 'change' | 'alarm'>): void {
    const done = settled({ ...consequence, profileId: message.profile_id, templateId: message.template_id })
    settling.add(done)
    void done.finally(() => settling.delete(done))
  }

  async function returnToQueue(ids: readonly number[]): Promise<void> {
    // Should this fail, the leases run out and the messages are taken over.
    await giveBack(db, owner, ids).catch((error) => log.warn({ err: error }, 'messages could not be given back'))
    for (const id of ids) release(id)
  }

  function startLanes(): Lanes {
    return createLanes({
      count: parts.connections ?? CONNECTIONS,
      connect: () => openConnection(relay!),
      mark: marker,
      done({ message, template }, outcome) {
        if (!outcome) return release(message.id)
        const { revisionId } = template
        settleSoon(message, consequenceOf(outcome, message, revisionId, message.attempts + 1, clock.now()))
      },
      unreachable(ready, error, alone) {
        if (!alone) return lanes!.add([ready])
        if (gate.isOpen()) log.warn({ relay: `${relay!.host}:${relay!.port}` }, `the relay is down: ${oneLine(error)}`)
        if (gate.isOpen()) gate.failed()
        const waiting = [ready, ...lanes!.drain()]
        void returnToQueue(waiting.map(({ message }) => message.id))
      },
    })
  }

  /** True when mail can go out. While the relay is down it is tried again, at growing distances. */
  async function isRelayUp(): Promise<boolean> {
    if (!relay) {
      catcher = await startCatcher(db, clock, log)
      relay = catcher.relay
    }
    lanes ??= startLanes()
    if (gate.isOpen()) return true
    if (gate.wait() > 0) return false
    try {
      lanes.lend(await openConnection(relay))
      if (gate.passed()) log.info('the relay is back')
      return true
    } catch (error) {
      const failures = gate.failed()
      log.warn({ failures }, `the relay is still down: ${oneLine(error)}`)
      return false
    }
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

  /** One turn. @returns whether there may be more to do at once */
  async function turn(): Promise<boolean> {
    if (!(await isRelayUp()) || held.size > MOST_HELD - CLAIM) return false
    const claimed = await claim(db, owner, clock.now(), CLAIM)
    if (claimed.length === 0) return false
    for (const { id } of claimed) held.add(id)
    try {
      const prepared = await prepareBatch(claimed)
      const ready: ReadyMessage[] = []
      for (const [index, one] of prepared.entries()) {
        if (one.kind === 'ready') ready.push(one.ready)
        else settleSoon(claimed[index]!, { settlement: one.settlement, change: null, alarm: null })
      }
      if (stopping || !gate.isOpen()) await returnToQueue(ready.map(({ message }) => message.id))
      else lanes!.add(ready)
    } catch (error) {
      await returnToQueue(claimed.map(({ id }) => id))
      throw error
    }
    return claimed.length >= CLAIM
  }

  async function run(): Promise<void> {
    let failures = 0
    while (!stopping) {
      called = false
      let more = false
      try {
        more = await turn()
        failures = 0
      } catch (error) {
        failures += 1
        if (failures === 1) log.warn({ err: error }, 'delivery waits for the database')
      }
      if (stopping || (more && failures === 0)) continue
      if (failures > 0) await idle(Math.min(5_000, 250 * 2 ** failures))
      else if (!called) await idle(gate.isOpen() ? POLL : Math.max(50, Math.min(gate.wait(), POLL)))
    }
  }

  async function beat(): Promise<void> {
    try {
      await extendLeases(db, owner, [...held], clock.now())
      const inDoubt = await takeOverExpired(db, [...held], clock.now())
      if (inDoubt > 0) log.warn({ messages: inDoubt }, 'in doubt after a crash: tried again under the same Message-ID')
    } catch (error) {
      log.debug({ err: error }, 'leases could not be extended')
    }
  }

  return {
    name: 'delivery',
    start() {
      parts.onWake?.(nudge)
      heartbeat = setInterval(beat, HEARTBEAT)
      running = beat().then(run)
    },
    async stop() {
      stopping = true
      nudge()
      if (heartbeat) clearInterval(heartbeat)
      await running
      if (lanes) {
        await returnToQueue(lanes.drain().map(({ message }) => message.id))
        await lanes.stop(FINISH_WITHIN)
      }
      await Promise.all(settling)
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
