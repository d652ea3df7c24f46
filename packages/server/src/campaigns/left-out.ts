import { sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'
import { judge, type Member, readMembers } from './audience.ts'
import { readCap } from './frequency-cap.ts'
import type { Campaign } from './read.ts'

/** Somebody who did not get a campaign, and why. */
export interface LeftOutPerson {
  profileId: number
  address: string
  reason: string
}

/** Who was left out of a campaign that has begun. @param reason only those for this reason; null: all */
export async function listLeftOut(
  q: Queryable,
  campaignId: number,
  reason: string | null,
  limit: number,
): Promise<LeftOutPerson[]> {
  const { rows } = await sql<LeftOutPerson>`
    select profile_id as "profileId", address, coalesce(reason, 'unknown') as reason from message
    where campaign_id = ${campaignId} and state = 'suppressed'
      and (${reason}::text is null or reason = ${reason})
    order by reason, address limit ${limit}`.execute(q)
  return rows
}

/** Members looked at in one go. */
const PART = 5_000

/**
 * Whom a campaign would leave out if it began now, asked of the same decision. Reads the whole audience, in parts.
 *
 * @param limit people named at most; all are counted
 */
export async function forecast(
  q: Queryable,
  { id, listIds, suppressIds, plan }: Campaign,
  limit: number,
  now: Date,
): Promise<{ recipients: number; leftOut: { [reason: string]: number }; people: LeftOutPerson[] }> {
  const leftOut: { [reason: string]: number } = {}
  const people: LeftOutPerson[] = []
  // Several lists may have the same members; with one list nobody need be remembered.
  const seen = listIds.length > 1 ? new Set<number>() : null
  const cap = await readCap(q, { id, plan }, now)
  let recipients = 0
  for (const listId of listIds) {
    let after: { shard: number; profileId: number } | null = { shard: 0, profileId: 0 }
    while (after) {
      const rule = { suppressIds, previousId: plan.previousId, criterion: plan.criterion }
      const part = await readMembers(q, listId, after, PART, rule)
      const fresh = part.members.filter((member) => member.isWanted && isNew(seen, member))
      for (const [index, reason] of (await judge(q, fresh, cap)).entries()) {
        if (reason === null) {
          recipients += 1
          continue
        }
        leftOut[reason] = (leftOut[reason] ?? 0) + 1
        const { profileId, email } = fresh[index]!
        if (people.length < limit) people.push({ profileId, address: email ?? '', reason })
      }
      after = part.last
    }
  }
  return { recipients, leftOut, people }
}

function isNew(seen: Set<number> | null, { profileId }: Member): boolean {
  if (!seen) return true
  if (seen.has(profileId)) return false
  seen.add(profileId)
  return true
}
