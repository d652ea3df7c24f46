import type { JsonObject } from '../platform/json.ts'

/** One line of an order or a cart. Money is in cents (the smallest unit of the shop's currency). */
export interface Item {
  id: string
  title: string
  /** Of one piece. */
  price: number
  /** Negative for what is taken back. */
  qty: number
  url: string
  tags?: string[]
  vars?: JsonObject
  images?: JsonObject
  sku?: string
}

/** A discount (negative), postage, a tax; or a means of payment. In cents. */
export interface Amount {
  title: string
  price: number
}

export const CHANNELS = ['online', 'app', 'offline'] as const
export type Channel = (typeof CHANNELS)[number]

/** What a shop reports: a completed order, or what lies in a cart. */
export interface Order {
  items: Item[]
  isIncomplete: boolean
  at: Date
  adjustments: Amount[]
  tenders: Amount[]
  vars: JsonObject
  channel: Channel
  /** The shop's own id of the order. */
  extid: string | null
  /** Which message brought the person: the value of the cookie `sailthru_bid`. */
  messageId: string | null
  appId: string | null
  deviceId: string | null
  userAgent: string | null
}

/** An order as the database holds it. */
export interface Purchase extends Order {
  /** Carries the shard. */
  id: number
  /** The id under which it was first answered, when a merge of people gave it another one since. */
  firstId: number | null
  profileId: number
  price: number
  qty: number
}

/** What an order comes to: pieces, and cents with its adjustments. Tenders say how it was paid and change nothing. */
export function totalsOf({ items, adjustments }: Pick<Order, 'items' | 'adjustments'>): { price: number; qty: number } {
  const goods = items.reduce((sum, item) => sum + item.price * item.qty, 0)
  const price = adjustments.reduce((sum, adjustment) => sum + adjustment.price, goods)
  const qty = items.reduce((sum, item) => sum + item.qty, 0)
  return { price: Math.round(price), qty: Math.round(qty) }
}

/** The part of an order that is kept as one JSON value: all that no query asks for. */
export function detailsOf(order: Order): JsonObject {
  const { items, adjustments, tenders, vars, channel, extid, messageId, appId, deviceId, userAgent } = order
  const parts = { items, adjustments, tenders, vars, channel, extid, messageId, appId, deviceId, userAgent }
  return JSON.parse(JSON.stringify(parts)) as JsonObject
}

/**
 * An order in the words of the API and of templates: `{_id, items, price, qty, time, …}`. Parts that are empty are left
 * out.
 *
 * @param time writes a moment as the account likes it
 */
export function describe(purchase: Purchase, time: (at: Date) => string): JsonObject {
  const { adjustments, tenders, vars, extid, messageId, appId, deviceId } = purchase
  const sid = sidOfPurchase(purchase)
  return {
    _id: sid,
    unique_id: sid,
    items: purchase.items as unknown as JsonObject[],
    price: purchase.price,
    qty: purchase.qty,
    time: time(purchase.at),
    channel: purchase.channel,
    ...(purchase.isIncomplete && { incomplete: 1 }),
    ...(adjustments.length > 0 && { adjustments: adjustments as unknown as JsonObject[] }),
    ...(tenders.length > 0 && { tenders: tenders as unknown as JsonObject[] }),
    ...(Object.keys(vars).length > 0 && { vars }),
    ...(extid !== null && { purchase_keys: { extid } }),
    ...(messageId !== null && { message_id: messageId }),
    ...(appId !== null && { app_id: appId }),
    ...(deviceId !== null && { device_id: deviceId }),
  }
}

/** An order as templates read it: they calculate with times, so they get Unix seconds and not text. */
export function forTemplates(purchase: Purchase): JsonObject {
  return {
    ...describe(purchase, () => ''),
    id: sidOfPurchase(purchase),
    extid: purchase.extid,
    time: Math.floor(purchase.at.getTime() / 1000),
  }
}

const SID_DIGITS = 24

/** How callers know a purchase: 24 hexadecimal digits. Only holders of an API key can ask for one. */
export const sidOfPurchase = ({ id, firstId }: Pick<Purchase, 'id' | 'firstId'>): string =>
  (firstId ?? id).toString(16).padStart(SID_DIGITS, '0')

/** The id inside, or null for text that is no id of a purchase. */
export function purchaseIdOf(sid: string): number | null {
  if (!/^[0-9a-f]{24}$/.test(sid)) return null
  const id = Number.parseInt(sid, 16)
  return Number.isSafeInteger(id) && id > 0 ? id : null
}
