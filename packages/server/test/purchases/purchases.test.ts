import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findBreak, readLedger } from '../../src/consent/ledger.ts'
import { findProfile } from '../../src/profiles/read.ts'
import { type House, ok, openHouse, refused } from '../endpoints/support.ts'

let house: House
beforeAll(async () => {
  house = await openHouse()
  await house.post('template', { template: 'Receipt', subject: 'Your order' })
  await house.post('template', { template: 'Basic receipt', subject: 'Your order', is_basic: 1 })
  await house.post('template', { template: 'Come back', subject: 'Your cart' })
})
afterAll(() => house.close())

const cup = { id: 'cup', title: 'Cup', price: 900, qty: 2, url: 'https://example.com/cup' }
const tea = { id: 'tea', title: 'Tea', price: '450', qty: '1', url: 'https://example.com/tea', tags: 'green, loose' }
const TIME = 'Tue, 05 Mar 2030 12:00:20 +0000'

const buy = (email: string, more: object = {}) => house.post('purchase', { email, items: [cup], ...more })
const carts = async (id: string) =>
  (await house.get('user', { id, fields: { purchase_incomplete: 1 } })).body.purchase_incomplete
const mails = async (email: string) => (await house.messages()).filter(({ address }) => address === email)
const ledgerOf = async (email: string) => {
  const profile = await findProfile(house.db, { kind: 'email', value: email })
  const rows = await readLedger(house.db, profile?.id ?? 0)
  return { rows, break: findBreak(rows, profile?.ledgerHead ?? null) }
}

