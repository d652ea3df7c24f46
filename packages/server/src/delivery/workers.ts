import { type Generated, type RawBuilder, sql } from 'kysely'
import type { Database } from '../platform/database.ts'

/*
 * Workers that deliver. A worker has one row with one lease, which covers everything it holds: while it renews that,
 * nobody touches its messages; when it stops to, another worker takes them over. Each of its lists of held messages
 * refers to that row (delivery/batches.ts), so a worker that was given up for dead cannot begin an attempt any more: the
 * database refuses the list.
 */

declare module '../platform/database.ts' {
  interface Schema {
    delivery_worker: { id: Generated<number>; lease_until: Date }
  }
}

/** How long a lease is good unless its worker renews it, in ms. */
export const LEASE = 30_000

const leaseEnd = (now: Date) => new Date(now.getTime() + LEASE)

/** A new worker. @returns its number */
export async function addWorker(db: Database, now: Date): Promise<number> {
  const { rows } = await sql<{ id: number }>`
    insert into delivery_worker (lease_until) values (${leaseEnd(now)}) returning id`.execute(db)
  return rows[0]!.id
}

/** Makes leases good for another span. @returns those that are: of the others, another worker has taken over */
export async function renewLeases(db: Database, workers: readonly number[], now: Date): Promise<Set<number>> {
  const { rows } = await sql<{ id: number }>`
    update delivery_worker set lease_until = ${leaseEnd(now)} where id = any(${workers}::int[]) returning id`.execute(
    db,
  )
  return new Set(rows.map((row) => row.id))
}

/** Messages that were in doubt when they were taken back. */
export interface Doubtful {
  triggered: number
  campaigns: number
}

/**
 * Takes messages from workers that died. Those that were only claimed are as good as new. Those whose attempt had begun
 * are in doubt: the server may have accepted them. A triggered message is awaited by one person, so it is tried again
 * under the same Message-ID rather than lost; one of a campaign rests until an operator says what became of it.
 *
 * @returns how many of each were in doubt
 */
export function takeOverExpired(db: Database, now: Date): Promise<Doubtful> {
  return db.transaction().execute(async (tx) => {
    // By a statement of its own: a list that the worker wrote at the last moment is seen by the next one.
    const { rows: dead } = await sql<{ id: number }>`
      select id from delivery_worker where lease_until < ${now} limit 10 for update skip locked`.execute(tx)
    if (dead.length === 0) return { triggered: 0, campaigns: 0 }
    const workers = dead.map((worker) => worker.id)
    const { rows } = await sql<TakenBack>`
      with taken as (${takingBack(workers, [], 'in doubt: the worker ended during the attempt', now)}),
      forgotten as (delete from delivery_batch where worker_id = any(${workers}::int[]))
      select in_doubt, of_campaign from taken where in_doubt`.execute(tx)
    await sql`delete from delivery_worker where id = any(${workers}::int[])`.execute(tx)
    return doubtfulAmong(rows)
  })
}

/**
 * Takes back what the database gave to a worker that never heard of it, as when the answer to a claim was lost. No
 * statement that takes messages for these workers may be under way.
 *
 * @param known what the worker holds to its own knowledge
 * @returns how many were taken back, and how many of them were in doubt
 */
export async function takeStrays(
  db: Database,
  workers: readonly number[],
  known: readonly number[],
  now: Date,
): Promise<Doubtful & { strays: number }> {
  const { rows } = await sql<TakenBack>`
    with taken as (${takingBack(workers, known, 'in doubt: the worker lost sight of the attempt', now)}),
    unlisted as (
      update delivery_batch set message_ids = array(select unnest(message_ids) except select id from taken)
      where worker_id = any(${workers}::int[]) and message_ids && (select array_agg(id) from taken))
    select in_doubt, of_campaign from taken`.execute(db)
  return { strays: rows.length, ...doubtfulAmong(rows.filter((row) => row.in_doubt)) }
}

interface TakenBack {
  in_doubt: boolean
  of_campaign: boolean
}

function doubtfulAmong(rows: readonly TakenBack[]): Doubtful {
  const campaigns = rows.filter((row) => row.of_campaign).length
  return { triggered: rows.length - campaigns, campaigns }
}

/** The statement that takes back what workers hold besides `known`. Their lists are for others to change. */
function takingBack(
  workers: readonly number[],
  known: readonly number[],
  words: string,
  now: Date,
): RawBuilder<TakenBack & { id: number }> {
  return sql`
    update message m set
      state = case
        when listed.in_doubt and m.campaign_id is not null then 'in_doubt'
        when m.attempts > 0 or listed.in_doubt then 'deferred'
        else 'queued' end,
      attempts = m.attempts + listed.in_doubt::int,
      reply = case when listed.in_doubt then ${words} else m.reply end,
      due_at = case when listed.in_doubt and m.campaign_id is not null then 'infinity'
        else coalesce(m.scheduled_for, m.created_at) end,
      settled_at = case when listed.in_doubt and m.campaign_id is not null then ${now}::timestamptz end,
      worker_id = null
    from (
      select b.worker_id, one.id, bool_or(b.is_attempting) as in_doubt
      from delivery_batch b cross join unnest(b.message_ids) as one(id)
      where b.worker_id = any(${workers}::int[]) and one.id not in (select unnest(${known}::bigint[]))
      group by 1, 2) listed
    where m.shard = (listed.id & 63)::smallint and m.id = listed.id and m.worker_id = listed.worker_id
      and m.state = 'leased'
    returning m.id, listed.in_doubt, m.campaign_id is not null as of_campaign`
}
