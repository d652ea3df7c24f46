import { sql } from 'kysely'
import type { Tx } from '../platform/database.ts'
import type { Signal } from './cause.ts'
import type { Definitions } from './definitions.ts'
import type { Encounter, Exit, Match, WaitingFlow } from './match.ts'
import { presenceKey } from './match.ts'
import { hourBefore, type Presence } from './reentry.ts'
import type { FlowStatus } from './tables.ts'

/** Finds the flows that wait for signals. Encounters come in the order of the signals, then of the flows. */
export async function findEncounters(
  tx: Tx,
  definitions: Definitions,
  signals: readonly Signal[],
): Promise<Encounter[]> {
  const { rows } = await sql<{
    type: string
    key: string
    id: number
    version: number
    epoch: number
    status: FlowStatus
  }>`
    select t.type, t.key, f.id, t.version, f.epoch, f.status
    from (select distinct type, key from unnest(${signals.map((s) => s.type)}::text[],
      ${signals.map((s) => s.key)}::text[]) as s(type, key)) s
    join flow_trigger t using (type, key)
    join flow f on f.id = t.flow_id
    order by f.id`.execute(tx)
  const waiting = new Map<string, WaitingFlow[]>()
  for (const { type, key, ...flow } of rows) {
    const definition = await definitions.get(tx, flow.id, flow.version)
    const place = `${type} ${key}`
    waiting.set(place, [...(waiting.get(place) ?? []), { ...flow, definition }])
  }
  return signals.flatMap((signal) =>
    (waiting.get(`${signal.type} ${signal.key}`) ?? []).map((flow): Encounter => ({ signal, flow })),
  )
}

/** How the people of the encounters stand to the flows. Runs left over from before a switch-off are ended on the way. */
export async function loadPresences(
  tx: Tx,
  encounters: readonly Encounter[],
  now: Date,
): Promise<Map<string, Presence>> {
  const pairs = new Map(encounters.map((one) => [presenceKey(one.flow.id, one.signal.profileId), one]))
  if (pairs.size === 0) return new Map()
  const column = <T>(read: (encounter: Encounter) => T) => [...pairs.values()].map(read)
  const { rows } = await sql<{
    flow_id: number
    profile_id: number
    first_at: Date | null
    last_at: Date | null
    entries: number | null
    live: number
    stale: number
    last_hour: number
  }>`
    select w.flow_id, w.profile_id, m.first_at, m.last_at, m.entries, r.live, r.stale, r.last_hour
    from unnest(${column(({ signal }) => signal.shard)}::smallint[], ${column(({ signal }) => signal.profileId)}::bigint[],
      ${column(({ flow }) => flow.id)}::int[], ${column(({ flow }) => flow.epoch)}::int[])
      as w(shard, profile_id, flow_id, epoch)
    left join flow_memory m using (shard, flow_id, profile_id)
    cross join lateral (
      select count(*) filter (where state <> 'ended' and epoch = w.epoch)::int as live,
        count(*) filter (where state <> 'ended' and epoch < w.epoch)::int as stale,
        count(*) filter (where entered_at > ${hourBefore(now)})::int as last_hour
      from flow_run where shard = w.shard and profile_id = w.profile_id and flow_id = w.flow_id
        and (state <> 'ended' or entered_at > ${hourBefore(now)})) r`.execute(tx)
  const stale = rows.filter((row) => row.stale > 0)
  if (stale.length > 0) await endStale(tx, stale, now)
  return new Map(
    rows.map(({ flow_id, profile_id, first_at, last_at, entries, live, last_hour }) => {
      const memory = first_at && last_at ? { firstAt: first_at, lastAt: last_at, entries: entries ?? 1 } : null
      return [presenceKey(flow_id, profile_id), { memory, live, lastHour: last_hour }]
    }),
  )
}

async function endStale(tx: Tx, rows: readonly { flow_id: number; profile_id: number }[], now: Date): Promise<void> {
  await sql`
    with stale as (
      update flow_run r set state = 'ended', due_at = null, lease_owner = null, lease_until = null, ended_at = ${now},
        end_reason = 'flow_inactive'
      from unnest(${rows.map((row) => row.flow_id)}::int[], ${rows.map((row) => row.profile_id)}::bigint[])
        as w(flow_id, profile_id), flow f
      where r.flow_id = w.flow_id and r.shard = w.profile_id % 64 and r.profile_id = w.profile_id and f.id = r.flow_id
        and r.epoch < f.epoch and r.state <> 'ended'
      returning r.*)
    insert into flow_log (shard, at, flow_id, version, run_id, profile_id, step_id, visit, type, data)
    select shard, ${now}, flow_id, version, id, profile_id, step_id, visit, 'run.ended',
      '{"reason":"flow_inactive"}'::json from stale`.execute(tx)
}

/** Ends the runs of people who opted out, in flows that do not keep them. */
export async function endExits(tx: Tx, exits: readonly Exit[], now: Date): Promise<void> {
  if (exits.length === 0) return
  const column = <T>(read: (exit: Exit) => T) => exits.map(read)
  await sql`
    with gone as (
      update flow_run r set state = 'ended', due_at = null, lease_owner = null, lease_until = null, ended_at = ${now},
        end_reason = 'opted_out'
      from unnest(${column(({ signal }) => signal.shard)}::smallint[], ${column(({ signal }) => signal.profileId)}::bigint[],
        ${column(({ flow }) => flow.id)}::int[], ${column(({ signal }) => signal.id)}::bigint[],
        ${column(({ ownRoot }) => ownRoot)}::text[]) as w(shard, profile_id, flow_id, signal_id, own_root)
      where r.shard = w.shard and r.profile_id = w.profile_id and r.flow_id = w.flow_id and r.state <> 'ended'
        and (r.context #>> '{trigger,signalId}')::bigint < w.signal_id
        and r.cause ->> 'root' is distinct from w.own_root
      returning r.*)
    insert into flow_log (shard, at, flow_id, version, run_id, profile_id, step_id, visit, type, data)
    select shard, ${now}, flow_id, version, id, profile_id, step_id, visit, 'run.ended', '{"reason":"opted_out"}'::json
    from gone`.execute(tx)
}

