import { domainOf, type Line } from './line.ts'
import type { Pacing, Verdict } from './pacing.ts'
import type { ReadyMessage } from './prepare.ts'

/**
 * What lanes are fed from: messages that are marked as attempted in the database, so that they may be handed over. They
 * are marked some at a time and a little ahead of the lanes, as a mark has to reach the disk; that many are in doubt
 * when the process is killed. Nothing is marked unless a lane with a connection asks.
 */
export interface Supply {
  /** Waits until something is in line; false: no more comes. */
  untilWork(): Promise<boolean>
  /** A message that may be handed over; null when none came for so many milliseconds, or no more comes. */
  next(patience: number): Promise<ReadyMessage | null>
  /** The same at once; null when none is marked at this moment. */
  take(): ReadyMessage | null
  /** Messages came into the line. */
  arrived(): void
  /** A message that came from here is done. */
  ended(ready: ReadyMessage, verdict: Verdict): void
  /** Takes back what was marked and not given out, and what is being marked at the moment. */
  drain(): Promise<ReadyMessage[]>
  /** Gives out no more. */
  stop(): void
}

export interface SupplyParts {
  line: Line
  pacing: Pacing
  /** Messages to mark at a time. */
  ahead: number
  /** Marks messages. @returns false: they are no longer ours */
  mark(messages: readonly ReadyMessage[]): Promise<boolean>
  /** Messages that somebody else holds now, or that could not be marked. */
  lost(messages: readonly ReadyMessage[]): void
}

/** A domain's pause is waited for at least this long, in ms. */
const SHORTEST_LOOK = 10

export function createSupply({ line, pacing, ahead, mark, lost }: SupplyParts): Supply {
  const marked: ReadyMessage[] = []
  const takers: Array<(ready: ReadyMessage | null) => void> = []
  const sleepers: Array<(hasWork: boolean) => void> = []
  let marking: Promise<void> | null = null
  let isStopped = false
  let look: NodeJS.Timeout | null = null

  /** Marks the next messages in line when few are left. */
  function refill(): void {
    if (isStopped || marking || marked.length > ahead / 2 || line.size === 0) return
    const messages = line.take(ahead)
    if (messages.length > 0) marking = markAll(messages)
    else lookAgain()
  }

  async function markAll(messages: readonly ReadyMessage[]): Promise<void> {
    const areMarked = await mark(messages).catch(() => false)
    marking = null
    if (areMarked) marked.push(...messages)
    else {
      for (const message of messages) pacing.ended(domainOf(message), 'other')
      lost(messages)
    }
    while (takers.length > 0 && marked.length > 0) takers.shift()!(marked.shift()!)
    if (takers.length > 0) refill()
  }

  function take(): ReadyMessage | null {
    const first = isStopped ? undefined : marked.shift()
    refill()
    return first ?? null
  }

  /** Domains that pause become ready by time alone. */
  function lookAgain(): void {
    const wait = line.wait()
    if (look || wait === Infinity) return
    look = setTimeout(
      () => {
        look = null
        if (takers.length > 0) refill()
      },
      Math.max(SHORTEST_LOOK, wait),
    )
  }

  return {
    untilWork() {
      if (isStopped) return Promise.resolve(false)
      if (line.size + marked.length > 0) return Promise.resolve(true)
      return new Promise((resolve) => sleepers.push(resolve))
    },
    take,
    next(patience) {
      if (isStopped) return Promise.resolve(null)
      const first = take()
      if (first) return Promise.resolve(first)
      return new Promise((resolve) => {
        const take = (ready: ReadyMessage | null) => {
          clearTimeout(timeout)
          resolve(ready)
        }
        const timeout = setTimeout(() => {
          takers.splice(takers.indexOf(take), 1)
          resolve(null)
        }, patience)
        takers.push(take)
        refill()
      })
    },
    arrived() {
      for (const wake of sleepers.splice(0)) wake(true)
      if (takers.length > 0) refill()
    },
    ended(ready, verdict) {
      pacing.ended(domainOf(ready), verdict)
      if (takers.length > 0) refill()
    },
    async drain() {
      // Left alone, it would be taken for messages in doubt once the leases run out.
      await marking
      const left = marked.splice(0)
      for (const message of left) pacing.ended(domainOf(message), 'other')
      return left
    },
    stop() {
      isStopped = true
      if (look) clearTimeout(look)
      for (const take of takers.splice(0)) take(null)
      for (const wake of sleepers.splice(0)) wake(false)
    },
  }
}
