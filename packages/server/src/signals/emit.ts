import { type RawBuilder, sql } from 'kysely'
import type { Tx } from '../platform/database.ts'
import type { JsonObject } from '../platform/json.ts'
import { shardOfId } from '../platform/shard.ts'
import { CHANNEL } from '../platform/wake.ts'
import type { Cause, Evidence, ListSource, Via } from '../profiles/change.ts'

declare module '../platform/database.ts' {
  interface Schema {
    signal: SignalTable
  }
}

export interface SignalTable {
  shard: number
  id: number
  profile_id: number
  type: string
  key: string
  payload: JsonObject
  source: string
  evidence: number | null
  cause: JsonObject
  as_of: number
  occurred_at: Date
  dedupe_key: string | null
}

/** A recorded fact that flows, postbacks and statistics react to later. */
export interface NewSignal {
  profileId: number
  type: 'list_joined' | 'list_removed' | 'optout_changed' | 'template_optout' | 'hardbounce' | 'purchase' | 'email_sent'
  /** What it is about within its type: a list's or template's id. */
  key: string
  payload: JsonObject
  source: ListSource | Via
  evidence: Evidence
  /** Null: this fact begins a chain of its own. */
  cause: Cause | null
  /** `decided` of the person when it was decided: what follows from the fact lifts no refusal with a higher number. */
  asOf: number
  occurredAt: Date
  dedupeKey?: string
}

/**
 * Records facts in the transaction that makes them true. Only those are kept that somebody waits for: an active flow,
 * or a postback address. Whether anybody does is read in the same statement, so a flow is either active before the
 * fact and sees it, or after and does not. Whoever dispatches signals is woken by the commit.
 */
export async function emitSignals(tx: Tx, signals: readonly NewSignal[]): Promise<void> {
  if (signals.length > 0) await signalInsert(signals).execute(tx)
}

/**
 * The statement that records facts, of which there is at least one.
 *
 * @param onlyIf a condition on the columns of `s`, for facts that another part of the same statement has to make true
 */
export function signalInsert(signals: readonly NewSignal[], onlyIf = sql<boolean>`true`): RawBuilder<unknown> {
  const column = <T>(read: (signal: NewSignal) => T) => signals.map(read)
  return sql`
    insert into signal (shard, id, profile_id, type, key, payload, source, evidence, cause, as_of, occurred_at,
      dedupe_key)
    select shard, nextval('signal_number') * 64 + shard, profile_id, type, key, payload, source, evidence,
      coalesce(cause, '{}'), as_of, occurred_at, dedupe_key
    from unnest(
      ${column((s) => shardOfId(s.profileId))}::smallint[], ${column((s) => s.profileId)}::bigint[],
      ${column((s) => s.type)}::text[], ${column((s) => s.key)}::text[],
      ${column((s) => JSON.stringify(s.payload))}::json[], ${column((s) => s.source)}::text[],
      ${column((s) => s.evidence)}::smallint[], ${column((s) => s.cause && JSON.stringify(s.cause))}::json[],
      ${column((s) => s.asOf)}::bigint[], ${column((s) => s.occurredAt)}::timestamptz[],
      ${column((s) => s.dedupeKey ?? null)}::text[])
      with ordinality
      as s(shard, profile_id, type, key, payload, source, evidence, cause, as_of, occurred_at, dedupe_key, n)
    where ${onlyIf} and (exists (select from flow_trigger t where t.type = s.type and t.key = s.key)
      or (s.type in ('optout_changed', 'template_optout') and exists (
        select from setting where name = 'optout_postback_url' and value #>> '{}' <> ''))
      or (s.type = 'hardbounce' and exists (
        select from setting where name = 'hardbounce_postback_url' and value #>> '{}' <> '')))
    order by n
    on conflict do nothing
    returning pg_notify(${CHANNEL}, 'flows')`
}
