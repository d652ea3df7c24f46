import { type RawBuilder, sql } from 'kysely'
import { rankOf } from '../consent/levels.ts'
import type { Tx } from '../platform/database.ts'
import { SHARDS, shardOfId, shardOfKey } from '../platform/shard.ts'
import type { Act, KeyKind, ProfileState } from './change.ts'
import type { StoredKey } from './read.ts'

/** A profile before (null: new) and after its changes. */
export interface Written {
  before: ProfileState | null
  after: ProfileState
  /** The last act on it, for tombstones. */
  act: Act
  templateNames: ReadonlyMap<number, string | null>
}

/**
 * The statements that write profiles back; what did not change is not written. No two touch the same row, so that they
 * may run as one (platform/together.ts).
 */
export function profileWrites(all: readonly Written[], now: Date): Array<RawBuilder<unknown>> {
  const changed = all.filter(({ before, after }) => before === null || differs(before, after))
  const profiles = changed.length > 0 ? [upsert(changed.map(({ after }) => after))] : []
  return [...profiles, ...membershipWrites(all, now), ...templateOptoutWrites(all, now)]
}

const PLAIN = [
  'email',
  'level',
  'levelAt',
  'levelVia',
  'refusedAt',
  'complainedAt',
  'pixelConsent',
  'signupAt',
  'loginAt',
  'optoutAt',
  'ledgerHead',
] as const satisfies ReadonlyArray<keyof ProfileState>

function differs(before: ProfileState, after: ProfileState): boolean {
  if (PLAIN.some((field) => before[field] !== after[field])) return true
  return (['keys', 'vars', 'sms'] as const).some(
    (field) => before[field] !== after[field] && JSON.stringify(before[field]) !== JSON.stringify(after[field]),
  )
}

function upsert(states: readonly ProfileState[]): RawBuilder<unknown> {
  const column = <T>(read: (state: ProfileState) => T) => states.map(read)
  return sql`
    insert into profile (shard, id, email, keys, level, level_at, level_via, refused_at, complained_at, vars, sms,
      pixel_consent, created_at, signup_at, login_at, optout_at, ledger_head, salt)
    select * from unnest(
      ${column((s) => s.shard)}::smallint[], ${column((s) => s.id)}::bigint[], ${column((s) => s.email)}::text[],
      ${column((s) => JSON.stringify(s.keys))}::json[], ${column((s) => rankOf(s.level))}::smallint[],
      ${column((s) => s.levelAt)}::timestamptz[], ${column((s) => s.levelVia)}::text[],
      ${column((s) => s.refusedAt)}::timestamptz[], ${column((s) => s.complainedAt)}::timestamptz[],
      ${column((s) => JSON.stringify(s.vars))}::json[], ${column((s) => JSON.stringify(s.sms))}::json[],
      ${column((s) => s.pixelConsent)}::text[], ${column((s) => s.createdAt)}::timestamptz[],
      ${column((s) => s.signupAt)}::timestamptz[], ${column((s) => s.loginAt)}::timestamptz[],
      ${column((s) => s.optoutAt)}::timestamptz[], ${column((s) => s.ledgerHead)}::bytea[],
      ${column((s) => s.salt)}::bytea[])
    on conflict (shard, id) do update set email = excluded.email, keys = excluded.keys, level = excluded.level,
      level_at = excluded.level_at, level_via = excluded.level_via, refused_at = excluded.refused_at,
      complained_at = excluded.complained_at, vars = excluded.vars, sms = excluded.sms,
      pixel_consent = excluded.pixel_consent, signup_at = excluded.signup_at, login_at = excluded.login_at,
      optout_at = excluded.optout_at, ledger_head = excluded.ledger_head`
}

function membershipWrites(all: readonly Written[], now: Date): Array<RawBuilder<unknown>> {
  const joined: Array<{ id: number; list: number; at: Date }> = []
  const back: Array<{ id: number; list: number }> = []
  const left: Array<{ id: number; list: number; via: string }> = []
  for (const { before, after, act } of all) {
    if (before?.lists === after.lists) continue
    for (const [list, at] of after.lists) {
      if (before?.lists.has(list)) continue
      joined.push({ id: after.id, list, at })
      // Somebody new has left nothing yet.
      if (before) back.push({ id: after.id, list })
    }
    for (const list of before?.lists.keys() ?? []) {
      if (!after.lists.has(list)) left.push({ id: after.id, list, via: act.via })
    }
  }
  const writes: Array<RawBuilder<unknown>> = []
  if (joined.length > 0) {
    writes.push(sql`
      insert into list_member select * from unnest(${joined.map((row) => shardOfId(row.id))}::smallint[],
        ${joined.map((row) => row.id)}::bigint[], ${joined.map((row) => row.list)}::int[],
        ${joined.map((row) => row.at)}::timestamptz[])
      on conflict do nothing`)
  }
  if (back.length > 0) writes.push(removeListRows('list_left', back))
  if (left.length > 0) {
    writes.push(removeListRows('list_member', left))
    writes.push(sql`
      insert into list_left select shard, profile_id, list_id, ${now}, via
      from unnest(${left.map((row) => shardOfId(row.id))}::smallint[], ${left.map((row) => row.id)}::bigint[],
        ${left.map((row) => row.list)}::int[], ${left.map((row) => row.via)}::text[])
        as r(shard, profile_id, list_id, via)
      on conflict (shard, profile_id, list_id) do update set left_at = excluded.left_at, via = excluded.via`)
  }
  return writes
}

