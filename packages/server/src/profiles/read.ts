import { type RawBuilder, sql } from 'kysely'
import { levelOf } from '../consent/levels.ts'
import type { Queryable } from '../platform/database.ts'
import { shardOfId, shardOfKey } from '../platform/shard.ts'
import { inOneTrip } from '../platform/together.ts'
import { parseAddress } from './address.ts'
import type { KeyKind, PersonRef, ProfileState, Refusal, Via } from './change.ts'
import { carries, idInside } from './ids.ts'
import { findMoved, survivorOf } from './moved.ts'
import type { ProfileTable } from './tables.ts'

/** A lookup key as it is stored: addresses in their lookup form. */
export interface StoredKey {
  kind: KeyKind
  value: string
}

/** The stored form of a key; null for an address that is none. */
export function storedKey(kind: KeyKind, value: string): StoredKey | null {
  if (kind !== 'email') return { kind, value }
  const address = parseAddress(value)
  return address && { kind, value: address.lookup }
}

/**
 * Finds people; null where nobody is found. Who was merged is found as the survivor. Two statements, however many are
 * wanted, and two more for ids that nobody has any more.
 */
export async function findProfiles(q: Queryable, refs: readonly PersonRef[]): Promise<Array<ProfileState | null>> {
  const ids = await findIds(q, refs)
  const states = await loadStates(
    q,
    ids.filter((id) => id !== null),
    false,
  )
  const gone = ids.filter((id) => id !== null && !states.has(id)) as number[]
  const moved = await findMoved(q, gone)
  if (moved.size > 0) {
    const survivors = [...moved.values()].map(({ profileId }) => profileId)
    for (const [id, state] of await loadStates(q, survivors, false)) states.set(id, state)
  }
  return refs.map((ref, index) => {
    const id = ids[index]
    if (id === null || id === undefined) return null
    const state = states.get(id)
    if (state) return answers(state, ref) ? state : null
    return states.get(survivorOf(moved, ref, id) ?? 0) ?? null
  })
}

/** Finds one person. */
export async function findProfile(q: Queryable, ref: PersonRef): Promise<ProfileState | null> {
  return (await findProfiles(q, [ref]))[0] ?? null
}

/** False when a sid or cookie names the profile's number but not the profile. */
export function answers(state: ProfileState, ref: PersonRef): boolean {
  return (ref.kind !== 'sid' && ref.kind !== 'cookie') || carries(state, ref.kind, ref.value)
}

/** Internal ids behind the references, unchecked for sids and cookies. */
export async function findIds(q: Queryable, refs: readonly PersonRef[]): Promise<Array<number | null>> {
  const keys = refs.map((ref) => {
    if (ref.kind === 'id' || ref.kind === 'sid' || ref.kind === 'cookie') return null
    return storedKey(ref.kind, ref.value)
  })
  const owners = await findOwners(
    q,
    keys.filter((key) => key !== null),
  )
  return refs.map((ref, index) => {
    if (ref.kind === 'id') return ref.value
    if (ref.kind === 'sid' || ref.kind === 'cookie') return idInside(ref.kind, ref.value)
    const key = keys[index]
    return key ? (owners.get(keyText(key)) ?? null) : null
  })
}

/** A key as one text, for maps. */
export const keyText = (key: StoredKey): string => `${key.kind}:${key.value}`

/** Who holds each key: `keyText` → profile id. */
export async function findOwners(q: Queryable, keys: readonly StoredKey[]): Promise<Map<string, number>> {
  if (keys.length === 0) return new Map()
  const shards = keys.map((key) => shardOfKey(key.kind, key.value))
  const { rows } = await sql<{ kind: KeyKind; value: string; profile_id: number }>`
    select k.kind, k.value, k.profile_id
    from unnest(${shards}::smallint[], ${keys.map((key) => key.kind)}::text[], ${keys.map((key) => key.value)}::text[])
      as w(shard, kind, value)
    join profile_key k using (shard, kind, value)`.execute(q)
  return new Map(rows.map((row) => [keyText(row), row.profile_id]))
}

interface LoadedRow extends ProfileTable {
  lists: Array<[number, string]> | null
  left: Array<[name: string, at: string, via: string, number: number]> | null
  templates: Array<[id: number, name: string, at: string, via: string, number: number]> | null
}

/**
 * Loads profiles with their lists and template opt-outs.
 *
 * @param lock take the rows for writing, in order of id so that two writers never wait for each other in a circle
 */
export async function loadStates(
  q: Queryable,
  ids: readonly number[],
  lock: boolean,
): Promise<Map<number, ProfileState>> {
  if (ids.length === 0) return new Map()
  const wanted = [...new Set(ids)].sort((a, b) => a - b)
  // Locked by a statement of its own, so that the next one reads lists as they are once the lock is held.
  const { rows } = lock
    ? (await inOneTrip(q, lockRows(wanted), readRows(wanted)))[1]
    : await readRows(wanted).execute(q)
  return new Map(rows.map((row) => [row.id, stateOf(row)]))
}

