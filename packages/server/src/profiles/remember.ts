import { type RawBuilder, sql } from 'kysely'
import { type Level, levelOf, rankOf } from '../consent/levels.ts'
import type { Tx } from '../platform/database.ts'
import { SHARDS, shardOfId, shardOfKey } from '../platform/shard.ts'
import type { KeyKind, ProfileState } from './change.ts'
import { type StoredKey, storedKey } from './read.ts'
import '../activity/tables.ts'
import './verified.ts'
import { releaseKeys } from './write.ts'

/** What outlives the erasure of a person: never the address, only a keyed hash of it. */
export interface Remembered {
  addressHmac: Buffer
  level: Level
  templateOptouts: number[]
  deliverability: string | null
  complainedAt: Date | null
  refusedAt: Date | null
}

const shardOfHmac = (hmac: Buffer): number => hmac[0]! & (SHARDS - 1)

interface RememberedRow {
  address_hmac: Buffer
  level: number
  template_optouts: number[]
  deliverability: string | null
  complained_at: Date | null
  refused_at: Date | null
}

/**
 * The statement that takes back what is remembered of addresses that come to live again; their entries end here.
 * `readRemembered` makes sense of its answer.
 */
export function recall(hmacs: readonly Buffer[]): RawBuilder<RememberedRow> {
  return sql<RememberedRow>`
    delete from remembered_person r
    using unnest(${hmacs.map(shardOfHmac)}::smallint[], ${[...hmacs]}::bytea[]) as w(shard, address_hmac)
    where r.shard = w.shard and r.address_hmac = w.address_hmac
    returning r.address_hmac, r.level, r.template_optouts, r.deliverability, r.complained_at, r.refused_at`
}

/** What is remembered, by the hash in hexadecimal digits. */
export function readRemembered(rows: readonly RememberedRow[]): Map<string, Remembered> {
  return new Map(
    rows.map((row) => [
      row.address_hmac.toString('hex'),
      {
        addressHmac: row.address_hmac,
        level: levelOf(row.level),
        templateOptouts: row.template_optouts,
        deliverability: row.deliverability,
        complainedAt: row.complained_at,
        refusedAt: row.refused_at,
      },
    ]),
  )
}

/** Keeps what must not be forgotten of an address whose profile ceases to be; bounces move along. */
export async function remember(tx: Tx, address: string, state: ProfileState, hmac: Buffer, now: Date): Promise<void> {
  await sql`
    with gone as (delete from address
      where shard = ${shardOfKey('email', address)} and address = ${address} returning state)
    insert into remembered_person (shard, address_hmac, level, template_optouts, deliverability, complained_at,
      refused_at, at)
    values (${shardOfHmac(hmac)}, ${hmac}, ${rankOf(state.level)}, ${JSON.stringify([...state.templateOptouts])},
      (select state from gone), ${state.complainedAt}, ${state.refusedAt}, ${now})
    on conflict (shard, address_hmac) do update set level = greatest(remembered_person.level, excluded.level),
      template_optouts = excluded.template_optouts, deliverability = excluded.deliverability,
      complained_at = excluded.complained_at, refused_at = excluded.refused_at, at = excluded.at`.execute(tx)
}

/** Removes a person and everything known of them but the promise not to write. */
export async function erase(tx: Tx, state: ProfileState, addressHmac: Buffer | null, now: Date): Promise<void> {
  const [shard, id] = [shardOfId(state.id), state.id]
  const email = state.email === null ? null : storedKey('email', state.email)
  if (email && addressHmac) await remember(tx, email.value, state, addressHmac, now)
  await releaseKeys(tx, keysOf(state))
  await removeRows(tx, shard, id)
  await sql`delete from purchase where shard = ${shard} and profile_id = ${id}`.execute(tx)
  // Messages stay for the statistics, without what they said and to whom.
  await sql`update message set address = '', vars = '{}', context = '{}', options = '{}'
    where shard = ${shard} and profile_id = ${id}`.execute(tx)
  // Addresses may hold what the person was called.
  await sql`update message_event set url = null where shard = ${shard} and profile_id = ${id}`.execute(tx)
}

const OWN_TABLES = [
  'list_member',
  'list_left',
  'template_optout',
  'verified_profile',
  'profile_activity',
  'link_act',
] as const

/** Deletes a profile's own rows. */
export async function removeRows(tx: Tx, shard: number, id: number): Promise<void> {
  for (const table of OWN_TABLES) {
    await tx.deleteFrom(table).where('shard', '=', shard).where('profile_id', '=', id).execute()
  }
  await tx.deleteFrom('profile').where('shard', '=', shard).where('id', '=', id).execute()
}

/** Every stored key of a profile. */
export function keysOf(state: ProfileState): StoredKey[] {
  const email = state.email === null ? null : storedKey('email', state.email)
  const others = Object.entries(state.keys).map(([kind, value]) => storedKey(kind as KeyKind, value))
  return [email, ...others].filter((key) => key !== null)
}