describe('completed orders', () => {
  test('are kept with their totals, and answered as they are read later', async () => {
    const { status, body } = await house.post('purchase', {
      email: 'Buyer@example.com',
      items: [cup, { ...tea, vars: { size: 'L' }, images: { full: { url: 'https://example.com/t.png' } }, sku: 'T1' }],
      adjustments: [
        { title: 'Voucher', price: -500 },
        { title: 'Postage', price: '390' },
      ],
      tenders: [{ title: 'Card', price: 2140 }],
      vars: { note: 'gift' },
      purchase_keys: { extid: 'order-1' },
      date: '2030-03-05 11:00:00 UTC',
    })
    expect(status).toBe(200)
    const sid = expect.stringMatching(/^[0-9a-f]{24}$/)
    expect(body).toEqual({
      purchase: {
        _id: sid,
        unique_id: sid,
        items: [
          cup,
          {
            ...tea,
            price: 450,
            qty: 1,
            tags: ['green', 'loose'],
            vars: { size: 'L' },
            images: { full: { url: 'https://example.com/t.png' } },
            sku: 'T1',
          },
        ],
        price: 2140,
        qty: 3,
        time: 'Tue, 05 Mar 2030 11:00:00 +0000',
        channel: 'online',
        adjustments: [
          { title: 'Voucher', price: -500 },
          { title: 'Postage', price: 390 },
        ],
        tenders: [{ title: 'Card', price: 2140 }],
        vars: { note: 'gift' },
        purchase_keys: { extid: 'order-1' },
      },
    })
    expect(await house.get('purchase', { purchase_id: body.purchase._id })).toEqual(ok(body))
    expect(await house.get('purchase', { purchase_id: 'order-1', purchase_key: 'extid' })).toEqual(ok(body))
  })

  test('make a profile for an unknown address, on no list and at no other level', async () => {
    const { lists, optout_email } = (await house.get('user', { id: 'buyer@example.com' })).body
    expect({ lists, optout_email }).toEqual({ lists: null, optout_email: 'none' })
  })

  test('are counted and listed on the person, newest first', async () => {
    await buy('buyer@example.com', { date: '2030-03-01' })
    const fields = { lifetime: 1, purchases: 5 }
    const { lifetime, purchases } = (await house.get('user', { id: 'buyer@example.com', fields })).body
    expect(lifetime).toEqual({
      lifetime_message: 0,
      lifetime_open: 0,
      lifetime_click: 0,
      lifetime_purchase: 2,
      lifetime_purchase_price: 3940,
    })
    expect(purchases.map(({ price }: { price: number }) => price)).toEqual([2140, 1800])
    const one = (await house.get('user', { id: 'buyer@example.com', fields: { purchases: 2 } })).body.purchases
    expect(one).toHaveLength(2)
  })

  test('an id that was used before: 409, and nothing is written', async () => {
    expect(await buy('second@example.com', { purchase_keys: { extid: 'order-1' }, send_template: 'Receipt' })).toEqual(
      refused(409, 99, 'A purchase with this extid exists already: order-1'),
    )
    expect((await house.get('user', { id: 'second@example.com' })).status).toBe(404)
    expect(await mails('second@example.com')).toEqual([])
  })

  test('two that claim the same id at once: one wins', async () => {
    const calls = ['p', 'q', 'r'].map((name) => buy(`${name}@example.com`, { extid: 'race-1' }))
    const statuses = (await Promise.all(calls)).map(({ status }) => status)
    expect(statuses.sort()).toEqual([200, 409, 409])
  })

  test('the id of an order that was erased with its person is free again', async () => {
    await buy('erased@example.com', { extid: 'order-2' })
    await house.del('user', { id: 'erased@example.com' })
    expect((await house.get('purchase', { purchase_id: 'order-2', purchase_key: 'extid' })).status).toBe(404)
    expect((await buy('erased@example.com', { extid: 'order-2' })).status).toBe(200)
  })

  test('are unknown after a year', async () => {
    await buy('year@example.com', { extid: 'old', date: '2029-03-01' })
    expect((await house.get('purchase', { purchase_id: 'old', purchase_key: 'extid' })).status).toBe(404)
  })

  test('all that an app reports is kept', async () => {
    const app = { channel: 'app', app_id: 'shop-ios', device_id: 'd-1', user_agent: 'Shop/1.0', message_id: 'abc' }
    const { purchase } = (await buy('app@example.com', { ...app, cookies: { sailthru_pc: 'x' } })).body
    expect(purchase).toMatchObject({ channel: 'app', app_id: 'shop-ios', device_id: 'd-1', message_id: 'abc' })
    const { details } = await house.db
      .selectFrom('purchase')
      .select('details')
      .where('id', '=', Number.parseInt(purchase._id, 16))
      .executeTakeFirstOrThrow()
    expect(details).toMatchObject({ userAgent: 'Shop/1.0' })
  })

  test('in bracket style', async () => {
    const form = 'email=form%40example.com&items[0][id]=1&items[0][title]=A&items[0][price]=100&items[0][qty]=3'
    const { body } = await house.postForm('purchase', `${form}&items[0][url]=https://example.com/a`)
    expect(body.purchase).toMatchObject({ price: 300, qty: 3 })
  })

  test.each([
    ['no address', { email: undefined }, 400, 2],
    ['a bad address', { email: 'nobody' }, 400, 11],
    ['no items', { items: undefined }, 400, 2],
    ['an empty order', { items: [] }, 400, 99],
    ['an item that is none', { items: ['cup'] }, 400, 99],
    ['an item without a price', { items: [{ ...cup, price: undefined }] }, 400, 2],
    ['an item without a title', { items: [{ ...cup, title: '' }] }, 400, 2],
    ['a price that is no number', { items: [{ ...cup, price: 'nine' }] }, 400, 99],
    ['a price beyond counting', { items: [{ ...cup, price: 1e300 }] }, 400, 99],
    ['a channel that is none', { channel: 'carrier pigeon' }, 400, 99],
    ['a time that is none', { date: 'gibberish' }, 400, 18],
    ['an unknown receipt', { send_template: 'Nope' }, 404, 14],
    ['a reminder of a completed order', { reminder_template: 'Come back', reminder_time: '+1 hour' }, 400, 99],
  ])('%s: nothing is written', async (_, params, status, code) => {
    expect(await buy('none@example.com', params)).toEqual(refused(status, code))
    expect((await house.get('user', { id: 'none@example.com' })).status).toBe(404)
  })
})

