import { sql } from 'kysely'
import { type Author, writeAudit } from '../account/audit.ts'
import { reopen } from '../campaigns/finish.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database, Queryable } from '../platform/database.ts'

/** What an operator says of messages of which nobody knows whether they arrived. */
export type Resolution = 'queued' | 'sent' | 'failed'

/** Messages changed in one transaction. */
const AT_ONCE = 5_000

/** Along the index of what waits. */
export const IN_DOUBT = sql<boolean>`due_at = 'infinity' and campaign_id is not null`

/** Messages in doubt by campaign. */
export async function countInDoubt(
  q: Queryable,
  campaignId: number | null = null,
): Promise<Array<{ campaignId: number; name: string; status: string; count: number }>> {
  const { rows } = await sql<{ campaignId: number; name: string; status: string; count: number }>`
    select c.id as "campaignId", c.name, c.status, counted.n::int as count
    from (select campaign_id, count(*) as n from message
      where ${IN_DOUBT} and (${campaignId}::int is null or campaign_id = ${campaignId})
      group by campaign_id) counted
    join campaign c on c.id = counted.campaign_id order by c.id`.execute(q)
  return rows
}

/**
 * Ends the doubt about the messages of a campaign. `queued`: they are sent once more, to some people perhaps a second
 * time, and the campaign goes on; `sent` and `failed` are what the record says from now on. Each step is in the audit.
 *
 * @returns how many
 */
export async function resolveInDoubt(
  db: Database,
  clock: Clock,
  campaignId: number,
  as: Resolution,
  reason: string | null,
  author: Author,
): Promise<number> {
  let count = 0
  for (;;) {
    const at = clock.now()
    const changed = await db.transaction().execute(async (tx) => {
      const { numAffectedRows } = await sql`
        update message m set state = ${as}, reason = ${as === 'failed' ? 'in_doubt' : null},
          due_at = case when ${as} = 'queued' then ${at}::timestamptz end,
          sent_at = case when ${as} = 'sent' then coalesce(m.settled_at, ${at}) end,
          settled_at = case when ${as} <> 'queued' then ${at}::timestamptz end
        from (select shard, id from message where ${IN_DOUBT} and campaign_id = ${campaignId}
          limit ${AT_ONCE} for update skip locked) doubtful
        where m.shard = doubtful.shard and m.id = doubtful.id`.execute(tx)
      const changed = Number(numAffectedRows)
      if (changed === 0) return 0
      if (as === 'queued') await reopen(tx, [campaignId])
      const subject = `campaign ${campaignId}: ${changed} messages`
      await writeAudit(tx, { ...author, at, action: 'in_doubt', subject, from: 'in_doubt', to: as, reason })
      return changed
    })
    count += changed
    if (changed < AT_ONCE) return count
  }
}
