import type { AddressHash } from '../account/pepper.ts'
import type { Lists } from '../lists/lists.ts'
import type { Clock } from '../platform/clock.ts'
import { coalesce } from '../platform/coalesce.ts'
import type { Database, Tx } from '../platform/database.ts'
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
const ATTEMPTS = 5

/** Opens the door. */
export function createProfiles({ db, clock, settings, lists, hash, belongings }: ProfilesParts): Profiles {
  const context = async (tx: Tx) => ({ now: clock.now(), settings: await settings.get(tx), lists, hash, belongings })
  const changeIn = async (tx: Tx, changes: readonly ProfileChange[]) => applyChanges(tx, changes, await context(tx))

  const changeAll = (changes: readonly ProfileChange[]) =>
    retrying(() => db.transaction().execute((tx) => changeIn(tx, changes)))

  return {
    changeIn,
    changeAll,
    refuseForAddress: async (tx, address, change) => refuseForAddress(tx, address, change, await context(tx)),
    change: coalesce(changeAll, { atOnce: LANES, size: BATCH }),
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
