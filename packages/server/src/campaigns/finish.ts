import { type RawBuilder, sql } from 'kysely'
import { HELD_MESSAGES } from '../delivery/batches.ts'
import { type Found, putBackOfCampaign } from '../delivery/orphans.ts'
import type { Database, Queryable, Tx } from '../platform/database.ts'

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
 * Ends campaigns whose recipients are all written and that have no unfinished message: a question to the messages
 * themselves, so that no counter can be wrong. What is in doubt is finished until an operator decides otherwise.
 *
 * Indexes know what waits and what is on the list of a worker. Whether a message is held and on no list, all messages of
 * the campaign have to say; they are asked only when everything else says that it is complete. An orphan is put back.
 *
 * @param orphans hears of those that were put back
 * @returns ids of those that ended now
 */
export async function completeFinished(
  db: Database,
  now: Date,
  orphans: (found: Found) => void = () => {},
): Promise<number[]> {
  const { rows } = await sql<{ id: number }>`select c.id from campaign c where ${looksFinished(sql`c`)}`.execute(db)
  const ended: number[] = []
  for (const { id } of rows) {
    const outcome = await db.transaction().execute((tx) => endIfFinished(tx, id, now))
    if (outcome === 'ended') ended.push(id)
    else if (outcome) orphans(outcome)
  }
  return ended
}

/** Whether nothing of a campaign waits or is on a list. */
const looksFinished = (c: RawBuilder<unknown>) => sql<boolean>`
  ${c}.status in ('sending', 'cancelled') and ${c}.stopped_at is null
    and not exists (select from campaign_fill where campaign_id = ${c}.id)
    and not exists (select from message where campaign_id = ${c}.id and ${WAITING})
    and not exists (select from ${HELD_MESSAGES} held where held.campaign_id = ${c}.id)`

/** Null: something is unfinished after all, or another worker is at it. */
async function endIfFinished(tx: Tx, id: number, now: Date): Promise<'ended' | Found | null> {
  // Whoever puts messages back locks the campaign too (`reopen`): the statements after this one see them.
  const { rows } = await sql`select from campaign where id = ${id} for update skip locked`.execute(tx)
  if (rows.length === 0) return null
  const { numAffectedRows } = await sql`
    update campaign c set status = case c.status when 'sending' then 'sent' else c.status end, stopped_at = ${now}
    where c.id = ${id} and ${looksFinished(sql`c`)}
      and not exists (select from message where campaign_id = ${id} and state = 'leased')`.execute(tx)
  if (numAffectedRows === 1n) return 'ended'
  const found = await putBackOfCampaign(tx, id, now)
  return found.campaigns > 0 ? found : null
}

/**
 * Lets campaigns go on because some of their messages wait again, as when an operator releases what was in doubt. Call
 * it in the transaction that puts the messages back. It writes the rows of campaigns that have not ended too: one that
 * is just about to end waits for the transaction, and then sees the messages.
 */
export async function reopen(q: Queryable, campaignIds: readonly number[]): Promise<void> {
  await sql`
    update campaign set status = case status when 'sent' then 'sending' else status end, stopped_at = null
    where id = any(${[...new Set(campaignIds)]}::int[]) and status in ('sending', 'sent', 'cancelled')`.execute(q)
}

/**
 * Reopens ended campaigns of which messages wait: nobody would send or cancel them. No statement of ours leaves any
 * behind. Looks once at each campaign of which anything waits, along the index of what waits.
 *
 * @returns their ids
 */
export async function reopenStranded(db: Database): Promise<number[]> {
  const { rows } = await sql<{ id: number }>`
    with recursive waiting(id) as (
      select min(campaign_id) from message where due_at is not null and campaign_id is not null
      union all
      select (select min(campaign_id) from message
        where due_at is not null and campaign_id is not null and campaign_id > waiting.id)
      from waiting where waiting.id is not null
    )
    update campaign c set stopped_at = null, status = case status when 'sent' then 'sending' else status end
    from waiting where c.id = waiting.id and c.status in ('sent', 'cancelled') and c.stopped_at is not null
      and exists (select from message where campaign_id = c.id and ${WAITING})
    returning c.id`.execute(db)
  return rows.map((row) => row.id)
}