const removeListRows = (table: 'list_left' | 'list_member', gone: ReadonlyArray<{ id: number; list: number }>) => sql`
      delete from ${sql.table(table)} m using unnest(${gone.map((row) => shardOfId(row.id))}::smallint[],
        ${gone.map((row) => row.id)}::bigint[], ${gone.map((row) => row.list)}::int[]) as r(shard, profile_id, list_id)
      where m.shard = r.shard and m.profile_id = r.profile_id and m.list_id = r.list_id`

function templateOptoutWrites(all: readonly Written[], now: Date): Array<RawBuilder<unknown>> {
  const out: Array<{ id: number; template: number; name: string | null; via: string }> = []
  const back: Array<{ id: number; template: number }> = []
  for (const { before, after, act, templateNames } of all) {
    if (before?.templateOptouts === after.templateOptouts) continue
    for (const template of after.templateOptouts) {
      if (before?.templateOptouts.has(template)) continue
      out.push({ id: after.id, template, name: templateNames.get(template) ?? null, via: act.via })
    }
    for (const template of before?.templateOptouts ?? []) {
      if (!after.templateOptouts.has(template)) back.push({ id: after.id, template })
    }
  }
  const writes: Array<RawBuilder<unknown>> = []
  if (out.length > 0) {
    writes.push(sql`
      insert into template_optout select shard, profile_id, template_id, public_name, ${now}, via
      from unnest(${out.map((row) => shardOfId(row.id))}::smallint[], ${out.map((row) => row.id)}::bigint[],
        ${out.map((row) => row.template)}::int[], ${out.map((row) => row.name)}::text[],
        ${out.map((row) => row.via)}::text[]) as r(shard, profile_id, template_id, public_name, via)
      on conflict do nothing`)
  }
  if (back.length > 0) {
    writes.push(sql`
      delete from template_optout t using unnest(${back.map((row) => shardOfId(row.id))}::smallint[],
        ${back.map((row) => row.id)}::bigint[], ${back.map((row) => row.template)}::int[])
        as r(shard, profile_id, template_id)
      where t.shard = r.shard and t.profile_id = r.profile_id and t.template_id = r.template_id`)
  }
  return writes
}

/**
 * The statement that takes free keys. It returns those really taken: another writer may have been first.
 *
 * @param claims who gets each key; null: a profile that begins with it, under an id of its own
 */
export function claimKeys(
  claims: ReadonlyArray<{ key: StoredKey; profileId: number | null }>,
): RawBuilder<{ kind: KeyKind; value: string; profile_id: number }> {
  // In one order for everybody, so that two writers never wait for each other in a circle.
  const sorted = [...claims].sort((a, b) => compare(a.key, b.key))
  return sql`
    insert into profile_key (shard, kind, value, profile_id)
    select shard, kind, value, coalesce(profile_id, nextval('profile_number') * ${sql.lit(SHARDS)} + shard)
    from unnest(
      ${sorted.map(({ key }) => shardOfKey(key.kind, key.value))}::smallint[],
      ${sorted.map(({ key }) => key.kind)}::text[], ${sorted.map(({ key }) => key.value)}::text[],
      ${sorted.map(({ profileId }) => profileId)}::bigint[]) as claim(shard, kind, value, profile_id)
    on conflict do nothing returning kind, value, profile_id`
}

function compare(a: StoredKey, b: StoredKey): number {
  const [left, right] = [`${a.kind}:${a.value}`, `${b.kind}:${b.value}`]
  return left < right ? -1 : left > right ? 1 : 0
}

/** Gives keys free again. */
export async function releaseKeys(tx: Tx, keys: readonly StoredKey[]): Promise<void> {
  if (keys.length === 0) return
  await sql`
    delete from profile_key k using unnest(
      ${keys.map((key) => shardOfKey(key.kind, key.value))}::smallint[], ${keys.map((key) => key.kind)}::text[],
      ${keys.map((key) => key.value)}::text[]) as r(shard, kind, value)
    where k.shard = r.shard and k.kind = r.kind and k.value = r.value`.execute(tx)
}
