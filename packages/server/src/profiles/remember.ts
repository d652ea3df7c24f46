import { type RawBuilder, sql } from 'kysely'
import { levelOf, rankOf } from '../consent/levels.ts'
import type { Queryable, Tx } from '../platform/database.ts'
import { SHARDS, shardOfKey } from '../platform/shard.ts'
import type { KeyKind, ProfileState, Via, Wishes } from './change.ts'
import { refusalOf, type StoredKey, storedKey } from './read.ts'
import { isStrict, NO_WISHES, strictest } from './wishes.ts'
import './tables.ts'

/*
 * The memory of addresses. What the owner of an address refused stays with the address when it leaves them, by a change,
 * a merge or an erasure: never the address itself, only a keyed hash of it. When the address is known again, by whatever
 * door, its memory becomes its owner's own state and ends as a memory.
 */

/** What is remembered of an address. */
export interface Memory {
  wishes: Wishes
  /** Of an address whose owner was erased; that of others stays in the clear, in `address`. */
  deliverability: string | null
}

export const shardOfHmac = (hmac: Buffer): number => hmac[0]! & (SHARDS - 1)

interface MemoryRow {
  address_hmac: Buffer
  deliverability: string | null
  wishes: PackedWishes
}

/** Wishes as JSON keeps them. */
interface PackedWishes {
  level?: number
  levelAt?: string | null
  levelVia?: string | null
  refusedAt?: string | null
  complainedAt?: string | null
  refusals?: Wishes['refusals']
  decided?: number
  lists?: Array<[name: string, at: string, via: string, number: number]>
  templates?: Array<[id: number, name: string, at: string, via: string, number: number]>
  sms?: Wishes['sms']
  pixel?: string | null
}

/**
 * Makes everybody wait who gives one of these addresses to a person, or takes it from one, or notes a refusal for it, so
 * that no refusal falls between a person and a memory. Sorted, so that nobody waits in a circle.
 */
export function lockAddresses(hmacs: readonly Buffer[]): RawBuilder<unknown> {
  const keys = [...new Set(hmacs.map((hmac) => hmac.readBigInt64BE(1)))].sort((a, b) => (a < b ? -1 : 1))
  return sql`select pg_advisory_xact_lock(key) from unnest(${keys.map(String)}::bigint[]) as one(key)`
}

/** The statement that ends the memories of addresses. `readMemories` makes sense of its answer. */
export function recall(hmacs: readonly Buffer[]): RawBuilder<MemoryRow> {
  return sql<MemoryRow>`
    delete from remembered_address r
    using unnest(${hmacs.map(shardOfHmac)}::smallint[], ${[...hmacs]}::bytea[]) as w(shard, address_hmac)
    where r.shard = w.shard and r.address_hmac = w.address_hmac
    returning r.address_hmac, r.deliverability, r.wishes`
}

/** Memories by the hash of their address in hexadecimal digits. */
export function readMemories(rows: readonly MemoryRow[]): Map<string, Memory> {
  return new Map(
    rows.map(({ address_hmac, deliverability, wishes }) => [
      address_hmac.toString('hex'),
      { deliverability, wishes: unpacked(wishes) },
    ]),
  )
}

/** What is remembered of addresses, left as it is. By hash in hexadecimal digits. */
export async function lookUpMemories(q: Queryable, hmacs: readonly Buffer[]): Promise<Map<string, Memory>> {
  if (hmacs.length === 0) return new Map()
  const { rows } = await sql<MemoryRow>`
    select r.address_hmac, r.deliverability, r.wishes
    from unnest(${hmacs.map(shardOfHmac)}::smallint[], ${[...hmacs]}::bytea[]) as w(shard, address_hmac)
    join remembered_address r using (shard, address_hmac)`.execute(q)
  return readMemories(rows)
}

