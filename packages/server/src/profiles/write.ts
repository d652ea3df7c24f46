import { type RawBuilder, sql } from 'kysely'
import { rankOf } from '../consent/levels.ts'
import type { Tx } from '../platform/database.ts'
import { SHARDS, shardOfId, shardOfKey } from '../platform/shard.ts'
import type { KeyKind, ProfileState, Refusal } from './change.ts'
import type { StoredKey } from './read.ts'

/** A profile before (null: new) and after its changes. */
export interface Written {
  before: ProfileState | null
  after: ProfileState
}

/**
 * The statements that write profiles back; what did not change is not written. No two touch the same row, so that they
 * may run as one (platform/together.ts).
 */
export function profileWrites(all: readonly Written[]): Array<RawBuilder<unknown>> {
  const changed = all.filter(({ before, after }) => before === null || differs(before, after))
  const profiles = changed.length > 0 ? [upsert(changed.map(({ after }) => after))] : []
  return [...profiles, ...membershipWrites(all), ...leavingWrites(all), ...templateOptoutWrites(all)]
}

const PLAIN = [
  'email',
  'level',
  'levelAt',
  'levelVia',
  'decided',
  'refusedAt',
  'complainedAt',
  'pixelConsent',
  'createdAt',
  'signupAt',
  'loginAt',
  'optoutAt',
  'ledgerHead',
] as const satisfies ReadonlyArray<keyof ProfileState>

function differs(before: ProfileState, after: ProfileState): boolean {
  if (PLAIN.some((field) => before[field] !== after[field])) return true
  return (['keys', 'vars', 'sms', 'refusals'] as const).some(
    (field) => before[field] !== after[field] && JSON.stringify(before[field]) !== JSON.stringify(after[field]),
  )
}

function upsert(states: readonly ProfileState[]): RawBuilder<unknown> {
  const column = <T>(read: (state: ProfileState) => T) => states.map(read)
  return sql`
    insert into profile (shard, id, email, keys, level, level_at, level_via, decided, refusals, refused_at,
      complained_at, vars, sms, pixel_consent, created_at, signup_at, login_at, optout_at, ledger_head, salt)
    select * from unnest(
      ${column((s) => s.shard)}::smallint[], ${column((s) => s.id)}::bigint[], ${column((s) => s.email)}::text[],
      ${column((s) => JSON.stringify(s.keys))}::json[], ${column((s) => rankOf(s.level))}::smallint[],
      ${column((s) => s.levelAt)}::timestamptz[], ${column((s) => s.levelVia)}::text[],
      ${column((s) => s.decided)}::bigint[], ${column((s) => JSON.stringify(s.refusals))}::json[],
      ${column((s) => s.refusedAt)}::timestamptz[], ${column((s) => s.complainedAt)}::timestamptz[],
      ${column((s) => JSON.stringify(s.vars))}::json[], ${column((s) => JSON.stringify(s.sms))}::json[],
      ${column((s) => s.pixelConsent)}::text[], ${column((s) => s.createdAt)}::timestamptz[],
      ${column((s) => s.signupAt)}::timestamptz[], ${column((s) => s.loginAt)}::timestamptz[],
      ${column((s) => s.optoutAt)}::timestamptz[], ${column((s) => s.ledgerHead)}::bytea[],
      ${column((s) => s.salt)}::bytea[])
    on conflict (shard, id) do update set email = excluded.email, keys = excluded.keys, level = excluded.level,
      level_at = excluded.level_at, level_via = excluded.level_via, decided = excluded.decided,
      refusals = excluded.refusals, refused_at = excluded.refused_at, complained_at = excluded.complained_at, vars = excluded.vars, sms = excluded.sms,
      pixel_consent = excluded.pixel_consent, created_at = excluded.created_at, signup_at = excluded.signup_at, login_at = excluded.login_at,
      optout_at = excluded.optout_at, ledger_head = excluded.ledger_head`
}

