import { sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'
import type { FlowStatus } from './tables.ts'

/** A flow as lists of flows show it. */
export interface FlowSummary {
  id: number
  name: string
  status: FlowStatus
  isHeld: boolean
  version: number | null
  /** Runs started, of all versions. */
  entered: number
  inProgress: number
  /** Those in progress that need an operator. */
  blocked: number
  ended: number
  /** Entries that the rules of re-entry, loops and limits turned away. */
  refused: number
  modifiedAt: Date
}

/** All flows by name. Always `entered = inProgress + ended`. */
export async function listFlows(q: Queryable): Promise<FlowSummary[]> {
  const { rows } = await sql<FlowSummary>`
    select f.id, f.name, f.status, f.is_held as "isHeld", f.active_version as version, f.modified_at as "modifiedAt",
      coalesce(r.entered, 0) as entered, coalesce(r.live, 0) as "inProgress", coalesce(r.blocked, 0) as blocked,
      coalesce(r.entered - r.live, 0) as ended, coalesce(m.refused, 0) as refused
    from flow f
    left join lateral (
      select count(*) as entered, count(*) filter (where state <> 'ended' and epoch = f.epoch) as live,
        count(*) filter (where state = 'blocked' and epoch = f.epoch) as blocked
      from flow_run where flow_id = f.id) r on true
    left join lateral (
      select count(*) as refused from flow_match
      where flow_id = f.id and outcome not in ('started', 'filtered')) m on true
    where f.deleted_at is null
    order by f.name collate "C"`.execute(q)
  return rows
}

/** What holds up the runs of a flow, most frequent first. */
export async function listProblems(q: Queryable, flowId: number): Promise<Array<{ problem: string; runs: number }>> {
  const { rows } = await sql<{ problem: string; runs: number }>`
    select problem, count(*) as runs from flow_run
    where flow_id = ${flowId} and state = 'blocked' group by problem order by runs desc limit 20`.execute(q)
  return rows
}