/** Keeps what must not be forgotten of an address, together with what is remembered of it already. */
export async function remember(tx: Tx, hmac: Buffer, memory: Memory, now: Date): Promise<void> {
  await lockAddresses([hmac]).execute(tx)
  const known = (await lookUpMemories(tx, [hmac])).get(hmac.toString('hex'))
  const wishes = known ? strictest(memory.wishes, known.wishes) : memory.wishes
  const deliverability = memory.deliverability ?? known?.deliverability ?? null
  await sql`
    insert into remembered_address (shard, address_hmac, deliverability, wishes, at)
    values (${shardOfHmac(hmac)}, ${hmac}, ${deliverability}, ${JSON.stringify(packed(wishes))}, ${now})
    on conflict (shard, address_hmac) do update set deliverability = excluded.deliverability,
      wishes = excluded.wishes, at = excluded.at`.execute(tx)
}

/** An address leaves somebody who lives on: what they refused stays with it. */
export async function leaveBehind(tx: Tx, hmac: Buffer, wishes: Wishes, now: Date): Promise<void> {
  if (isStrict(wishes)) await remember(tx, hmac, { wishes, deliverability: null }, now)
}

/** The bounce state of an address, which ends with it. */
export async function takeDeliverability(tx: Tx, address: string): Promise<string | null> {
  const { rows } = await sql<{ state: string }>`
    delete from address where shard = ${shardOfKey('email', address)} and address = ${address}
    returning state`.execute(tx)
  return rows[0]?.state ?? null
}

/** Notes to whom remembered addresses came back: links from before lead there. */
export async function noteReturned(
  tx: Tx,
  returned: ReadonlyArray<{ hmac: Buffer; profileId: number }>,
): Promise<void> {
  if (returned.length === 0) return
  await sql`
    insert into returned_address (shard, address_hmac, profile_id)
    select * from unnest(${returned.map(({ hmac }) => shardOfHmac(hmac))}::smallint[],
      ${returned.map(({ hmac }) => hmac)}::bytea[], ${returned.map(({ profileId }) => profileId)}::bigint[])
    on conflict (shard, address_hmac) do update set profile_id = excluded.profile_id`.execute(tx)
}

/** Every stored key of a profile. */
export function keysOf(state: ProfileState): StoredKey[] {
  const email = state.email === null ? null : storedKey('email', state.email)
  const others = Object.entries(state.keys).map(([kind, value]) => storedKey(kind as KeyKind, value))
  return [email, ...others].filter((key) => key !== null)
}

function packed(wishes: Wishes): PackedWishes {
  const { level, levelAt, levelVia, refusedAt, complainedAt, refusals, decided, sms, pixelConsent } = wishes
  return {
    level: rankOf(level),
    levelAt: levelAt?.toISOString() ?? null,
    levelVia,
    refusedAt: refusedAt?.toISOString() ?? null,
    complainedAt: complainedAt?.toISOString() ?? null,
    refusals,
    decided,
    lists: [...wishes.listsLeft].map(([name, { at, via, number }]) => [name, at.toISOString(), via, number]),
    templates: [...wishes.templateOptouts].map(([id, { name, at, via, number }]) => [
      id,
      name,
      at.toISOString(),
      via,
      number,
    ]),
    sms,
    pixel: pixelConsent,
  }
}

function unpacked(packed: PackedWishes): Wishes {
  const date = (text: string | null | undefined) => (text ? new Date(text) : null)
  const refusals = packed.refusals ?? {}
  return {
    ...NO_WISHES,
    level: levelOf(packed.level ?? 0),
    levelAt: date(packed.levelAt),
    levelVia: (packed.levelVia ?? null) as Via | null,
    refusedAt: date(packed.refusedAt),
    complainedAt: date(packed.complainedAt),
    refusals,
    decided: Math.max(packed.decided ?? 0, ...Object.values(refusals)),
    listsLeft: new Map((packed.lists ?? []).map(([name, ...left]) => [name, refusalOf(...left)])),
    templateOptouts: new Map(
      (packed.templates ?? []).map(([id, name, ...left]) => [id, { name, ...refusalOf(...left) }]),
    ),
    sms: packed.sms ?? {},
    pixelConsent: packed.pixel ?? null,
  }
}
