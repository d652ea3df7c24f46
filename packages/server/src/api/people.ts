import { type Activity, NO_ACTIVITY, readActivity } from '../activity/read.ts'
import type { Deliverability } from '../consent/decide.ts'
import { loadRecipients, type WantedRecipient } from '../consent/recipients.ts'
import { coalesce } from '../platform/coalesce.ts'
import type { Database } from '../platform/database.ts'
import type { PersonRef, ProfileState } from '../profiles/change.ts'
import { findProfiles } from '../profiles/read.ts'

/** Reads about people, where calls that arrive together share their statements. */
export interface People {
  find(ref: PersonRef): Promise<ProfileState | null>
  /** What is known of a person's mailbox; nothing for a person without one. */
  deliverability(profile: ProfileState): Promise<Deliverability>
  /** Opens and clicks of a person. */
  activity(profile: ProfileState): Promise<Activity>
}

/** Batches in the database at the same time: while one is read, the next gathers. */
const AT_ONCE = 2

export function createPeople(db: Database): People {
  const find = coalesce((refs: PersonRef[]) => findProfiles(db, refs), { atOnce: AT_ONCE })
  const recipient = coalesce((wanted: WantedRecipient[]) => loadRecipients(db, wanted), { atOnce: AT_ONCE })
  const activity = coalesce(
    async (ids: number[]) => {
      const found = await readActivity(db, ids)
      return ids.map((id) => found.get(id) ?? NO_ACTIVITY)
    },
    { atOnce: AT_ONCE },
  )
  return {
    find,
    activity: ({ id }) => activity(id),
    async deliverability({ id, email }) {
      if (email === null) return 'unknown'
      return (await recipient({ profileId: id, address: email, templateId: null }))?.deliverability ?? 'unknown'
    },
  }
}
