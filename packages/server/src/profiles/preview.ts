import type { Lists } from '../lists/lists.ts'
import type { Queryable } from '../platform/database.ts'
import type { Settings } from '../settings/settings.ts'
import type { ProfileChange } from './change.ts'
import { findProfile } from './read.ts'
import { type Folded, fold } from './rule.ts'

/**
 * What the rule would make of a change of a known person now, for pages that say beforehand what a button does. Nothing
 * is written. Null: nobody is there.
 */
export async function previewChange(
  q: Queryable,
  change: ProfileChange,
  { now, settings, lists }: { now: Date; settings: Settings; lists: Pick<Lists, 'byIds'> },
): Promise<Pick<Folded, 'levelOutcome' | 'joined' | 'stayed'> | null> {
  const before = await findProfile(q, change.person)
  if (!before) return null
  const names = await lists.byIds([...(change.lists?.keys() ?? [])])
  return fold(before, change, {
    now,
    settings,
    // Higher than any that was drawn.
    number: Number.MAX_SAFE_INTEGER,
    addressHmac: () => null,
    listName: (list) => names.get(list)?.name ?? String(list),
  })
}
