import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import { asOneStatement } from '../platform/together.ts'
import { type Batch, createBatchBook, forgetting, heldBy, markAttempting, unlisting } from './batches.ts'
import { type ClaimedMessage, giveBack } from './queue.ts'
import { createRoom } from './room.ts'
import { addWorker, removeWorker, renewLease } from './workers.ts'

/** What people wait for, and what campaigns send: each has its own room, so that neither fills the other's. */
type Side = 'triggered' | 'campaign'

/** The messages that this worker holds, in its memory and in the database, and its standing there as a worker. */
export interface Holding {
  /** This worker's number in the database: it gets one at first, and a new one after it was given up for dead. */
  join(): Promise<number>
  /** The number that it has now; 0: none. */
  worker(): number
  /** How many more messages of a side may be taken now. */
  free(side: Side): number
  /**
   * Runs a statement that takes messages. If it fails, the database may have done it and could not say so; `settleDoubt`
   * finds out.
   */
  taking<Answer>(statement: Promise<Answer>): Promise<Answer>
  /** Gives back what this worker holds without knowing. Nothing may be taken meanwhile. */
  settleDoubt(): Promise<void>
  add(batch: Batch, messages: readonly ClaimedMessage[]): void
  /** Lists messages as attempted. @returns false: they are no longer this worker's */
  mark(messages: readonly ClaimedMessage[]): Promise<boolean>
  /** A message went out so many milliseconds after it was decided about. */
  left(message: ClaimedMessage, milliseconds: number): void
  /** A message is not held any more. */
  release(message: ClaimedMessage): void
  /** Back to the queue, not to be taken before `dueAt`. Never rejects: what cannot be given back now is later. */
  giveBack(messages: readonly ClaimedMessage[], dueAt?: Date | null): Promise<void>
  /** Lists that have become empty, for `settleAll` to forget. */
  book: { takeEmpty(): number[]; putBack(batchIds: readonly number[]): void }
  /** Renews the lease and tidies up. @returns false: another worker has taken over, and nothing is held any more */
  renew(): Promise<boolean>
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

export function createHolding({ db, clock, log, hasRoom }: HoldingParts): Holding {
  let worker: number | null = null
  let isUnsure = false
  const book = createBatchBook()
  const held = { triggered: new Set<number>(), campaign: new Set<number>() }
  const rooms = { triggered: createRoom(), campaign: createRoom() }

  async function taking<Answer>(statement: Promise<Answer>): Promise<Answer> {
    try {
      return await statement
    } catch (error) {
      isUnsure = true
      throw error
    }
  }

  const backToQueue = (mine: number, ids: readonly number[], dueAt: Date | null) =>
    asOneStatement(db, [giveBack(mine, ids, dueAt), unlisting(mine, ids)])

  function release(message: ClaimedMessage): void {
    const side = sideOf(message)
    if (!held[side].delete(message.id)) return
    book.remove(message.id)
    if (rooms[side].opensAt(held[side].size)) hasRoom()
  }

  return {
    async join() {
      worker ??= await addWorker(db, clock.now())
      return worker
    },
    worker: () => worker ?? 0,
    free: (side) => rooms[side].free(held[side].size),
    taking,
    async settleDoubt() {
      if (!isUnsure || worker === null) return
      const strays = (await heldBy(db, worker)).filter((id) => !held.triggered.has(id) && !held.campaign.has(id))
      if (strays.length > 0) await backToQueue(worker, strays, null)
      isUnsure = false
    },
    add(batch, messages) {
      book.add(batch)
      for (const message of messages) held[sideOf(message)].add(message.id)
    },
    async mark(messages) {
      const ids = messages.map((message) => message.id)
      const batch = worker === null ? null : await taking(markAttempting(db, worker, ids))
      if (batch) book.add(batch)
      return batch !== null
    },
    left: (message, milliseconds) => rooms[sideOf(message)].left(milliseconds),
    release,
    async giveBack(messages, dueAt = null) {
      if (messages.length > 0 && worker !== null) {
        const ids = messages.map((message) => message.id)
        await taking(backToQueue(worker, ids, dueAt)).catch((error) =>
          log.warn({ err: error }, 'messages could not be given back yet'),
        )
      }
      for (const message of messages) release(message)
    },
    book,
    async renew() {
      if (worker === null) return true
      if (!(await renewLease(db, worker, clock.now()))) {
        worker = null
        book.clear()
        return false
      }
      const empty = book.takeEmpty()
      if (empty.length > 0) await forgetting(worker, empty).execute(db)
      return true
    },
    async leave() {
      if (worker === null) return
      await removeWorker(db, worker).catch((error) => log.debug({ err: error }, 'the worker could not be removed'))
    },
  }
}
