import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import type { MessageState, MessageTable } from '../sends/message-table.ts'

/*
 * The mail queue: rows of `message`, claimed in batches. A claim is a lease: its owner extends it while it lives, and
 * when the owner dies the lease runs out and somebody else takes over. Every write of an owner names the owner, so that
 * one who lost a lease without noticing changes nothing.
 */

/** A message as its worker needs it. */
export type ClaimedMessage = Pick<
  MessageTable,
  | 'shard'
  | 'id'
  | 'profile_id'
  | 'template_id'
  | 'revision_id'
  | 'campaign_id'
  | 'kind'
  | 'origin'
  | 'address'
  | 'vars'
  | 'options'
  | 'context'
  | 'attempts'
  | 'doubts'
  | 'scheduled_for'
  | 'created_at'
>

/** How long a lease is good unless its owner extends it, in ms. */
export const LEASE = 30_000

/**
 * Takes messages that are due and belong to no campaign, most urgent first, passing over those that others are taking.
 *
 * @param limit most messages of each priority
 */
export async function claim(db: Database, owner: string, now: Date, limit: number): Promise<ClaimedMessage[]> {
  const { rows } = await sql<ClaimedMessage & { priority: number }>`
    update message m set state = 'leased', lease_owner = ${owner}, lease_until = ${leaseEnd(now)}
    from unnest('{0,1}'::smallint[]) as wanted(priority) cross join lateral (
      select shard, id from message
      where state in ('queued', 'deferred') and campaign_id is null and priority = wanted.priority and due_at <= ${now}
      order by due_at limit ${limit} for update skip locked) due
    where m.shard = due.shard and m.id = due.id
    returning ${CLAIMED}, m.priority`.execute(db)
  return rows.sort((a, b) => a.priority - b.priority || a.id - b.id)
}

/**
 * Takes messages of campaigns that are being sent, the same number of each, so that a small one beside a large one is
 * done as soon as if it were alone with one of its size. A campaign that pauses gives no more from this moment on.
 *
 * @param limit most messages in all; campaigns so many that their shares are smaller than one still get one each
 */
export async function claimOfCampaigns(
  db: Database,
  owner: string,
  now: Date,
  limit: number,
): Promise<ClaimedMessage[]> {
  const { rows } = await sql<ClaimedMessage>`
    with sending as materialized (select id from campaign where status = 'sending' and stopped_at is null)
    update message m set state = 'leased', lease_owner = ${owner}, lease_until = ${leaseEnd(now)}
    from sending cross join lateral (
      select shard, id from message
      where campaign_id = sending.id and state in ('queued', 'deferred') and due_at <= ${now}
      order by due_at limit (select greatest(1, ${limit}::int / count(*)) from sending) for update skip locked) due
    where m.shard = due.shard and m.id = due.id
    returning ${CLAIMED}`.execute(db)
  return rows
}

const CLAIMED = sql.raw(`m.shard, m.id, m.profile_id, m.template_id, m.revision_id, m.campaign_id, m.kind, m.origin,
  m.address, m.vars, m.options, m.context, m.attempts, m.doubts, m.scheduled_for, m.created_at`)

/** Makes leases good for another span. */
export async function extendLeases(db: Database, owner: string, ids: readonly number[], now: Date): Promise<void> {
  if (ids.length === 0) return
  await sql`
    update message m set lease_until = ${leaseEnd(now)}
    from unnest(${ids.map(shardOfId)}::smallint[], ${ids}::bigint[]) as mine(shard, id)
    where m.shard = mine.shard and m.id = mine.id and m.lease_owner = ${owner}
      and m.state in ('leased', 'attempting')`.execute(db)
}

/**
 * Gives back messages that were taken and of which nothing went out; those marked as attempted get their attempt back.
 *
 * @param dueAt not before then
 */
export async function giveBack(
  db: Database,
  owner: string,
  ids: readonly number[],
  dueAt: Date | null = null,
): Promise<void> {
  if (ids.length === 0) return
  await sql`
    update message m set
      state = case when m.attempts > (m.state = 'attempting')::int then 'deferred' else 'queued' end,
      attempts = m.attempts - (m.state = 'attempting')::int,
      due_at = greatest(m.due_at, ${dueAt}::timestamptz), lease_owner = null, lease_until = null
    from unnest(${ids.map(shardOfId)}::smallint[], ${ids}::bigint[]) as mine(shard, id)
    where m.shard = mine.shard and m.id = mine.id and m.state in ('leased', 'attempting')
      and m.lease_owner = ${owner}`.execute(db)
}

