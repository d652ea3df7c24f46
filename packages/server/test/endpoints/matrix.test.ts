import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findProfile } from '../../src/profiles/read.ts'
import { type House, openHouse } from './support.ts'

/**
 * Who is reached by what, cell by cell: T an ordinary template, B a transactional one, P a receipt that a purchase
 * forces out, O the opt-in confirmation. A number is the code that `POST send` answers.
 */

let house: House
beforeAll(async () => {
  house = await openHouse()
  await house.post('template', { template: 'T', subject: 'T' })
  await house.post('template', { template: 'B', subject: 'B', is_basic: 1 })
  await house.post('template', { template: 'P', subject: 'P' })
  await house.post('template', {
    template: 'Opt-in Confirm',
    subject: 'O',
    content_html: '<a href="{signup_confirm()}">Yes</a>',
  })
})
afterAll(() => house.close())

const NAMES = { T: 'T', B: 'B', O: 'Opt-in Confirm' } as const
const SENT = 200
type Cell = typeof SENT | 31 | 32 | 33 | 34 | 35 | 37

const level = (optout_email: string) => (id: string) => house.post('user', { id, optout_email })
const leaveAll = (id: string) => house.post('user', { id, optout_templates: { T: 0, B: 0, P: 0, 'Opt-in Confirm': 0 } })
const both =
  (...steps: Array<(id: string) => Promise<unknown>>) =>
  async (id: string) => {
    for (const step of steps) await step(id)
  }
const known = (id: string) => house.post('user', { id })
const complained = async (id: string) => {
  await known(id)
  await house.services.profiles.change({
    person: { kind: 'email', value: id },
    act: { via: 'complaint', evidence: 0 },
    complaint: true,
  })
}
const softbounced = async (id: string) => {
  await known(id)
  await house.services.profiles.change({
    person: { kind: 'email', value: id },
    act: { via: 'bounce', evidence: 0 },
    deliverability: { address: id, state: 'softbounce', class: '4.2.2', detail: 'full' },
  })
}

const states: Array<[string, (id: string) => Promise<unknown>, Record<'T' | 'B' | 'O', Cell>, boolean]> = [
  ['unknown', async () => {}, { T: SENT, B: SENT, O: SENT }, true],
  ['none', level('none'), { T: SENT, B: SENT, O: SENT }, true],
  ['blast', level('blast'), { T: SENT, B: SENT, O: SENT }, true],
  ['basic', level('basic'), { T: 37, B: SENT, O: SENT }, true],
  ['all', level('all'), { T: 32, B: 32, O: SENT }, true],
  ['out of the template', leaveAll, { T: 33, B: 33, O: 33 }, false],
  ['out of the template, and all', both(leaveAll, level('all')), { T: 33, B: 33, O: 33 }, false],
  ['hard-bounced', both(known, (id) => house.bounce(id)), { T: 35, B: 35, O: 35 }, false],
  ['hard-bounced, and all', both(level('all'), (id) => house.bounce(id)), { T: 35, B: 35, O: 35 }, false],
  ['hard-bounced, unknown', (id) => house.bounce(id), { T: 35, B: 35, O: 35 }, false],
  ['soft-bounced', softbounced, { T: SENT, B: SENT, O: SENT }, true],
  ['spam complaint', complained, { T: 37, B: SENT, O: SENT }, true],
  ['spam complaint on all', both(level('all'), complained), { T: 32, B: 32, O: SENT }, true],
  ['block list', (id) => house.block(id, 'blacklist'), { T: 31, B: 31, O: 31 }, false],
  ['never mail', (id) => house.block(id, 'never'), { T: 34, B: 34, O: 34 }, false],
  [
    'never mail, bounced, all, out of the template',
    both(
      leaveAll,
      level('all'),
      (id) => house.bounce(id),
      (id) => house.block(id, 'never'),
    ),
    { T: 34, B: 34, O: 34 },
    false,
  ],
]

describe.each(states)('%s', (name, reach, cells, isReceiptSent) => {
  const email = `${name.replaceAll(/[^a-z]+/g, '-')}@example.com`
  beforeAll(async () => {
    await reach(email)
  })

  test.each(Object.entries(cells) as Array<['T' | 'B' | 'O', Cell]>)('%s: %i', async (kind, code) => {
    const { status, body } = await house.post('send', { template: NAMES[kind], email })
    if (code === SENT) expect({ status, email: body.email }).toEqual({ status: 200, email })
    else {
      expect({ status, error: body.error }).toEqual({ status: 403, error: code })
      expect(body.errormsg).toMatch(/^Email .+: \S+@example\.com$/)
    }
  })

  test(`P: ${isReceiptSent ? 'sent' : 'silently not sent'}`, async () => {
    const items = [{ id: '1', title: 'Cup', price: 900, qty: 1, url: 'https://example.com/cup' }]
    expect((await house.post('purchase', { email, items, send_template: 'P' })).status).toBe(200)
    const receipts = (await house.messages()).filter((one) => one.address === email && one.template === 'P')
    expect(receipts).toHaveLength(isReceiptSent ? 1 : 0)
    expect(receipts.every(({ origin, kind }) => origin === 'purchase' && kind === 'receipt')).toBe(true)
  })

  test('sending never changes the level', async () => {
    const before = await findProfile(house.db, { kind: 'email', value: email })
    await house.post('send', { template: 'T', email })
    const after = await findProfile(house.db, { kind: 'email', value: email })
    expect(after?.level).toBe(before?.level)
  })
})

test('a blocked domain', async () => {
  await house.block('@blocked.example', 'blacklist')
  const { body } = await house.post('send', { template: 'B', email: 'anybody@blocked.example' })
  expect(body.error).toBe(31)
})

test('a copy of the confirmation, under another name or without its link, is an ordinary template', async () => {
  await house.post('user', { id: 'copy@example.com', optout_email: 'all' })
  const content_html = '<a href="{signup_confirm()}">Yes</a>'
  await house.post('template', { template: 'Opt-In Confirm', subject: 'O', content_html })
  expect((await house.post('send', { template: 'Opt-In Confirm', email: 'copy@example.com' })).body.error).toBe(32)
  await house.post('template', { template: 'Opt-in Confirm', content_html: 'no link' })
  expect((await house.post('send', { template: 'Opt-in Confirm', email: 'copy@example.com' })).body.error).toBe(32)
  await house.post('template', { template: 'Opt-in Confirm', content_html })
  expect((await house.post('send', { template: 'Opt-in Confirm', email: 'copy@example.com' })).status).toBe(200)
})

test('the confirmation goes to an opted-out address five times a day, then the usual rule answers', async () => {
  await house.post('user', { id: 'again@example.com', optout_email: 'basic' })
  const codes: unknown[] = []
  for (let i = 0; i < 6; i++) {
    const { status, body } = await house.post('send', { template: 'Opt-in Confirm', email: 'again@example.com' })
    codes.push(status === 200 ? 200 : body.error)
  }
  expect(codes).toEqual([200, 200, 200, 200, 200, 37])
})
