import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { catalogue } from '../../src/api/errors.ts'
import { type House, openHouse, type Reply } from './support.ts'

let house: House
beforeAll(async () => {
  house = await openHouse()
  await house.post('template', { template: 'T', subject: 'T' })
})
afterAll(() => house.close())

const TABLES = ['profile', 'profile_key', 'list', 'list_member', 'message', 'template_revision', 'purchase'] as const

/** Rows of every table that a call could write. */
async function rows(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const table of TABLES) {
    const { rows } = await sql<{ n: number }>`select count(*)::int as n from ${sql.table(table)}`.execute(house.db)
    counts[table] = rows[0]?.n ?? -1
  }
  return counts
}

/** A catalogue error of exactly two keys under its status, that tells nothing of the inside, and nothing is written. */
async function expectRefused(call: () => Promise<Reply>): Promise<number> {
  const before = await rows()
  const { status, body } = await call()
  expect(Object.keys(body).sort()).toEqual(['error', 'errormsg'])
  expect(Object.keys(catalogue).map(Number)).toContain(body.error)
  expect(body.error).not.toBe(9)
  expect(status).toBeGreaterThanOrEqual(400)
  expect(status).toBeLessThan(500)
  expect(body.errormsg).not.toMatch(/ at \/|node_modules|\.ts:|select |insert /)
  expect(body.errormsg.length).toBeLessThan(1_000)
  expect(await rows()).toEqual(before)
  return body.error
}

const id = 'bad@example.com'
const items = [{ id: '1', title: 'Cup', price: 900, qty: 1, url: 'https://example.com/cup' }]
const deep = (levels: number) => JSON.parse('{"a":'.repeat(levels) + '1' + '}'.repeat(levels))
const huge = { text: 'x'.repeat(10 * 1024 * 1024) }

