import { type Generated, sql } from 'kysely'
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

/** Makes the lease good for another span. @returns false: another worker has taken over */
export async function renewLease(db: Database, worker: number, now: Date): Promise<boolean> {
  const { numAffectedRows } = await sql`
    update delivery_worker set lease_until = ${leaseEnd(now)} where id = ${worker}`.execute(db)
  return numAffectedRows === 1n
}

/** Removes a worker that holds nothing; one that could not give back everything is left for others to take over. */
export async function removeWorker(db: Database, worker: number): Promise<void> {
  await sql`
    with mine as (
      select b.id, exists (
        select from unnest(b.message_ids) as one(id)
        join message m on m.shard = (one.id & 63)::smallint and m.id = one.id
        where m.worker_id = ${worker} and m.state = 'leased') as holds
      from delivery_batch b where b.worker_id = ${worker}
    ), forgotten as (delete from delivery_batch where id in (select id from mine where not holds))
    delete from delivery_worker where id = ${worker} and not exists (select from mine where holds)`.execute(db)
}

/**
 * Takes messages from workers that died. Those that were only claimed are as good as new. Those whose attempt had begun
 * are in doubt: the server may have accepted them. A triggered message is awaited by one person, so it is tried again
 * under the same Message-ID rather than lost; one of a campaign rests until an operator says what became of it.
 *
 * @returns how many of each were in doubt
 */
export function takeOverExpired(db: Database, now: Date): Promise<{ triggered: number; campaigns: number }> {
  return db.transaction().execute(async (tx) => {
    // By a statement of its own: a list that the worker wrote at the last moment is seen by the next one.
    const { rows: dead } = await sql<{ id: number }>`
      select id from delivery_worker where lease_until < ${now} limit 10 for update skip locked`.execute(tx)
    if (dead.length === 0) return { triggered: 0, campaigns: 0 }
    const workers = dead.map((worker) => worker.id)
    const { rows } = await sql<{ id: number; in_doubt: boolean; of_campaign: boolean }>`
      with listed as (
        select b.worker_id, one.id, bool_or(b.is_attempting) as in_doubt
        from delivery_batch b cross join unnest(b.message_ids) as one(id)
        where b.worker_id = any(${workers}::int[]) group by 1, 2
      ), taken as (
        update message m set
          state = case
            when listed.in_doubt and m.campaign_id is not null then 'in_doubt'
            when m.attempts > 0 or listed.in_doubt then 'deferred'
            else 'queued' end,
          attempts = m.attempts + listed.in_doubt::int,
          reply = case when listed.in_doubt then 'in doubt: the worker ended during the attempt' else m.reply end,
          due_at = case when listed.in_doubt and m.campaign_id is not null then 'infinity'
            else coalesce(m.scheduled_for, m.created_at) end,
          settled_at = case when listed.in_doubt and m.campaign_id is not null then ${now}::timestamptz end,
          worker_id = null
        from listed
        where m.shard = (listed.id & 63)::smallint and m.id = listed.id and m.worker_id = listed.worker_id
          and m.state = 'leased'
        returning m.id, listed.in_doubt, m.campaign_id is not null as of_campaign
      ), forgotten as (delete from delivery_batch where worker_id = any(${workers}::int[]))
      select id, in_doubt, of_campaign from taken where in_doubt`.execute(tx)
    await sql`delete from delivery_worker where id = any(${workers}::int[])`.execute(tx)
    const campaigns = rows.filter((row) => row.of_campaign).length
    return { triggered: rows.length - campaigns, campaigns }
  })
}