describe('carts', () => {
  const cart = (items: object[], more: object = {}) =>
    house.post('purchase', { email: 'cart@example.com', items, incomplete: 1, ...more })

  test('each call replaces the whole cart; an order clears it', async () => {
    await cart([cup])
    const { purchase } = (await cart([tea])).body
    expect(purchase).toMatchObject({ price: 450, qty: 1, incomplete: 1, time: TIME })
    expect((await carts('cart@example.com')).map(({ price }: { price: number }) => price)).toEqual([450])
    await buy('cart@example.com')
    expect(await carts('cart@example.com')).toEqual([])
  })

  test('an empty one empties it', async () => {
    await cart([cup])
    expect(await cart([])).toEqual(
      ok({ purchase: { items: [], price: 0, qty: 0, time: TIME, channel: 'online', incomplete: 1 } }),
    )
    expect(await carts('cart@example.com')).toEqual([])
  })

  test('may carry the id that the order will have', async () => {
    for (let i = 0; i < 2; i++) expect((await cart([cup], { extid: 'to-be' })).status).toBe(200)
    expect((await buy('cart@example.com', { extid: 'to-be' })).status).toBe(200)
  })

  test('many at once leave one', async () => {
    await Promise.all(Array.from({ length: 8 }, (_, i) => cart([{ ...cup, qty: i + 1 }])))
    expect(await carts('cart@example.com')).toHaveLength(1)
  })

  test('a reminder restarts with each cart, and is taken back by the order', async () => {
    const reminder = { reminder_template: 'Come back', reminder_time: '+1 hour' }
    const states = async () => (await mails('remind@example.com')).map(({ kind, state }) => `${kind} ${state}`)
    const put = (more: object) =>
      house.post('purchase', { email: 'remind@example.com', items: [cup], incomplete: 1, ...more })
    await put(reminder)
    expect(await states()).toEqual(['triggered queued'])
    await put(reminder)
    expect(await states()).toEqual(['triggered cancelled', 'triggered queued'])
    await buy('remind@example.com')
    expect(await states()).toEqual(['triggered cancelled', 'triggered cancelled'])
  })

  test('a reminder waits for its time, counted from the call, and knows the cart', async () => {
    await house.post('purchase', {
      email: 'waits@example.com',
      items: [cup],
      incomplete: 1,
      reminder_template: 'Come back',
      reminder_time: '+90 minutes',
    })
    const row = await house.db
      .selectFrom('message')
      .select(['scheduled_for', 'context', 'kind'])
      .where('address', '=', 'waits@example.com')
      .executeTakeFirstOrThrow()
    expect(row).toMatchObject({
      kind: 'triggered',
      context: { purchase: { incomplete: 1, items: [cup], price: 1800 } },
    })
    expect(row.scheduled_for).toEqual(new Date('2030-03-05T13:30:20Z'))
  })

  test('a reminder is no receipt: it does not reach people who opted out', async () => {
    await house.post('user', { id: 'left@example.com', optout_email: 'all' })
    const reminder = { reminder_template: 'Come back', reminder_time: '+1 hour' }
    const { status } = await house.post('purchase', {
      email: 'left@example.com',
      items: [cup],
      incomplete: 1,
      ...reminder,
    })
    expect(status).toBe(200)
    expect(await mails('left@example.com')).toEqual([])
  })

  test.each([
    [{ reminder_template: 'Come back' }, 400, 2],
    [{ reminder_time: '+1 hour' }, 400, 2],
    [{ reminder_template: 'Nope', reminder_time: '+1 hour' }, 404, 14],
  ])('half a reminder, %j', async (params, status, code) => {
    expect(await cart([cup], params)).toEqual(refused(status, code))
  })

  test('a cart sends no receipt', async () => {
    await house.post('purchase', {
      email: 'noreceipt@example.com',
      items: [cup],
      incomplete: 1,
      send_template: 'Receipt',
    })
    expect(await mails('noreceipt@example.com')).toEqual([])
  })
})