function membershipWrites(all: readonly Written[]): Array<RawBuilder<unknown>> {
  const joined: Array<{ id: number; list: number; at: Date }> = []
  const left: Array<{ id: number; list: number }> = []
  for (const { before, after } of all) {
    if (before?.lists === after.lists) continue
    for (const [list, at] of after.lists) if (!before?.lists.has(list)) joined.push({ id: after.id, list, at })
    for (const list of before?.lists.keys() ?? []) if (!after.lists.has(list)) left.push({ id: after.id, list })
  }
  const writes: Array<RawBuilder<unknown>> = []
  if (joined.length > 0) {
    writes.push(sql`
      insert into list_member select * from unnest(${joined.map((row) => shardOfId(row.id))}::smallint[],
        ${joined.map((row) => row.id)}::bigint[], ${joined.map((row) => row.list)}::int[],
        ${joined.map((row) => row.at)}::timestamptz[])
      on conflict do nothing`)
  }
  if (left.length > 0) {
    writes.push(sql`
      delete from list_member m using unnest(${left.map((row) => shardOfId(row.id))}::smallint[],
        ${left.map((row) => row.id)}::bigint[], ${left.map((row) => row.list)}::int[]) as r(shard, profile_id, list_id)
      where m.shard = r.shard and m.profile_id = r.profile_id and m.list_id = r.list_id`)
  }
  return writes
}

/** Refusals that appeared or became newer, and those that are lifted, of one kind. */
function changedRefusals<Key, One extends Refusal>(
  all: readonly Written[],
  of: (state: ProfileState) => ReadonlyMap<Key, One>,
): { kept: Array<[id: number, key: Key, refusal: One]>; lifted: Array<[id: number, key: Key]> } {
  const kept: Array<[number, Key, One]> = []
  const lifted: Array<[number, Key]> = []
  for (const { before, after } of all) {
    const [was, is] = [before && of(before), of(after)]
    if (was === is) continue
    for (const [key, refusal] of is) if (was?.get(key)?.number !== refusal.number) kept.push([after.id, key, refusal])
    for (const key of was?.keys() ?? []) if (!is.has(key)) lifted.push([after.id, key])
  }
  return { kept, lifted }
}

function leavingWrites(all: readonly Written[]): Array<RawBuilder<unknown>> {
  const { kept, lifted } = changedRefusals(all, (state) => state.listsLeft)
  const writes: Array<RawBuilder<unknown>> = []
  if (kept.length > 0) {
    writes.push(sql`
      insert into list_left (shard, profile_id, list_name, left_at, via, number)
      select * from unnest(${kept.map(([id]) => shardOfId(id))}::smallint[], ${kept.map(([id]) => id)}::bigint[],
        ${kept.map(([, name]) => name)}::text[], ${kept.map(([, , { at }]) => at)}::timestamptz[],
        ${kept.map(([, , { via }]) => via)}::text[], ${kept.map(([, , { number }]) => number)}::bigint[])
      on conflict (shard, profile_id, list_name) do update set left_at = excluded.left_at, via = excluded.via,
        number = excluded.number`)
  }
  if (lifted.length > 0) {
    writes.push(sql`
      delete from list_left l using unnest(${lifted.map(([id]) => shardOfId(id))}::smallint[],
        ${lifted.map(([id]) => id)}::bigint[], ${lifted.map(([, name]) => name)}::text[])
        as r(shard, profile_id, list_name)
      where l.shard = r.shard and l.profile_id = r.profile_id and l.list_name = r.list_name`)
  }
  return writes
}

function templateOptoutWrites(all: readonly Written[]): Array<RawBuilder<unknown>> {
  const { kept, lifted } = changedRefusals(all, (state) => state.templateOptouts)
  const writes: Array<RawBuilder<unknown>> = []
  if (kept.length > 0) {
    writes.push(sql`
      insert into template_optout (shard, profile_id, template_id, public_name, at, via, number)
      select * from unnest(${kept.map(([id]) => shardOfId(id))}::smallint[], ${kept.map(([id]) => id)}::bigint[],
        ${kept.map(([, template]) => template)}::int[], ${kept.map(([, , { name }]) => name)}::text[],
        ${kept.map(([, , { at }]) => at)}::timestamptz[], ${kept.map(([, , { via }]) => via)}::text[],
        ${kept.map(([, , { number }]) => number)}::bigint[])
      on conflict (shard, profile_id, template_id) do update set at = excluded.at, via = excluded.via,
        number = excluded.number`)
  }
  if (lifted.length > 0) {
    writes.push(sql`
      delete from template_optout t using unnest(${lifted.map(([id]) => shardOfId(id))}::smallint[],
        ${lifted.map(([id]) => id)}::bigint[], ${lifted.map(([, template]) => template)}::int[])
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