const lockRows = (ids: readonly number[]) => sql`
    select 1 from profile p
    join unnest(${ids.map(shardOfId)}::smallint[], ${ids}::bigint[]) as w(shard, id) using (shard, id)
    order by p.id for update of p`

const readRows = (ids: readonly number[]): RawBuilder<LoadedRow> => sql<LoadedRow>`
    select p.*, ${LISTS},
      (select json_agg(json_build_array(l.list_name, l.left_at, l.via, l.number)) from list_left l
        where l.shard = p.shard and l.profile_id = p.id) as left,
      (select json_agg(json_build_array(t.template_id, t.public_name, t.at, t.via, t.number)) from template_optout t
        where t.shard = p.shard and t.profile_id = p.id) as templates
    from unnest(${ids.map(shardOfId)}::smallint[], ${ids}::bigint[]) as w(shard, id)
    join profile p using (shard, id)`

/** What messages may say about a person: enough to write to them, and no more, as campaigns read it by the million. */
export type ProfileFacts = Pick<
  ProfileState,
  | 'id'
  | 'email'
  | 'keys'
  | 'level'
  | 'decided'
  | 'vars'
  | 'pixelConsent'
  | 'createdAt'
  | 'signupAt'
  | 'loginAt'
  | 'lists'
  | 'salt'
>

/** A row of `FACTS`, or of `FACTS` and `LISTS`. */
export interface FactsRow
  extends Pick<
    ProfileTable,
    | 'id'
    | 'email'
    | 'keys'
    | 'level'
    | 'decided'
    | 'vars'
    | 'pixel_consent'
    | 'created_at'
    | 'signup_at'
    | 'login_at'
    | 'salt'
  > {
  lists?: Array<[number, string]> | null
}

/** Columns of a profile `p`. */
const FACTS = sql.raw(
  'p.id, p.email, p.keys, p.level, p.decided, p.vars, p.pixel_consent, p.created_at, p.signup_at, p.login_at, p.salt',
)
const LISTS = sql.raw(`(select json_agg(json_build_array(m.list_id, m.joined_at)) from list_member m
  where m.shard = p.shard and m.profile_id = p.id) as lists`)

/** What to select of a profile `p` to make facts of it; lists take a look-up for each person. */
export const factColumns = (withLists: boolean): RawBuilder<unknown> => (withLists ? sql`${FACTS}, ${LISTS}` : FACTS)

export function factsOf(row: FactsRow): ProfileFacts {
  return {
    id: row.id,
    email: row.email,
    keys: row.keys as ProfileState['keys'],
    level: levelOf(row.level),
    decided: row.decided,
    vars: row.vars,
    pixelConsent: row.pixel_consent,
    createdAt: row.created_at,
    signupAt: row.signup_at,
    loginAt: row.login_at,
    lists: new Map((row.lists ?? []).map(([id, at]) => [id, new Date(at)])),
    salt: row.salt,
  }
}

/** Facts by the id asked for, which of merged people leads to the survivor's; people who are gone are missing. */
export async function readFacts(
  q: Queryable,
  ids: readonly number[],
  withLists: boolean,
): Promise<Map<number, ProfileFacts>> {
  if (ids.length === 0) return new Map()
  const { rows } = await sql<FactsRow & { asked: number }>`
    select ${factColumns(withLists)}, w.id as asked
    from unnest(${ids.map(shardOfId)}::smallint[], ${ids}::bigint[]) as w(shard, id)
    left join profile_moved v using (shard, id)
    join profile p on p.id = coalesce(v.profile_id, w.id)
      and p.shard = (coalesce(v.profile_id, w.id) & 63)::smallint`.execute(q)
  return new Map(rows.map((row) => [row.asked, factsOf(row)]))
}

/** A refusal as JSON brings it. */
export const refusalOf = (at: string, via: string, number: number): Refusal => ({
  at: new Date(at),
  via: via as Via,
  number,
})

function stateOf(row: LoadedRow): ProfileState {
  return {
    shard: row.shard,
    id: row.id,
    email: row.email,
    keys: row.keys as ProfileState['keys'],
    level: levelOf(row.level),
    levelAt: row.level_at,
    levelVia: row.level_via as Via | null,
    refusedAt: row.refused_at,
    complainedAt: row.complained_at,
    decided: row.decided,
    refusals: row.refusals,
    vars: row.vars,
    sms: row.sms as ProfileState['sms'],
    pixelConsent: row.pixel_consent,
    createdAt: row.created_at,
    signupAt: row.signup_at,
    loginAt: row.login_at,
    optoutAt: row.optout_at,
    lists: new Map((row.lists ?? []).map(([id, at]) => [id, new Date(at)])),
    listsLeft: new Map((row.left ?? []).map(([name, ...left]) => [name, refusalOf(...left)])),
    templateOptouts: new Map((row.templates ?? []).map(([id, name, ...left]) => [id, { name, ...refusalOf(...left) }])),
    ledgerHead: row.ledger_head,
    salt: row.salt,
  }
}