/**
 * Takes messages from owners that died. Those that were only `leased` are as good as new. Those in `attempting` are in
 * doubt: the server may have accepted them. A triggered message is awaited by one person, so it is tried again under
 * the same Message-ID rather than lost; one of a campaign rests until an operator says what became of it.
 *
 * @param held what the caller itself is working on
 * @returns how many of each were in doubt
 */
export async function takeOverExpired(
  db: Database,
  held: readonly number[],
  now: Date,
): Promise<{ triggered: number; campaigns: number }> {
  const { rows } = await sql<{ in_doubt: boolean; campaign_id: number | null }>`
    update message m set
      state = case
        when expired.in_doubt and m.campaign_id is not null then 'in_doubt'
        when m.attempts > 0 or expired.in_doubt then 'deferred'
        else 'queued' end,
      reply = case when expired.in_doubt then 'in doubt: the worker ended during the attempt' else m.reply end,
      lease_owner = null, lease_until = null, due_at = least(m.due_at, ${now}::timestamptz),
      settled_at = case when expired.in_doubt and m.campaign_id is not null then ${now}::timestamptz end
    from (select shard, id, state = 'attempting' as in_doubt from message
      where state in ('leased', 'attempting') and lease_until < ${now} and id <> all(${held}::bigint[])
      limit 1000 for update skip locked) expired
    where m.shard = expired.shard and m.id = expired.id
    returning expired.in_doubt, m.campaign_id`.execute(db)
  const inDoubt = rows.filter((row) => row.in_doubt)
  const campaigns = inDoubt.filter((row) => row.campaign_id !== null).length
  return { triggered: inDoubt.length - campaigns, campaigns }
}

/** Written and committed before the content goes out. @returns those that are still the owner's */
export async function markAttempting(
  db: Database,
  owner: string,
  ids: readonly number[],
  now: Date,
): Promise<Set<number>> {
  const { rows } = await sql<{ id: number }>`
    update message m set state = 'attempting', attempts = attempts + 1, lease_until = ${leaseEnd(now)}
    from unnest(${ids.map(shardOfId)}::smallint[], ${ids}::bigint[]) as mine(shard, id)
    where m.shard = mine.shard and m.id = mine.id and m.state = 'leased' and m.lease_owner = ${owner}
    returning m.id`.execute(db)
  return new Set(rows.map((row) => row.id))
}

/** Where a message goes from here. */
export interface Settlement {
  id: number
  state: Extract<MessageState, 'sent' | 'deferred' | 'failed' | 'suppressed' | 'cancelled' | 'in_doubt'>
  reason: string | null
  reply: string | null
  /** When a deferred message is tried again. */
  dueAt: Date | null
  revisionId: number | null
  /** The server may have taken it without saying so. */
  isInDoubt?: boolean
}

/** The statement that writes what became of messages. It returns those that were still the owner's. */
export function settlement(owner: string, settlements: readonly Settlement[], now: Date): RawBuilder<{ id: number }> {
  const column = <T>(read: (one: Settlement) => T) => settlements.map(read)
  return sql<{ id: number }>`
    update message m set state = s.state, reason = s.reason, reply = s.reply,
      due_at = coalesce(s.due_at, m.due_at), revision_id = coalesce(s.revision_id, m.revision_id),
      doubts = m.doubts + s.in_doubt::int,
      sent_at = case when s.state = 'sent' then ${now}::timestamptz end,
      settled_at = case when s.state <> 'deferred' then ${now}::timestamptz end,
      lease_owner = null, lease_until = null
    from unnest(${column((s) => shardOfId(s.id))}::smallint[], ${column((s) => s.id)}::bigint[],
      ${column((s) => s.state)}::text[], ${column((s) => s.reason)}::text[], ${column((s) => s.reply)}::text[],
      ${column((s) => s.dueAt)}::timestamptz[], ${column((s) => s.revisionId)}::int[],
      ${column((s) => s.isInDoubt === true)}::boolean[])
      as s(shard, id, state, reason, reply, due_at, revision_id, in_doubt)
    where m.shard = s.shard and m.id = s.id and m.lease_owner = ${owner} and m.state in ('leased', 'attempting')
    returning m.id`
}

const leaseEnd = (now: Date) => new Date(now.getTime() + LEASE)