/** Writes what was decided: runs, matches, memories and the log. */
export async function writeMatches(
  tx: Tx,
  matches: readonly Match[],
  presences: ReadonlyMap<string, Presence>,
  now: Date,
): Promise<void> {
  if (matches.length === 0) return
  const ids = await insertRuns(tx, matches, now)
  const column = <T>(read: (match: Match) => T) => matches.map(read)
  await sql`
    with matched as (
      insert into flow_match (shard, signal_id, flow_id, profile_id, outcome, run_id, at)
      select *, ${now}::timestamptz
      from unnest(${column(({ signal }) => signal.shard)}::smallint[], ${column(({ signal }) => signal.id)}::bigint[],
        ${column(({ flow }) => flow.id)}::int[], ${column(({ signal }) => signal.profileId)}::bigint[],
        ${column(({ outcome }) => outcome)}::text[], ${ids}::bigint[]))
    insert into flow_log (shard, at, flow_id, version, run_id, profile_id, type, data)
    select shard, ${now}, flow_id, version, run_id, profile_id, type, data
    from unnest(${column(({ signal }) => signal.shard)}::smallint[], ${column(({ flow }) => flow.id)}::int[],
      ${column(({ flow }) => flow.version)}::int[], ${ids}::bigint[], ${column(({ signal }) => signal.profileId)}::bigint[],
      ${column(logTypeOf)}::text[], ${column(logDataOf)}::json[])
      with ordinality as l(shard, flow_id, version, run_id, profile_id, type, data, n)
    order by n`.execute(tx)
  await writeMemories(tx, matches, presences)
}

const logTypeOf = ({ outcome }: Match) => {
  if (outcome === 'started') return 'run.started'
  return outcome === 'loop_suppressed' ? 'loop.suppressed' : 'entry.refused'
}

const logDataOf = ({ outcome, signal, run }: Match) =>
  JSON.stringify({ outcome, signal: signal.id, source: signal.source, ...(run?.endReason && { ended: run.endReason }) })

/** @returns the run's id for each match, null where none began */
async function insertRuns(tx: Tx, matches: readonly Match[], now: Date): Promise<Array<number | null>> {
  const runs = matches.map(({ run }) => run).filter((run) => run !== null)
  if (runs.length === 0) return matches.map(() => null)
  const column = <T>(read: (run: (typeof runs)[number]) => T) => runs.map(read)
  // Rows are made in the order of the arrays, so the ids that come back ascend with them.
  const { rows } = await sql<{ id: number }>`
    insert into flow_run (shard, id, flow_id, version, epoch, profile_id, exclusive, step_id, state, due_at, cause,
      context, entered_at, ended_at, end_reason)
    select shard, id, flow_id, version, epoch, profile_id, exclusive, step_id,
      case when end_reason is null then 'ready' else 'ended' end, case when end_reason is null then ${now}::timestamptz end,
      cause, context, ${now}, case when end_reason is not null then ${now}::timestamptz end, end_reason
    from (
      select w.*, nextval('flow_run_number') * 64 + shard as id
      from unnest(${column(({ signal }) => signal.shard)}::smallint[], ${column(({ flow }) => flow.id)}::int[],
        ${column(({ flow }) => flow.version)}::int[], ${column(({ flow }) => flow.epoch)}::int[],
        ${column(({ signal }) => signal.profileId)}::bigint[], ${column(({ exclusive }) => exclusive)}::boolean[],
        ${column(({ stepId }) => stepId)}::text[], ${column(({ endReason }) => endReason)}::text[],
        ${column(({ cause }) => JSON.stringify(cause))}::json[], ${column(({ context }) => JSON.stringify(context))}::json[])
        with ordinality
        as w(shard, flow_id, version, epoch, profile_id, exclusive, step_id, end_reason, cause, context, n)
      order by n) w
    order by n
    returning id`.execute(tx)
  const ids = rows.map(({ id }) => id)[Symbol.iterator]()
  return matches.map(({ run }) => (run ? ids.next().value! : null))
}

async function writeMemories(
  tx: Tx,
  matches: readonly Match[],
  presences: ReadonlyMap<string, Presence>,
): Promise<void> {
  const started = new Map<string, Match>()
  for (const match of matches) if (match.run) started.set(presenceKey(match.flow.id, match.signal.profileId), match)
  const rows = [...started].flatMap(([key, { signal, flow }]) => {
    const memory = presences.get(key)?.memory
    return memory ? [{ signal, flow, ...memory }] : []
  })
  if (rows.length === 0) return
  const column = <T>(read: (row: (typeof rows)[number]) => T) => rows.map(read)
  await sql`
    insert into flow_memory (shard, flow_id, profile_id, first_at, last_at, entries)
    select * from unnest(${column(({ signal }) => signal.shard)}::smallint[], ${column(({ flow }) => flow.id)}::int[],
      ${column(({ signal }) => signal.profileId)}::bigint[], ${column(({ firstAt }) => firstAt)}::timestamptz[],
      ${column(({ lastAt }) => lastAt)}::timestamptz[], ${column(({ entries }) => entries)}::int[])
    on conflict (shard, flow_id, profile_id) do update set first_at = excluded.first_at, last_at = excluded.last_at,
      entries = excluded.entries`.execute(tx)
}
