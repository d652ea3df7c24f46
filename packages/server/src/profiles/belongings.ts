import type { AddressHash } from '../account/pepper.ts'
import type { Tx } from '../platform/database.ts'

/**
 * What a subject does with its rows when two people become one, and when a person is erased. Every subject with rows
 * about people has one, all of them are listed in `src/belongings.ts`, and the door calls them in its transaction: it
 * knows of no table but its own.
 */
export interface Belongings {
  /** The folder that owns the rows. */
  subject: string
  /** `from` becomes part of `to`; both are locked. Rows that are looked up by old ids too may stay where they are. */
  merge(tx: Tx, people: { from: number; to: number; now: Date }): Promise<void>
  /** @param erased `ids`: the person and everybody who became part of them */
  erase(tx: Tx, erased: { id: number; ids: readonly number[]; hash: AddressHash }): Promise<void>
}
