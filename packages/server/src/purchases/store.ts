import { sql } from 'kysely'
import type { Queryable, Tx } from '../platform/database.ts'
import type { JsonObject } from '../platform/json.ts'
import { shardOfId, shardOfKey } from '../platform/shard.ts'
import type { Credit } from './credit.ts'
import { detailsOf, type Order, type Purchase, totalsOf } from './order.ts'

/** The tables of purchases: completed orders, which never change, and at most one cart a person. */

declare module '../platform/database.ts' {
  interface Schema {
    purchase: PurchaseTable
    purchase_key: { shard: number; extid: string; purchase_id: number }
    /** Where a purchase went when its person was merged into another: its first id, and the present one. */
    purchase_moved: { shard: number; id: number; purchase_id: number }
  }
}

interface PurchaseTable {
  shard: number
  id: number
  profile_id: number
  is_incomplete: boolean
  at: Date
  price: number
  qty: number
  details: JsonObject
  first_id: number | null
  /** The message that it is credited to, and the campaign of that. */
  message_id: number | null
  campaign_id: number | null
}

/**
 * Keeps a completed order; the cart is empty after it. Null when the shop's id belongs to
 * another order; the id of an order that was erased with its person is free again.
 */
export async function insertOrder(
  tx: Tx,
  profileId: number,
  order: Order,
  credit: Credit | null,
): Promise<Purchase | null> {
  const shard = shardOfId(profileId)
  await sql`delete from purchase where shard = ${shard} and profile_id = ${profileId} and is_incomplete`.execute(tx)
  const purchase = await insert(tx, shard, profileId, order, credit)
  if (order.extid === null) return purchase
  // Two orders that claim the same id take turns, so that the second sees the first.
  await sql`select pg_advisory_xact_lock(hashtextextended(${`purchase:${order.extid}`}, 0))`.execute(tx)
  const { numAffectedRows } = await sql`
    insert into purchase_key (shard, extid, purchase_id)
    values (${shardOfKey('purchase', order.extid)}, ${order.extid}, ${purchase.id})
    on conflict (shard, extid) do update set purchase_id = excluded.purchase_id
      where not exists (select from purchase p
        where p.shard = purchase_key.purchase_id % 64 and p.id = purchase_key.purchase_id)`.execute(tx)
  return numAffectedRows === 1n ? purchase : null
}

/** Puts a cart in the place of the one before. A cart without items is none. */
export async function replaceCart(tx: Tx, profileId: number, order: Order): Promise<Purchase | null> {
  const shard = shardOfId(profileId)
  if (order.items.length > 0) return insert(tx, shard, profileId, order, null)
  await sql`delete from purchase where shard = ${shard} and profile_id = ${profileId} and is_incomplete`.execute(tx)
  return null
}

async function insert(
  tx: Tx,
  shard: number,
  profileId: number,
  order: Order,
  credit: Credit | null,
): Promise<Purchase> {
  const totals = totalsOf(order)
  const { rows } = await sql<{ id: number }>`
    insert into purchase (shard, id, profile_id, is_incomplete, at, price, qty, details, message_id,
      campaign_id)
    values (${shard}, nextval('purchase_number') * 64 + ${shard}::smallint, ${profileId}, ${order.isIncomplete}, ${order.at},
      ${totals.price}, ${totals.qty}, ${JSON.stringify(detailsOf(order))},
      ${credit?.messageId ?? null}::bigint, ${credit?.campaignId ?? null}::int)
    on conflict (shard, profile_id) where is_incomplete do update
      set at = excluded.at, price = excluded.price, qty = excluded.qty, details = excluded.details
    returning id`.execute(tx)
  return { ...order, ...totals, id: (rows[0] as { id: number }).id, firstId: null, profileId }
}

/** Finds a purchase by the id that callers know, also after its person was merged into another. */
export async function findBySid(q: Queryable, id: number): Promise<Purchase | null> {
  const purchase = await findById(q, id)
  if (purchase) return purchase
  const { rows } = await sql<{ purchase_id: number }>`
    select purchase_id from purchase_moved where shard = ${shardOfId(id)} and id = ${id}`.execute(q)
  return rows[0] ? findById(q, rows[0].purchase_id) : null
}

/** Finds a purchase by its present id. */
async function findById(q: Queryable, id: number): Promise<Purchase | null> {
  const { rows } = await sql<PurchaseTable>`
    select * from purchase where shard = ${shardOfId(id)} and id = ${id}`.execute(q)
  return rows[0] ? fromRow(rows[0]) : null
}

/** Finds a completed order by the shop's own id. */
export async function findByExtid(q: Queryable, extid: string): Promise<Purchase | null> {
  const { rows } = await sql<{ purchase_id: number }>`
    select purchase_id from purchase_key
    where shard = ${shardOfKey('purchase', extid)} and extid = ${extid}`.execute(q)
  return rows[0] ? findById(q, rows[0].purchase_id) : null
}

/** A person's completed orders, newest first. */
export async function ordersOf(q: Queryable, profileId: number, limit: number): Promise<Purchase[]> {
  const { rows } = await sql<PurchaseTable>`
    select * from purchase
    where shard = ${shardOfId(profileId)} and profile_id = ${profileId} and not is_incomplete
    order by at desc, id desc limit ${limit}`.execute(q)
  return rows.map(fromRow)
}

/** What lies in a person's cart. */
export async function cartOf(q: Queryable, profileId: number): Promise<Purchase | null> {
  const { rows } = await sql<PurchaseTable>`
    select * from purchase
    where shard = ${shardOfId(profileId)} and profile_id = ${profileId} and is_incomplete`.execute(q)
  return rows[0] ? fromRow(rows[0]) : null
}

/** How often a person has bought, and for how much altogether, in cents. */
export async function lifetimeOf(q: Queryable, profileId: number): Promise<{ orders: number; price: number }> {
  const { rows } = await sql<{ orders: number; price: number }>`
    select count(*) as orders, coalesce(sum(price), 0)::bigint as price from purchase
    where shard = ${shardOfId(profileId)} and profile_id = ${profileId} and not is_incomplete`.execute(q)
  return rows[0] ?? { orders: 0, price: 0 }
}

function fromRow(row: PurchaseTable): Purchase {
  const { id, first_id, profile_id, is_incomplete, at, price, qty } = row
  return {
    ...(row.details as unknown as Order),
    isIncomplete: is_incomplete,
    at,
    id,
    firstId: first_id,
    profileId: profile_id,
    price,
    qty,
  }
}