describe('too much', () => {
  test.each([
    ['user', { id, vars: huge, lists: { New: 1 } }],
    ['user', { id, vars: JSON.stringify(huge) }],
    ['send', { template: 'T', email: id, vars: huge }],
    ['send', { template: 'T', email: id, evars: { [id]: huge } }],
    ['template', { template: 'New', test_vars: huge }],
    ['template', { template: 'New', content_html: huge.text }],
    ['list', { list: 'New', vars: huge }],
    ['purchase', { email: id, items, vars: huge }],
    ['purchase', { email: id, items: [{ ...items[0], title: huge.text }] }],
    ['email', { email: id, vars: huge }],
    ['email', { email: id, send: 'T', send_vars: huge }],
  ])('%s with 10 MB in it', async (endpoint, params) => {
    expect(await expectRefused(() => house.post(endpoint, params))).toBe(99)
  })

  test('a body beyond the limit', async () => {
    const vars = { text: 'x'.repeat(17 * 1024 * 1024) }
    expect(await expectRefused(() => house.post('user', { id, vars }))).toBe(99)
  })

  test.each(['user', 'send', 'purchase'])('%s with JSON nested 100 deep', async (endpoint) => {
    const params = { id, email: id, template: 'T', items, vars: deep(100) }
    expect(await expectRefused(() => house.post(endpoint, params))).toBe(99)
  })

  test('JSON nested 100,000 deep', async () => {
    const json = `{"id":"${id}","vars":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
    expect(await expectRefused(() => house.postForm('user', `json=${encodeURIComponent(json)}`))).toBe(99)
  })

  test.each([
    ['user', { id: `${'x'.repeat(300)}@example.com` }],
    ['user', { id: 'x'.repeat(300), key: 'extid' }],
    ['user', { id, lists: { ['x'.repeat(300)]: 1 } }],
    ['user', { id, optout_templates: { ['x'.repeat(300)]: 0 } }],
    ['send', { template: 'x'.repeat(300), email: id }],
    ['send', { template: 'T', email: id, limit: { name: 'x'.repeat(300), within_time: '+1 day' } }],
    ['template', { template: 'x'.repeat(300) }],
    ['list', { list: 'x'.repeat(300) }],
    ['purchase', { email: id, items, purchase_keys: { extid: 'x'.repeat(300) } }],
  ])('%s with a name of 300 characters: %j', async (endpoint, params) => {
    expect(await expectRefused(() => house.post(endpoint, params))).toBe(99)
  })
})

describe('characters', () => {
  test.each([
    ['user', { id: 'nul\0@example.com' }],
    ['user', { id, vars: { a: 'x\0y' } }],
    ['user', { id, vars: { 'a\0': 1 } }],
    ['user', { id, lists: { 'New\0': 1 } }],
    ['user', { id, vars: JSON.stringify({ a: '\0' }) }],
    ['send', { template: 'T', email: id, vars: { a: { b: ['\0'] } } }],
    ['template', { template: 'New', content_html: '\0' }],
    ['purchase', { email: id, items: [{ ...items[0], title: '\0' }] }],
  ])('NUL in %s: %j', async (endpoint, params) => {
    expect(await expectRefused(() => house.post(endpoint, params))).toBe(99)
  })

  test('NUL in bracket style', async () => {
    expect(await expectRefused(() => house.postRaw('user', 'format=json&id=a%00@example.com'))).toBe(99)
  })

  test('half a surrogate pair', async () => {
    const json = encodeURIComponent(`{"id":"${id}","vars":{"a":"\\ud800"}}`)
    expect(await expectRefused(() => house.postForm('user', `json=${json}`))).toBe(42)
  })

  test('bytes that are no UTF-8', async () => {
    expect(await expectRefused(() => house.postRaw('user', 'format=json&id=%ff%fe@example.com'))).toBe(42)
  })

  test('names of the language itself are data like any other', async () => {
    const vars = { constructor: 1, toString: 2, hasOwnProperty: 3 }
    const answer = await house.post('user', { id: 'proto@example.com', vars, lists: { constructor: 1 } })
    expect(answer.status).toBe(200)
    const { body } = await house.get('user', { id: 'proto@example.com' })
    expect(body.vars).toEqual(vars)
    expect(Object.keys(body.lists)).toEqual(['constructor'])
    const json = encodeURIComponent(`{"id":"${id}","vars":{"__proto__":{"a":1}}}`)
    expect(await expectRefused(() => house.postForm('user', `json=${json}`))).toBe(99)
  })
})

describe('line breaks in what ends in a header', () => {
  const injected = ['x\r\nBcc: eve@example.com', 'x\nBcc: eve@example.com', 'x\rBcc: eve@example.com', 'x\u2028y']

  test.each(['public_name', 'from_name', 'from_email', 'replyto_email', 'subject', 'link_domain'])(
    'template %s',
    async (field) => {
      for (const value of injected) {
        expect(await expectRefused(() => house.post('template', { template: 'New', [field]: value }))).toBe(99)
      }
    },
  )

  test.each([
    { replyto: 0 },
    { behalf_email: 0 },
    { headers: { Cc: 0 } },
    { headers: { Bcc: 0 } },
    { headers: { 'X-Tag': 0 } },
    { headers: { 'List-Unsubscribe': 0 } },
  ])('send options %j', async (shape) => {
    for (const value of injected) {
      const options = JSON.parse(JSON.stringify(shape).replace('0', () => JSON.stringify(value)))
      expect([99, 11]).toContain(await expectRefused(() => house.post('send', { template: 'T', email: id, options })))
    }
  })

  test('names of headers', async () => {
    for (const name of ['X-A\r\nBcc', 'X-A: b', 'X A', '', 'Received', 'DKIM-Signature']) {
      const options = { headers: { [name]: 'x' } }
      expect(await expectRefused(() => house.post('send', { template: 'T', email: id, options }))).toBe(99)
    }
  })

  test.each(['a@example.com\r\nBcc: eve@example.com', 'a@example.com\nX: y', '"a\r\n"@example.com'])(
    'an address with one: %j',
    async (email) => {
      expect(await expectRefused(() => house.post('send', { template: 'T', email: [email] }))).toBe(11)
      expect(await expectRefused(() => house.post('user', { id: email, key: 'email' }))).toBe(11)
      expect(await expectRefused(() => house.post('user', { id, keys: { email } }))).toBe(11)
    },
  )

  test('at the ends they are a slip', async () => {
    const { body } = await house.post('template', { template: 'Ends', subject: '\r\n Hello \n', from_name: 'Ada\n' })
    expect(body).toMatchObject({ subject: 'Hello', from_name: 'Ada' })
  })
})

describe('shapes', () => {
  const odd = [[], {}, [1], { a: 1 }, '', 'x', 0, -1, 1e308, true, false, null, [[]], [{}]]

  test.each([
    [
      'user',
      'id key keys keysconflict lists vars optout_email optout_templates login consent fields sms_marketing_status',
    ],
    ['send', 'template email vars evars schedule_time options limit send_id consent'],
    ['template', 'template revision subject content_html is_basic labels link_params test_vars from_email'],
    ['list', 'list list_id primary type query public_name vars emails'],
    [
      'purchase',
      'email items incomplete date adjustments tenders vars purchase_keys channel reminder_time send_template',
    ],
    ['email', 'email vars lists templates optout send send_vars change_email verified'],
  ])('%s: whatever stands in a parameter, the answer is an answer', async (endpoint, names) => {
    for (const name of names.split(' ')) {
      for (const value of odd) {
        const params = { id, email: id, template: 'T', list: 'L', items, [name]: value }
        for (const method of ['post', 'get', 'del'] as const) {
          const { status, body } = await house[method](endpoint, params)
          expect([status, body.error], `${method} ${endpoint} ${name}=${JSON.stringify(value)}`).not.toContain(9)
          expect(status).not.toBe(500)
        }
      }
    }
  })
})
