import type { Tx } from '../platform/database.ts'
import type { ChangeOutcome, ProfileChange } from '../profiles/change.ts'
import { retrying } from '../profiles/door.ts'
import type { PageParts } from './parts.ts'

/** What belongs into the transaction of a change; may run more than once, when writers collide. */
export type Also = (tx: Tx, outcome: Extract<ChangeOutcome, { ok: true }>) => Promise<void>

/** Applies a change that somebody made on a page, with what belongs to it. Without that, changes share transactions. */
export async function applyChange(
  { db, profiles }: Pick<PageParts, 'db' | 'profiles'>,
  change: ProfileChange,
  also: readonly Also[],
): Promise<ChangeOutcome> {
  if (also.length === 0) return profiles.change(change)
  return retrying(() =>
    db.transaction().execute(async (tx) => {
      const [outcome] = await profiles.changeIn(tx, [change])
      if (outcome!.ok) for (const one of also) await one(tx, outcome!)
      return outcome!
    }),
  )
}
