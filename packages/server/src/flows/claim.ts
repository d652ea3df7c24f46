import { sql } from 'kysely'
import type { Database } from '../platform/database.ts'
import type { JsonObject } from '../platform/json.ts'
import type { Cause } from '../profiles/change.ts'
import type { Run, RunContext } from './run.ts'
import './tables.ts'

/** How long a worker may take for one step before another worker takes the run from it, in ms. */
export const LEASE = 60_000

interface ClaimedRow {
  shard: number
  id: number
  flow_id: number
  version: number
  profile_id: number
  step_id: string
  visit: number
  cause: JsonObject
  context: JsonObject
  entered_at: Date
}

/**
 * Takes runs that are due, oldest first but flow by flow in turn: a flow with a million of them does not keep the
 * others waiting. What another worker is taking at this moment is passed over.
 *
 * @param owner a name for this very claim: whoever claims later has another, which makes writes of the former void
 */
export async function claimRuns(db: Database, owner: string, limit: number, now: Date): Promise<Run[]> {
  const { rows } = await sql<ClaimedRow>`
    with due as (
      select r.shard, r.id, row_number() over (partition by f.id order by r.due_at) as turn, r.due_at
      from flow f
      cross join lateral (
        select shard, id, due_at from flow_run
        where flow_id = f.id and state <> 'ended' and due_at <= ${now} and (lease_until is null or lease_until <= ${now})
        order by due_at limit ${limit} for update skip locked) r
      where not f.is_held
      order by turn, r.due_at limit ${limit})
    update flow_run set lease_owner = ${owner}, lease_until = ${new Date(now.getTime() + LEASE)}
    from due where flow_run.shard = due.shard and flow_run.id = due.id
    returning flow_run.shard, flow_run.id, flow_id, version, profile_id, step_id, visit, cause, context, entered_at,
      due.turn, due.due_at`.execute(db)
  return rows.map((row) => ({
    shard: row.shard,
    id: row.id,
    flowId: row.flow_id,
    version: row.version,
    profileId: row.profile_id,
    stepId: row.step_id,
    visit: row.visit,
    cause: row.cause as unknown as Cause,
    context: row.context as unknown as RunContext,
    enteredAt: row.entered_at,
  }))
}