describe('receipts', () => {
  test('know the order', async () => {
    await buy('receipt@example.com', { send_template: 'Receipt', extid: 'r-1' })
    const { context } = await house.db
      .selectFrom('message')
      .select('context')
      .where('address', '=', 'receipt@example.com')
      .executeTakeFirstOrThrow()
    expect(context).toEqual({
      purchase: expect.objectContaining({
        price: 1800,
        qty: 2,
        items: [cup],
        purchase_keys: { extid: 'r-1' },
        id: expect.stringMatching(/^[0-9a-f]{24}$/),
        extid: 'r-1',
        time: Date.parse('2030-03-05T12:00:20Z') / 1000,
      }),
    })
  })

  test('sent against the level are noted in the ledger; the level stays', async () => {
    await house.post('user', { id: 'forced@example.com', optout_email: 'all' })
    await buy('forced@example.com', { send_template: 'Receipt' })
    const { rows, break: broken } = await ledgerOf('forced@example.com')
    expect(rows.at(-1)).toMatchObject({ event: 'forced', via: 'purchase', from_state: 'all', to_state: 'all' })
    expect(broken).toBe(null)
    await house.post('user', { id: 'forced@example.com', optout_email: 'none' })
    expect((await ledgerOf('forced@example.com')).break).toBe(null)
  })

  test('nothing is noted where nothing was forced', async () => {
    await house.post('user', { id: 'plain@example.com', optout_email: 'basic' })
    await buy('plain@example.com', { send_template: 'Basic receipt' })
    expect((await ledgerOf('plain@example.com')).rows.map(({ event }) => event)).not.toContain('forced')
  })

  test('an account may choose not to force them', async () => {
    await house.post('user', { id: 'unforced@example.com', optout_email: 'all' })
    await house.setting('force_receipts', 'false')
    try {
      expect((await buy('unforced@example.com', { send_template: 'Receipt' })).status).toBe(200)
    } finally {
      await house.setting('force_receipts', 'true')
    }
    expect(await mails('unforced@example.com')).toEqual([])
    expect((await ledgerOf('unforced@example.com')).rows.map(({ event }) => event)).not.toContain('forced')
  })
})

test('a completed order is a fact that flows can wait for, an incomplete one is not', async () => {
  await house.db.insertInto('flow_trigger').values({ type: 'purchase', key: '', flow_id: 1, version: 1 }).execute()
  await house.post('purchase', { email: 'signal@example.com', items: [cup], incomplete: 1 })
  await buy('signal@example.com', { date: '2030-03-05 10:00:00 UTC' })
  const signals = await house.db.selectFrom('signal').selectAll().where('type', '=', 'purchase').execute()
  expect(signals).toHaveLength(1)
  expect(signals[0]).toMatchObject({ source: 'purchase', payload: { price: 1800, qty: 2 } })
  expect(signals[0]?.occurred_at).toEqual(new Date('2030-03-05T10:00:00Z'))
})

test('merging two people brings their orders together; each keeps the id it was given', async () => {
  const merged = [
    (await buy('merge-a@example.com', { extid: 'm-a' })).body,
    (await buy('merge-b@example.com', { extid: 'm-b' })).body,
  ]
  await house.post('user', { id: 'merge-b@example.com', keys: { extid: 'M' } })
  await house.post('user', { id: 'merge-a@example.com', keys: { extid: 'M' }, keysconflict: 'merge' })
  const fields = { lifetime: 1 }
  const { lifetime } = (await house.get('user', { id: 'merge-a@example.com', fields })).body
  expect(lifetime.lifetime_purchase).toBe(2)
  for (const purchase_id of ['m-a', 'm-b']) {
    expect((await house.get('purchase', { purchase_id, purchase_key: 'extid' })).status).toBe(200)
  }
  const known = async () => {
    for (const answer of merged) {
      expect(await house.get('purchase', { purchase_id: answer.purchase._id })).toEqual(ok(answer))
    }
  }
  await known()

  await house.post('user', { id: 'merge-c@example.com' })
  await house.post('user', { id: 'merge-c@example.com', keys: { extid: 'M' }, keysconflict: 'merge' })
  await known()
  await house.del('user', { id: 'merge-c@example.com' })
  for (const { purchase } of merged) {
    expect((await house.get('purchase', { purchase_id: purchase._id })).status).toBe(404)
  }
})

test.each([
  [{}, 400, 2],
  [{ purchase_id: '0'.repeat(24) }, 404, 99],
  [{ purchase_id: 'f'.repeat(24) }, 404, 99],
  [{ purchase_id: 'nope', purchase_key: 'extid' }, 404, 99],
  [{ purchase_id: 'x', purchase_key: 'shoe' }, 400, 99],
])('GET purchase %j', async (params, status, code) => {
  expect(await house.get('purchase', params)).toEqual(refused(status, code))
})
