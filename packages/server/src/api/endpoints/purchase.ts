import { Type } from 'typebox'
import { formatRfc2822 } from '../../platform/time-text.ts'
import { parseAddress } from '../../profiles/address.ts'
import {
  type Amount,
  CHANNELS,
  describe,
  type Item,
  type Order,
  purchaseIdOf,
  totalsOf,
} from '../../purchases/order.ts'
import { array, bool01, commaList, map, number, required, text, time } from '../coerce.ts'
import type { Endpoint } from '../endpoints.ts'
import {
  ApiError,
  duplicatePurchase,
  invalidEmail,
  invalidValue,
  missingParameter,
  noItems,
  tooLarge,
  unknownTemplate,
} from '../errors.ts'
import { isMap, type Params, type Value } from '../parameters.ts'
import type { ApiParts } from '../parts.ts'
import { choice, MOST_VARS, nameText, readVars } from '../person-params.ts'
import { anyMap, flag, nameOf, timeText } from './schemas.ts'

const amounts = (what: string) =>
  Type.Optional(
    Type.Array(Type.Object({ title: Type.String(), price: Type.Integer({ description: 'Cents' }) }), {
      description: what,
    }),
  )

const item = Type.Object({
  id: Type.String(),
  title: Type.String(),
  price: Type.Integer({ description: 'Cents, of one piece' }),
  qty: Type.Integer(),
  url: Type.String(),
  tags: Type.Optional(Type.Array(Type.String())),
  vars: Type.Optional(anyMap('')),
  images: Type.Optional(anyMap('`{full: {url}, thumb: {url}}`')),
  sku: Type.Optional(Type.String()),
})

const YEAR = 366 * 86_400_000

/** `purchase`: completed orders, carts and receipts. */
export function purchaseEndpoint({ purchases, settings }: Pick<ApiParts, 'purchases' | 'settings'>): Endpoint {
  return {
    get: {
      summary: 'Show a purchase of the past year',
      params: Type.Object({
        purchase_id: Type.String({ description: 'Its `_id`, or your own id' }),
        purchase_key: Type.Optional(Type.Enum(['sid', 'extid'], { description: 'Which of the two; default `sid`' })),
      }),
      async handle({ now }, params) {
        const id = required(nameText(params, 'purchase_id'), 'purchase_id')
        const key = choice(params, 'purchase_key', ['sid', 'extid']) ?? 'sid'
        const number = key === 'sid' ? purchaseIdOf(id) : null
        const purchase =
          key === 'extid' ? await purchases.byExtid(id) : number === null ? null : await purchases.byId(number)
        if (!purchase || now.getTime() - purchase.at.getTime() > YEAR) {
          throw new ApiError(99, `Purchase not found with ${key}: ${id}`, 404)
        }
        const { timezone } = await settings.get()
        return { purchase: describe(purchase, (at) => formatRfc2822(at, timezone)) }
      },
    },

    post: {
      summary: 'Report a completed order, or what lies in a cart',
      params: Type.Object({
        email: Type.String({ description: 'Who bought' }),
        items: Type.Array(item),
        incomplete: Type.Optional(flag('1: a cart, which takes the place of the one before; default 0')),
        date: Type.Optional(timeText('When; default now')),
        message_id: Type.Optional(
          Type.String({ description: 'Id of the message that led to it, as `message_id()` of templates prints it' }),
        ),
        cookies: Type.Optional(anyMap('Cookies of the shop')),
        reminder_template: Type.Optional(nameOf('the template that reminds of the cart')),
        reminder_time: Type.Optional(timeText('When to remind, as in `+1 hour`')),
        send_template: Type.Optional(nameOf('the receipt: reaches the buyer whatever their opt-out level')),
        adjustments: amounts('Discounts (negative), postage, taxes: part of the price'),
        tenders: amounts('How it was paid'),
        vars: Type.Optional(anyMap('Vars of the purchase')),
        purchase_keys: Type.Optional(
          Type.Object({ extid: Type.Optional(Type.String({ description: 'Your own id of the order' })) }),
        ),
        channel: Type.Optional(Type.Enum([...CHANNELS], { description: 'Default `online`' })),
        app_id: Type.Optional(Type.String()),
        device_id: Type.Optional(Type.String()),
        user_agent: Type.Optional(Type.String()),
      }),
      async handle({ apiKey, now }, params) {
        const { timezone } = await settings.get()
        const email = required(text(params, 'email'), 'email').trim()
        if (!parseAddress(email)) throw invalidEmail(email)
        const order = readOrder(params, now, timezone)
        const outcome = await purchases.record({
          email,
          order,
          sendTemplate: order.isIncomplete ? null : nameText(params, 'send_template') || null,
          reminder: readReminder(params, order, now, timezone),
          act: { via: 'purchase', evidence: 0, actor: apiKey.key },
        })
        if (!outcome.ok) {
          if (outcome.problem === 'unknown_template') throw unknownTemplate(outcome.name)
          throw outcome.problem === 'duplicate_extid' ? duplicatePurchase(order.extid ?? '') : invalidEmail(email)
        }
        const show = (at: Date) => formatRfc2822(at, timezone)
        if (outcome.purchase) return { purchase: describe(outcome.purchase, show) }
        return {
          purchase: { items: [], price: 0, qty: 0, time: show(order.at), channel: order.channel, incomplete: 1 },
        }
      },
    },
  }
}

