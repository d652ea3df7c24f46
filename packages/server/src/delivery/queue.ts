import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import type { ProfileFacts } from '../profiles/read.ts'
import type { MessageState, MessageTable } from '../sends/message-table.ts'
import { type Batch, batchOf } from './batches.ts'

/*
 * The mail queue: rows of `message`, claimed in batches. A claimed row says which worker holds it, and is not written
 * again before it is known what became of it: how long a claim is good, and what is being attempted, stands in rows of
 * the worker (delivery/workers.ts, delivery/batches.ts). Every write of a worker names it, so that one that was given up
 * for dead without noticing changes nothing.
 *
 * docs/architecture.md ("Who looks after a message") says for every state who may hold a message, and which statement
 * gets it out of there when the answer to any one statement is lost.
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
> & {
  /** The worker that holds it: the number under which it was claimed. */
  worker_id: number
}

/** Messages that were taken together; null: there were none. */
export type Claim = { batch: Batch; messages: ClaimedMessage[] } | null

/** Recipients of a campaign that were written a moment ago, for the worker that wrote them. */
export interface Filled {
  /** Those who get the campaign now; null: nobody of them does. */
  batch: Batch | null
  messages: ClaimedMessage[]
  /** The people behind the messages, by id, as they were read when it was decided about them. */
  people: ReadonlyMap<number, ProfileFacts>
}

/**
 * Takes messages that are due and belong to no campaign, most urgent first, passing over those that others are taking.
 *
 * @param limit most messages of each priority
 */
export async function claim(db: Database, worker: number, now: Date, limit: number): Promise<Claim> {
  const found = await take<{ priority: number }>(
    db,
    worker,
    sql`
      update message m set state = 'leased', worker_id = ${worker}, due_at = null
      from unnest('{0,1}'::smallint[]) as wanted(priority) cross join lateral (
        select shard, id from message
        where due_at is not null and campaign_id is null and priority = wanted.priority and due_at <= ${now}
        order by due_at limit ${limit} for update skip locked) due
      where m.shard = due.shard and m.id = due.id
      returning ${CLAIMED}, m.priority`,
  )
  found?.messages.sort((a, b) => a.priority - b.priority || a.id - b.id)
  return found
}

/**
 * Takes waiting messages of campaigns that are being sent, the same number of each, so that a small one beside a large
 * one is done as soon as if it were alone with one of its size. A campaign that pauses gives no more from this moment on.
 *
 * @param limit most messages in all; campaigns so many that their shares are smaller than one still get one each
 */
export function claimOfCampaigns(db: Database, worker: number, now: Date, limit: number): Promise<Claim> {
  return take(
    db,
    worker,
    sql`
      update message m set state = 'leased', worker_id = ${worker}, due_at = null
      from (select id, count(*) over () as campaigns from campaign where status = 'sending' and stopped_at is null)
        as sending
      cross join lateral (
        select shard, id from message
        where campaign_id = sending.id and due_at is not null and due_at <= ${now}
        order by due_at limit greatest(1, ${limit}::int / sending.campaigns) for update skip locked) due
      where m.shard = due.shard and m.id = due.id
      returning ${CLAIMED}`,
  )
}

/** Those of these campaigns of which nothing goes out at the moment. */
export async function stoppedAmong(db: Database, campaigns: readonly number[]): Promise<Set<number>> {
  const { rows } = await sql<{ id: number }>`
    select id from campaign where id = any(${campaigns}::int[]) and status <> 'sending'`.execute(db)
  return new Set(rows.map((row) => row.id))
}

const CLAIMED = sql.raw(`m.shard, m.id, m.profile_id, m.template_id, m.revision_id, m.campaign_id, m.kind, m.origin,
  m.address, m.vars, m.options, m.context, m.attempts, m.doubts, m.scheduled_for, m.created_at, m.worker_id`)

async function take<More = unknown>(
  db: Database,
  worker: number,
  update: RawBuilder<unknown>,
): Promise<{ batch: Batch; messages: Array<ClaimedMessage & More> } | null> {
  const { rows } = await sql<ClaimedMessage & More & { batch: number }>`
    with taken as (${update}), batch as (${batchOf(worker, sql`taken`)})
    select taken.*, batch.id as batch from taken, batch`.execute(db)
  const [first] = rows
  return first ? { batch: { id: first.batch, messageIds: rows.map((row) => row.id) }, messages: rows } : null
}

/**
 * The statement that puts messages back that were taken and of which nothing went out. It returns their ids.
 *
 * @param dueAt not before then
 */
export function giveBack(worker: number, ids: readonly number[], dueAt: Date | null = null): RawBuilder<unknown> {
  return sql`
    update message m set state = case when m.attempts > 0 then 'deferred' else 'queued' end,
      due_at = greatest(coalesce(m.scheduled_for, m.created_at), ${dueAt}::timestamptz), worker_id = null
    from unnest(${ids.map(shardOfId)}::smallint[], ${ids}::bigint[]) as mine(shard, id)
    where m.shard = mine.shard and m.id = mine.id and m.worker_id = ${worker} and m.state = 'leased'
    returning m.id`
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
  /** Whether this is how an attempt ended. */
  attempted?: boolean
  /** The server may have taken it without saying so. */
  isInDoubt?: boolean
}

/** The end of a message of which nothing went out. */
export function ended(
  message: ClaimedMessage,
  state: Settlement['state'],
  reason: string,
  reply: string | null = null,
): Settlement {
  return { id: message.id, state, reason, reply, dueAt: null, revisionId: message.revision_id }
}

/**
 * The statement that writes what became of messages. It returns those that were still the worker's. In doubt a message
 * is never due, unless an operator says so.
 */
export function settlement(worker: number, settlements: readonly Settlement[], now: Date): RawBuilder<{ id: number }> {
  const column = <T>(read: (one: Settlement) => T) => settlements.map(read)
  return sql<{ id: number }>`
    update message m set state = s.state, reason = s.reason, reply = s.reply,
      due_at = case s.state when 'deferred' then s.due_at when 'in_doubt' then 'infinity'::timestamptz end,
      revision_id = coalesce(s.revision_id, m.revision_id), attempts = m.attempts + s.attempted::int,
      doubts = m.doubts + s.in_doubt::int,
      sent_at = case when s.state = 'sent' then ${now}::timestamptz end,
      settled_at = case when s.state <> 'deferred' then ${now}::timestamptz end, worker_id = null
    from unnest(${column((s) => shardOfId(s.id))}::smallint[], ${column((s) => s.id)}::bigint[],
      ${column((s) => s.state)}::text[], ${column((s) => s.reason)}::text[], ${column((s) => s.reply)}::text[],
      ${column((s) => s.dueAt)}::timestamptz[], ${column((s) => s.revisionId)}::int[],
      ${column((s) => s.attempted === true)}::boolean[], ${column((s) => s.isInDoubt === true)}::boolean[])
      as s(shard, id, state, reason, reply, due_at, revision_id, attempted, in_doubt)
    where m.shard = s.shard and m.id = s.id and m.worker_id = ${worker} and m.state = 'leased'
    returning m.id`
}
