import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sign } from '../../src/account/signature.ts'
import { raw } from '../api/support.ts'
import { type House, key, ok, openHouse, secret } from './support.ts'

/** The wire protocol with the real endpoints behind it: what every caller may rely on, whatever it calls. */

let house: House
beforeAll(async () => {
  house = await openHouse()
  await house.post('template', { template: 'Weekly tips', subject: 'Tips' })
})
afterAll(() => house.close())

/** A signed call in JSON style; `format` null leaves it out. */
const wire = (params: object, format: string | null = 'json') => {
  const json = JSON.stringify(params)
  const values = format === null ? [key, json] : [key, format, json]
  const form = { api_key: key, ...(format !== null && { format }), json, sig: sign(values, secret) }
  return new URLSearchParams(form).toString()
}
const call = async (method: string, endpoint: string, form: string) => {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const response =
    method === 'POST'
      ? await fetch(`${house.url}/${endpoint}`, { method, body: form, headers, redirect: 'manual' })
      : await fetch(`${house.url}/${endpoint}?${form}`, { method, redirect: 'manual' })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

test('the exchange that the documentation works through, with its very signatures', async () => {
  const post = (endpoint: string, json: string, sig: string) =>
    call('POST', endpoint, new URLSearchParams({ api_key: key, format: 'json', json, sig }).toString())
  const steps = [
    ['user', '{"id":"ada@example.com","optout_email":"basic"}', '50f71f8847b93948e2d8de86aa27f599', 200],
    ['send', '{"template":"Weekly tips","email":"ada@example.com"}', '9584c7101839a8b061c79c01ce537e3e', 403],
    ['user', '{"id":"ada@example.com","optout_email":"none"}', 'd6ab2149321a43986f6e117d88491bba', 200],
    ['send', '{"template":"Weekly tips","email":"ada@example.com"}', '9584c7101839a8b061c79c01ce537e3e', 200],
  ] as const
  for (const [endpoint, json, sig, status] of steps) {
    expect((await post(endpoint, json, sig)).status, json).toBe(status)
  }
})

describe('rate limit headers', () => {
  const rate = (headers: Headers) => ['Limit', 'Remaining', 'Reset'].map((name) => headers.get(`X-Rate-Limit-${name}`))
  const numbers = [expect.stringMatching(/^\d+$/), expect.stringMatching(/^\d+$/), expect.stringMatching(/^\d{10}$/)]

  test.each([
    ['a success', 'GET', 'settings', wire({}), 200],
    ['a refusal of the endpoint', 'GET', 'user', wire({ id: 'never@example.com' }), 404],
    ['a missing parameter', 'POST', 'send', wire({}), 400],
    ['a method that the endpoint does not know', 'POST', 'settings', wire({}), 405],
    ['an unknown endpoint', 'GET', 'horizon', wire({}), 404],
    ['an unknown format', 'GET', 'settings', wire({}, 'php'), 406],
  ])('stand on %s', async (_, method, endpoint, form, status) => {
    const answer = await call(method, endpoint, form)
    expect([answer.status, ...rate(answer.headers)]).toEqual([status, ...numbers])
    expect(answer.headers.has('Retry-After')).toBe(false)
  })

  test('do not stand on what nobody authenticated', async () => {
    const answer = await call('GET', 'settings', `${wire({})}0`)
    expect([answer.status, ...rate(answer.headers)]).toEqual([401, null, null, null])
  })

  test.each([
    ['POST', 'send', 12_000],
    ['POST', 'user', 18_000],
    ['POST', 'list', 2_400],
    ['GET', 'user', 18_000],
    ['DELETE', 'user', 2_400],
  ])('%s %s: %i a minute', async (method, endpoint, limit) => {
    const { headers } = await call(method, endpoint, wire({ id: 'x@example.com' }))
    expect(Number(headers.get('X-Rate-Limit-Limit'))).toBe(limit)
    // The clock of this house stands at 20 seconds past the minute.
    expect(Number(headers.get('X-Rate-Limit-Reset'))).toBe(Date.parse('2030-03-05T12:01:00Z') / 1000)
  })
})

describe('answers in XML', () => {
  const xml = async (method: string, endpoint: string, params: object) => {
    const { status, headers, text } = await call(method, endpoint, wire(params, 'xml'))
    expect(headers.get('content-type')).toBe('text/xml; charset=utf-8')
    const head = '<?xml version="1.0" encoding="UTF-8"?>\n<triggermail>'
    expect(text.startsWith(head) && text.endsWith('</triggermail>\n')).toBe(true)
    return { status, inside: text.slice(head.length, -'</triggermail>\n'.length) }
  }

  test('a save', async () => {
    expect(await xml('POST', 'user', { id: 'xml@example.com', vars: { 'given name': 'Ada & Co' } })).toEqual({
      status: 200,
      inside: '<ok>1</ok>',
    })
  })

  test('a person: names that XML does not allow become items with a key', async () => {
    const fields = { vars: 1, lists: 1, purchases: 1 }
    await house.post('user', { id: 'xml@example.com', lists: { 'Weekly news': 1 } })
    expect((await xml('GET', 'user', { id: 'xml@example.com', fields })).inside).toBe(
      '<vars><item key="given name">Ada &amp; Co</item></vars>' +
        '<lists><item key="Weekly news">Tue, 05 Mar 2030 12:00:20 +0000</item></lists><purchases></purchases>',
    )
  })

  test('a collection: one item an element', async () => {
    const { inside } = await xml('GET', 'list', {})
    expect(inside).toMatch(/^<lists><item><list_id>[0-9a-f]{24}<\/list_id><name>Weekly news<\/name>/)
  })

  test('an error, also without any format', async () => {
    const inside = '<error>14</error><errormsg>Unknown template: Nope</errormsg>'
    expect(await xml('GET', 'template', { template: 'Nope' })).toEqual({ status: 404, inside })
    const { status, text } = await call('GET', 'template', wire({ template: 'Nope' }, null))
    expect([status, text]).toEqual([404, expect.stringContaining(inside)])
  })
})

describe('times', () => {
  test('are answered in the zone of the account, and understood in it when they name none', async () => {
    await house.setting('timezone', 'America/New_York')
    try {
      const date = '2030-03-04 09:30:00'
      const items = [{ id: '1', title: 'Cup', price: 900, qty: 1, url: 'https://example.com/cup' }]
      const { purchase } = (await house.post('purchase', { email: 'ada@example.com', items, date })).body
      expect(purchase.time).toBe('Mon, 04 Mar 2030 09:30:00 -0500')
      const { activity } = (await house.get('user', { id: 'ada@example.com', fields: { activity: 1 } })).body
      expect(activity.create_time).toBe('Tue, 05 Mar 2030 07:00:20 -0500')
    } finally {
      await house.setting('timezone', 'UTC')
    }
  })
})

test('a DELETE carries its parameters in the query and announces an empty body', async () => {
  await house.post('list', { list: 'Short-lived' })
  const request = `DELETE /list?${wire({ list: 'Short-lived' })} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`
  const answer = await raw(house.port, `${request}Content-Length: 0\r\n\r\n`)
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  expect(answer).toContain('{"list":"Short-lived","ok":true}')
})

test('explicit null at the top level is not given, PHP writes empty maps as arrays, and strangers are passed over', async () => {
  const noise = { vars: [], lists: [], optout_templates: [], fields: [], keys: [], login: [], consent: [] }
  const nulls = { key: null, optout_email: null, keysconflict: null, sms_marketing_status: null }
  const params = {
    id: 'noise@example.com',
    ...noise,
    ...nulls,
    cookies: { sailthru_content: 'x' },
    integration: 'shop',
  }
  expect(await house.post('user', params)).toEqual(ok({ ok: true }))
})

test('the root of the host is a page for people', async () => {
  const response = await fetch(house.url)
  expect([response.status, response.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/html')])
})
