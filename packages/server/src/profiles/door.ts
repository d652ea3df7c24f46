import { setTimeout as sleep } from 'node:timers/promises'
import type { AddressHash } from '../account/pepper.ts'
import type { Lists } from '../lists/lists.ts'
import type { Clock } from '../platform/clock.ts'
import { coalesce } from '../platform/coalesce.ts'
import type { Database, Tx } from '../platform/database.ts'
import { isCollision, pauseAfter } from '../platform/rolled-back.ts'
import type { SettingsCache } from '../settings/settings.ts'
import { applyChanges } from './apply.ts'
import type { Belongings } from './belongings.ts'
import type { ChangeOutcome, ProfileChange } from './change.ts'
import { type OwnerlessAddress, refuseForAddress } from './refuse-for-address.ts'
import { WriteConflict } from './working.ts'

/** The one door by which profiles change. */
export interface Profiles {
  /** Applies one change, together with all that are waiting at this moment; durable when it resolves. */
  change(change: ProfileChange): Promise<ChangeOutcome>
  /** Applies many changes in one transaction, in order. */
  changeAll(changes: readonly ProfileChange[]): Promise<ChangeOutcome[]>
  /** Applies changes inside a transaction of the caller's, which must be ready to run again on `isWriteConflict`. */
  changeIn(tx: Tx, changes: readonly ProfileChange[]): Promise<ChangeOutcome[]>
  /** Keeps a refusal with an address that nobody has, in a transaction of the caller's which has locked the address. */
  refuseForAddress(tx: Tx, address: OwnerlessAddress, change: Omit<ProfileChange, 'person' | 'create'>): Promise<void>
}

export interface ProfilesParts {
  db: Database
  clock: Clock
  settings: SettingsCache
  lists: Pick<Lists, 'byIds'>
  hash: AddressHash
  /** What becomes of the rows of every subject when people are merged or erased. */
  belongings: readonly Belongings[]
}

/** Most changes in one transaction. */
const BATCH = 200
/** Transactions under way at once: while one waits for the disk, the next is being prepared. */
const LANES = 1
/** Attempts of a transaction that collides with others; their pauses take about half a second together. */
const ATTEMPTS = 8

/** Opens the door. */
export function createProfiles({ db, clock, settings, lists, hash, belongings }: ProfilesParts): Profiles {
  const context = async (tx: Tx) => ({ now: clock.now(), settings: await settings.get(tx), lists, hash, belongings })
  const changeIn = async (tx: Tx, changes: readonly ProfileChange[]) =>
    applyChanges(tx, changes, await context(tx)).catch(asCollision)

  const changeOnce = (changes: readonly ProfileChange[]) => db.transaction().execute((tx) => changeIn(tx, changes))

  return {
    changeIn,
    changeAll: (changes) => retrying(() => changeOnce(changes)),
    refuseForAddress: async (tx, address, change) =>
      refuseForAddress(tx, address, change, await context(tx)).catch(asCollision),
    // Changes that collide are taken apart and tried again by `coalesce`, each by itself.
    change: coalesce(changeOnce, { atOnce: LANES, size: BATCH }),
  }
}

/** `serialization_failure`: what batches and loops know as a reason to run a transaction again. */
const SERIALIZATION_FAILURE = '40001'

function asCollision(error: unknown): never {
  throw error instanceof WriteConflict ? Object.assign(error, { code: SERIALIZATION_FAILURE }) : error
}

/** Whether a transaction failed only because of another one, and may be run again. */
export function isWriteConflict(error: unknown): boolean {
  return error instanceof WriteConflict || isCollision(error)
}

/** Runs a transaction again, after a short pause, as long as it only collides with others. */
export async function retrying<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run()
    } catch (error) {
      if (attempt >= ATTEMPTS || !isWriteConflict(error)) throw error
    }
    await sleep(pauseAfter(attempt))
  }
}
