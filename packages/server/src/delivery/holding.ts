import type { Clock } from '../platform/clock.ts'
import { type Database, isAnswerLost } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import { asOneStatement } from '../platform/together.ts'
import { type Batch, createBatchBook, forgetFurther, markAttempting, removeWorker, unlisting } from './batches.ts'
import { type ClaimedMessage, giveBack } from './queue.ts'
import { createRoom } from './room.ts'
import { addWorker, renewLeases, takeStrays } from './workers.ts'

/** What people wait for, and what campaigns send: each has its own room, so that neither fills the other's. */
type Side = 'triggered' | 'campaign'

/**
 * The messages that this worker holds, in its memory and in the database, and its standing there as a worker.
 *
 * Its memory lets go of a message only when the database has said that the message is not held any more. What could not
 * be given back stays here as unsure, and is given back again. What the database gave to this worker without being able
 * to say so is looked for whenever an answer was lost, and at every renewal of the lease.
 *
 * A worker takes a new number when an answer was lost, and keeps the old one for what it holds under it. A statement
 * without an answer may still be waiting somewhere, and be carried out late: it then names a number under which nothing
 * is claimed any more.
 */
export interface Holding {
  /** The number to take messages under: it gets one at first, and a new one when the last is not to be used any more. */
  join(): Promise<number>
  /** How many more messages of a side may be taken now. */
  free(side: Side): number
  /** Waits for a statement about messages. If its answer is lost, `settleDoubt` finds out what it did. */
  asking<Answer>(statement: Promise<Answer>): Promise<Answer>
  /** Gives back what could not be given back before, and what this worker holds without knowing. Nothing may be taken meanwhile. */
  settleDoubt(): Promise<void>
  add(batch: Batch, messages: readonly ClaimedMessage[]): void
  /** Lists messages as attempted. @returns false: they are no longer this worker's. Throws: nobody knows */
  mark(messages: readonly ClaimedMessage[]): Promise<boolean>
  /** A message went out so many milliseconds after it was decided about. */
  left(message: ClaimedMessage, milliseconds: number): void
  /** A message is not held any more, says the database. */
  release(message: ClaimedMessage): void
  /** Back to the queue, not to be taken before `dueAt`. Never rejects: what cannot be given back now is later. */
  giveBack(messages: readonly ClaimedMessage[], dueAt?: Date | null): Promise<void>
  /** Lists that have become empty, for `settleAll` to forget. */
  book: { takeEmpty(): number[] }
  /** Renews the lease. @returns false: another worker has taken over what was held under some number */
  renew(): Promise<boolean>
  /** Whether a message's number is still this worker's. */
  isMine(message: ClaimedMessage): boolean
  /** This worker ends. */
  leave(): Promise<void>
}

interface HoldingParts {
  db: Database
  clock: Clock
  log: Log
  /** There is room again. */
  hasRoom(): void
}

const sideOf = ({ campaign_id }: ClaimedMessage): Side => (campaign_id === null ? 'triggered' : 'campaign')
const idsOf = (messages: readonly ClaimedMessage[]) => messages.map((message) => message.id)
const byWorker = (messages: readonly ClaimedMessage[]) => Map.groupBy(messages, (message) => message.worker_id)

export function createHolding({ db, clock, log, hasRoom }: HoldingParts): Holding {
  /** The number to take messages under, if there is one at the moment. */
  let current: number | null = null
  /** All numbers that this worker has: the current one, and those under which something may still be held. */
  const numbers = new Set<number>()
  /** Something may be held that is not known here. */
  let isUnsure = false
  const book = createBatchBook()
  /** By id, the number that the message is held under. */
  const held = { triggered: new Map<number, number>(), campaign: new Map<number, number>() }
  const rooms = { triggered: createRoom(), campaign: createRoom() }
  /** What is to be given back, and is not known to be. */
  let unsure: Array<{ messages: readonly ClaimedMessage[]; dueAt: Date | null }> = []

  async function asking<Answer>(statement: Promise<Answer>): Promise<Answer> {
    try {
      return await statement
    } catch (error) {
      isUnsure = true
      if (isAnswerLost(error)) current = null
      throw error
    }
  }

  const backToQueue = (worker: number, ids: readonly number[], dueAt: Date | null) =>
    asOneStatement(db, [giveBack(worker, ids, dueAt), unlisting(worker, ids)])

  function release(message: ClaimedMessage): void {
    const side = sideOf(message)
    // The same message may have been claimed again, under another number, after this one was given up for dead.
    if (held[side].get(message.id) !== message.worker_id) return
    held[side].delete(message.id)
    book.remove(message.id)
    if (rooms[side].opensAt(held[side].size)) hasRoom()
  }

  async function back(messages: readonly ClaimedMessage[], dueAt: Date | null): Promise<void> {
    for (const [worker, some] of byWorker(messages)) {
      try {
        await asking(backToQueue(worker, idsOf(some), dueAt))
        for (const message of some) release(message)
      } catch (error) {
        unsure.push({ messages: some, dueAt })
        log.warn({ err: error, messages: some.length }, 'messages could not be given back yet')
      }
    }
  }

  async function backAgain(): Promise<void> {
    const again = unsure
    unsure = []
    for (const { messages, dueAt } of again) await back(messages, dueAt)
  }

  /** Old numbers go when nothing is held under them. */
  async function removeOld(): Promise<void> {
    for (const number of numbers) if (number !== current) await removeWorker(db, number)
  }

  return {
    async join() {
      if (current === null) {
        current = await addWorker(db, clock.now())
        numbers.add(current)
      }
      return current
    },
    free: (side) => rooms[side].free(held[side].size),
    asking,
    async settleDoubt() {
      if (unsure.length > 0) await backAgain()
      if (!isUnsure || numbers.size === 0) return
      // A statement that fails meanwhile asks for another look.
      isUnsure = false
      try {
        const known = [...held.triggered.keys(), ...held.campaign.keys()]
        const { strays, campaigns } = await takeStrays(db, [...numbers], known, clock.now())
        if (strays > 0) log.warn({ messages: strays, inDoubt: campaigns }, 'taken without an answer, and given back')
        await forgetFurther(db, [...numbers], book.known())
        await removeOld()
      } catch (error) {
        isUnsure = true
        throw error
      }
    },
    add(batch, messages) {
      book.add(batch)
      for (const message of messages) held[sideOf(message)].set(message.id, message.worker_id)
    },
    async mark(messages) {
      let areMarked = true
      for (const [worker, some] of byWorker(messages)) {
        const batch = await asking(markAttempting(db, worker, idsOf(some)))
        if (batch) book.add(batch)
        else areMarked = false
      }
      return areMarked
    },
    left: (message, milliseconds) => rooms[sideOf(message)].left(milliseconds),
    release,
    giveBack: (messages, dueAt = null) => back(messages, dueAt),
    book,
    async renew() {
      const mine = [...numbers]
      if (mine.length === 0) return true
      const renewed = await renewLeases(db, mine, clock.now())
      const lost = mine.filter((number) => !renewed.has(number))
      for (const number of lost) numbers.delete(number)
      if (current !== null && !numbers.has(current)) current = null
      isUnsure = true
      const holders = new Set([...held.triggered.values(), ...held.campaign.values()])
      return !lost.some((number) => holders.has(number))
    },
    isMine: (message) => numbers.has(message.worker_id),
    async leave() {
      try {
        await backAgain()
        for (const number of numbers) await removeWorker(db, number)
      } catch (error) {
        log.debug({ err: error }, 'the worker could not be removed')
      }
    },
  }
}
