import { addressHashWith } from '../../src/account/pepper.ts'
import { BELONGINGS } from '../../src/belongings.ts'
import { createLists } from '../../src/lists/lists.ts'
import { movableClock } from '../../src/platform/clock.ts'
import type { Act, ProfileChange } from '../../src/profiles/change.ts'
import { createProfiles } from '../../src/profiles/door.ts'
import { cacheSettings } from '../../src/settings/settings.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

export const API: Act = { via: 'api', evidence: 0, listSource: 'user_api' }
export const PAGE: Act = { via: 'hosted_page', evidence: 2, listSource: 'hosted_page' }
export const CONFIRM: Act = { via: 'confirm_link', evidence: 4, listSource: 'confirm_link' }

/** A database of its own with the profile door open on it and a clock that is moved. */
export async function house() {
  const fresh: FreshDatabase = await freshDatabase()
  const clock = movableClock('2026-03-02T10:00:00Z')
  const settings = cacheSettings(fresh.db)
  const lists = createLists({ db: fresh.db, clock })
  const hash = addressHashWith(Buffer.from('pepper'))
  const profiles = createProfiles({ db: fresh.db, clock, settings, lists, hash, belongings: BELONGINGS })
  return { ...fresh, clock, settings, profiles }
}

/** A change to the owner of an address. */
export function to(email: string, change: Partial<ProfileChange> = {}): ProfileChange {
  return { person: { kind: 'email', value: email }, act: API, ...change }
}
