import { sql } from 'kysely'
import { HELD_MESSAGES } from '../delivery/batches.ts'
import type { Database, Queryable } from '../platform/database.ts'

/** Messages cancelled at a time. */
const CANCELLED_AT_ONCE = 5_000

/** Along the index of what waits; what is in doubt waits for an operator only. */
const WAITING = sql<boolean>`due_at is not null and due_at < 'infinity'`

/**
 * Takes back waiting messages of campaigns that were cancelled, some at a time. They cannot go out any more since the
 * cancelling itself; this is what the record says of them. A chunk of recipients that is being written meanwhile holds
 * its place until it is done, and so is seen before the campaign ends.
 *
 * @returns how many
 */
export async function cancelWaiting(db: Database, now: Date, size = CANCELLED_AT_ONCE): Promise<number> {
  const { rows } = await sql<{ n: number }>`
    with unwritten as (
      delete from campaign_fill where campaign_id in (
        select f.campaign_id from campaign_fill f join campaign c on c.id = f.campaign_id
        where c.status = 'cancelled' for update of f skip locked)
    ), waiting as (
      select m.shard, m.id from campaign c cross join lateral (
        select shard, id from message where campaign_id = c.id and ${WAITING}
        limit ${size} for update skip locked) m
      where c.status = 'cancelled' and c.stopped_at is null limit ${size}
    ), cancelled as (
      update message m set state = 'cancelled', due_at = null, reason = 'campaign_cancelled', settled_at = ${now}
      from waiting where m.shard = waiting.shard and m.id = waiting.id returning 1)
    select count(*)::int as n from cancelled`.execute(db)
  return rows[0]?.n ?? 0
}

/**
 * Ends campaigns whose recipients are all written and that have no unfinished message: a question to the messages themselves, so that no counter can be
 * wrong. What is in doubt is finished until an operator decides otherwise.
 *
 * @returns ids of those that ended now
 */
export async function completeFinished(db: Database, now: Date): Promise<number[]> {
  const { rows } = await sql<{ id: number }>`
    update campaign c set status = case c.status when 'sending' then 'sent' else c.status end, stopped_at = ${now}
    where c.status in ('sending', 'cancelled') and c.stopped_at is null
      and not exists (select from campaign_fill where campaign_id = c.id)
      and not exists (select from message where campaign_id = c.id and ${WAITING})
      and not exists (select from ${HELD_MESSAGES} held where held.campaign_id = c.id)
    returning c.id`.execute(db)
  return rows.map((row) => row.id)
}

/**
 * Lets complete campaigns go on because some of their messages wait again, as when an operator releases what was in
 * doubt. Call it in the transaction that puts the messages back.
 */
export async function reopen(q: Queryable, campaignIds: readonly number[]): Promise<void> {
  await sql`
    update campaign set status = 'sending', stopped_at = null
    where id = any(${[...new Set(campaignIds)]}::int[]) and status = 'sent'`.execute(q)
}
