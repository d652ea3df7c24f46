import type { AddressHash } from '../account/pepper.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database, Tx } from '../platform/database.ts'
import type { SettingsCache } from '../settings/settings.ts'
import { applyChanges } from './apply.ts'
import type { ChangeOutcome, ProfileChange } from './change.ts'
import { WriteConflict } from './working.ts'

/** The one door by which profiles change. */
export interface Profiles {
  /** Applies one change, together with all that are waiting at this moment; durable when it resolves. */
  change(change: ProfileChange): Promise<ChangeOutcome>
  /** Applies many changes in one transaction, in order. */
  changeAll(changes: readonly ProfileChange[]): Promise<ChangeOutcome[]>
  /** Applies changes inside a transaction of the caller's, which must be ready to run again on `isWriteConflict`. */
  changeIn(tx: Tx, changes: readonly ProfileChange[]): Promise<ChangeOutcome[]>
}

export interface ProfilesParts {
  db: Database
  clock: Clock
  settings: SettingsCache
  hash: AddressHash
}

/** Most changes in one transaction. */
const BATCH = 200
/** Transactions under way at once: while one waits for the disk, the next is being prepared. */
const LANES = 3
const ATTEMPTS = 5

interface Waiting {
  change: ProfileChange
  resolve(outcome: ChangeOutcome): void
  reject(error: unknown): void
}

/** Opens the door. */
export function createProfiles({ db, clock, settings, hash }: ProfilesParts): Profiles {
  const queue: Waiting[] = []
  let busy = 0

  const changeIn = async (tx: Tx, changes: readonly ProfileChange[]) =>
    applyChanges(tx, changes, { now: clock.now(), settings: await settings.get(), hash })

  const changeAll = (changes: readonly ProfileChange[]) =>
    retrying(() => db.transaction().execute((tx) => changeIn(tx, changes)))

  async function work(): Promise<void> {
    busy += 1
    while (queue.length > 0) {
      const batch = queue.splice(0, BATCH)
      try {
        const outcomes = await changeAll(batch.map(({ change }) => change))
        for (const [index, { resolve }] of batch.entries()) resolve(outcomes[index]!)
      } catch (error) {
        // One bad change must not fail its neighbours: each gets a transaction of its own, and its own error.
        if (batch.length === 1) batch[0]!.reject(error)
        else
          for (const { change, resolve, reject } of batch) changeAll([change]).then(([only]) => resolve(only!), reject)
      }
    }
    busy -= 1
  }

  return {
    changeIn,
    changeAll,
    change(change) {
      return new Promise((resolve, reject) => {
        queue.push({ change, resolve, reject })
        // Begun a tick later, so that everything that arrived with it shares the transaction.
        if (busy < LANES) setImmediate(() => busy < LANES && queue.length > 0 && void work())
      })
    },
  }
}

/** Whether a transaction failed only because of another one, and may be run again. */
export function isWriteConflict(error: unknown): boolean {
  const code = (error as { code?: string } | null)?.code
  return error instanceof WriteConflict || code === '40P01' || code === '40001'
}

/** Runs a transaction again as long as it only collides with others. */
export async function retrying<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run()
    } catch (error) {
      if (attempt >= ATTEMPTS || !isWriteConflict(error)) throw error
    }
  }
}