function readOrder(params: Params, now: Date, zone: string): Order {
  const isIncomplete = bool01(params, 'incomplete') ?? false
  const items = required(array(params, 'items'), 'items').map((value, i) => readItem(value, `items[${i}]`))
  if (items.length === 0 && !isIncomplete) throw noItems()
  const keys = map(params, 'purchase_keys')
  const extid = keys && nameText(keys, 'extid', 'purchase_keys[extid]')
  const order: Order = {
    items,
    isIncomplete,
    at: time(params, 'date', now, zone) ?? now,
    adjustments: readAmounts(params, 'adjustments'),
    tenders: readAmounts(params, 'tenders'),
    vars: readVars(params) ?? {},
    channel: choice(params, 'channel', CHANNELS) ?? 'online',
    extid: extid || nameText(params, 'extid') || null,
    messageId: nameText(params, 'message_id') || null,
    appId: nameText(params, 'app_id') || null,
    deviceId: nameText(params, 'device_id') || null,
    userAgent: text(params, 'user_agent') || null,
  }
  if (!Object.values(totalsOf(order)).every(Number.isSafeInteger)) throw invalidValue('items', 'of a smaller price')
  if (JSON.stringify(order).length > MOST_VARS) throw tooLarge('The purchase', MOST_VARS)
  return order
}

function readItem(value: Value, label: string): Item {
  if (!isMap(value)) throw invalidValue(label, 'a map of names to values')
  const inside = (name: string) => `${label}[${name}]`
  const needed = (name: string) => required(text(value, name, inside(name)), inside(name))
  const amount = (name: string) => required(number(value, name, inside(name)), inside(name))
  const tags = commaList(value, 'tags', inside('tags'))
  const vars = readVars(value, 'vars', inside('vars'))
  const images = map(value, 'images', inside('images'))
  const sku = text(value, 'sku', inside('sku'))
  return {
    id: needed('id'),
    title: needed('title'),
    price: amount('price'),
    qty: amount('qty'),
    url: needed('url'),
    ...(tags && { tags }),
    ...(vars && { vars }),
    ...(images && { images: images as Item['images'] }),
    ...(sku && { sku }),
  }
}

function readAmounts(params: Params, name: string): Amount[] {
  return (array(params, name) ?? []).map((value, i) => {
    const label = `${name}[${i}]`
    if (!isMap(value)) throw invalidValue(label, 'a map of names to values')
    return {
      title: text(value, 'title', `${label}[title]`) ?? '',
      price: required(number(value, 'price', `${label}[price]`), `${label}[price]`),
    }
  })
}

/** Each of the two parameters needs the other, and a cart. */
function readReminder(params: Params, order: Order, now: Date, zone: string): { template: string; at: Date } | null {
  const template = nameText(params, 'reminder_template') || null
  const at = time(params, 'reminder_time', now, zone)
  if (template === null && at === null) return null
  if (template === null) throw missingParameter('reminder_template')
  if (at === null) throw missingParameter('reminder_time')
  if (!order.isIncomplete) throw invalidValue('reminder_template', 'left out of a completed purchase')
  return { template, at }
}
