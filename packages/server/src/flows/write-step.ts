import { sql } from 'kysely'
import type { Tx } from '../platform/database.ts'
import { LEASE } from './claim.ts'
import type { EndReason, LogEntry, Run } from './run.ts'
import type { Effect } from './steps/step-type.ts'

/** Where a run is after a step. */
export type Place =
  | { state: 'ready'; stepId: string; keepsLease: boolean }
  | { state: 'waiting'; until: Date }
  | { state: 'blocked'; problem: string; until: Date }
  | { state: 'ended'; reason: EndReason }

/** Writes what a step did and where the run is now, in one statement. */
export async function writeStep(
  tx: Tx,
  owner: string,
  run: Run,
  written: { lineage: string; place: Place; effects: readonly Effect[]; log: readonly LogEntry[]; now: Date },
): Promise<void> {
  const { lineage, place, effects, log, now } = written
  const column = <T, R>(items: readonly T[], read: (item: T) => R) => items.map(read)
  const moves = place.state === 'ready'
  const keepsLease = moves && place.keepsLease
  const dueAt = moves ? now : place.state === 'ended' ? null : place.until
  await sql`
    with effects as (
      insert into flow_effect (shard, run_id, lineage, visit, ordinal, step_id, kind, outcome, detail, at)
      select ${run.shard}, ${run.id}, ${lineage}, ${run.visit}, n - 1, ${run.stepId}, kind, outcome, detail, ${now}
      from unnest(${column(effects, (e) => e.kind)}::text[], ${column(effects, (e) => e.outcome)}::text[],
        ${column(effects, (e) => JSON.stringify(e.detail))}::json[]) with ordinality as e(kind, outcome, detail, n)
    ), logged as (
      insert into flow_log (shard, at, flow_id, version, run_id, profile_id, step_id, visit, type, data)
      select ${run.shard}, ${now}, ${run.flowId}, ${run.version}, ${run.id}, ${run.profileId}, ${run.stepId},
        ${run.visit}, type, data
      from unnest(${column(log, (l) => l.type)}::text[], ${column(log, (l) => JSON.stringify(l.data ?? {}))}::json[])
        with ordinality as l(type, data, n)
      order by n
    )
    update flow_run set
      step_id = ${moves ? place.stepId : run.stepId}, visit = ${moves ? 1 : run.visit}, state = ${place.state},
      due_at = ${dueAt}::timestamptz, attempts = 0, problem = ${place.state === 'blocked' ? place.problem : null},
      lease_owner = ${keepsLease ? owner : null},
      lease_until = ${keepsLease ? new Date(now.getTime() + LEASE) : null}::timestamptz,
      ended_at = ${place.state === 'ended' ? now : null}::timestamptz,
      end_reason = ${place.state === 'ended' ? place.reason : null}
    where shard = ${run.shard} and id = ${run.id}`.execute(tx)
}
