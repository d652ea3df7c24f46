import { sql } from 'kysely'
import type { Clock } from '../platform/clock.ts'
import type { Database, Queryable } from '../platform/database.ts'
import './tables.ts'

export type Operated = { ok: true; runs: number } | { ok: false; problem: 'unknown_flow' }

/**
 * Switches a flow off at once, however many people are inside: a higher epoch makes every run in progress one of the
 * past, for counts immediately and for its row when it is next due. Publishing again starts empty.
 *
 * @returns runs that were in progress
 */
export async function deactivateFlow(db: Database, clock: Clock, name: string): Promise<Operated> {
  const now = clock.now()
  return db.transaction().execute(async (tx): Promise<Operated> => {
    const { rows } = await sql<{ id: number; epoch: number; status: string }>`
      select id, epoch, status from flow where name = ${name} and deleted_at is null for update`.execute(tx)
    const [flow] = rows
    if (!flow) return { ok: false, problem: 'unknown_flow' }
    if (flow.status === 'inactive') return { ok: true, runs: 0 }
    const live = await sql<{ n: number }>`
      select count(*)::int as n from flow_run
      where flow_id = ${flow.id} and state <> 'ended' and epoch = ${flow.epoch}`.execute(tx)
    await sql`delete from flow_trigger where flow_id = ${flow.id}`.execute(tx)
    await sql`update flow set status = 'inactive', epoch = epoch + 1, modified_at = ${now}
      where id = ${flow.id}`.execute(tx)
    await logStatus(tx, flow.id, now, 'inactive')
    return { ok: true, runs: live.rows[0]?.n ?? 0 }
  })
}

/** Puts an operator's brake on a flow, or takes it off. Held, people still enter, but nobody moves. */
export async function holdFlow(db: Database, clock: Clock, name: string, held: boolean): Promise<Operated> {
  const now = clock.now()
  const { rows } = await sql<{ id: number }>`
    update flow set is_held = ${held}, modified_at = ${now} where name = ${name} and deleted_at is null
    returning id`.execute(db)
  const [flow] = rows
  if (!flow) return { ok: false, problem: 'unknown_flow' }
  await logStatus(db, flow.id, now, held ? 'held' : 'released')
  return { ok: true, runs: 0 }
}

/** Lets blocked runs try their step again. @returns how many */
export async function retryBlocked(db: Database, clock: Clock, name: string): Promise<Operated> {
  const now = clock.now()
  const { rows } = await sql<{ id: number; runs: number }>`
    with wanted as (select id from flow where name = ${name} and deleted_at is null),
    unblocked as (
      update flow_run r set state = 'ready', due_at = ${now}, attempts = 0, problem = null, lease_until = null,
        lease_owner = null
      from wanted where r.flow_id = wanted.id and r.state = 'blocked'
      returning r.*),
    logged as (
      insert into flow_log (shard, at, flow_id, version, run_id, profile_id, step_id, visit, type)
      select shard, ${now}, flow_id, version, id, profile_id, step_id, visit, 'run.unblocked' from unblocked)
    select id, (select count(*) from unblocked) as runs from wanted`.execute(db)
  const [flow] = rows
  return flow ? { ok: true, runs: flow.runs } : { ok: false, problem: 'unknown_flow' }
}

async function logStatus(q: Queryable, flowId: number, now: Date, status: string): Promise<void> {
  await sql`insert into flow_log (shard, at, flow_id, type, data)
    values (0, ${now}, ${flowId}, 'flow.status', ${JSON.stringify({ status })})`.execute(q)
}
