import { afterAll, beforeAll, expect, test } from 'vitest'
import { createKey, revokeKey } from '../../src/account/keys.ts'
import { sign } from '../../src/account/signature.ts'
import { type House, key, openHouse, secret } from './support.ts'

let house: House
beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

const page = async (path: string) => {
  const response = await fetch(`${house.url}${path}`)
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
}

const check = async (pair: { key: string; secret: string }) => {
  const json = '{}'
  const sig = sign([pair.key, 'json', json], pair.secret)
  const query = new URLSearchParams({ api_key: pair.key, format: 'json', json, sig })
  const response = await fetch(`${house.url}/settings?${query}`)
  return { status: response.status, headers: response.headers }
}

test('the health check', async () => {
  expect(await page('/healthz')).toMatchObject({ status: 200, text: '{"service":"fairlead","status":"ok"}' })
})

test('the reference shows every endpoint with its parameters', async () => {
  const { status, type, text } = await page('/docs')
  expect([status, type]).toEqual([200, 'text/html; charset=utf-8'])
  for (const endpoint of ['user', 'send', 'template', 'list', 'purchase', 'email', 'settings']) {
    expect(text).toContain(`id="${endpoint}"`)
  }
  expect(text).toContain('optout_templates')
  expect((await page('/')).text).toContain('/docs')
})

test('the OpenAPI document comes from the same schemas', async () => {
  const document = JSON.parse((await page('/openapi.json')).text)
  expect(Object.keys(document.paths)).toEqual([
    '/user',
    '/send',
    '/template',
    '/list',
    '/blast',
    '/blast_repeat',
    '/stats',
    '/purchase',
    '/email',
    '/settings',
  ])
  const { properties } = document.components.schemas['post-user']
  expect(properties.optout_email.enum).toEqual(['none', 'blast', 'basic', 'all', 'valid'])
  expect(properties.consent.properties.wording_id.type).toBe('string')
})

test('what is no endpoint is a 404 for everybody, before any key is asked for', async () => {
  expect(await page('/nothing?format=json')).toMatchObject({ status: 404 })
})

test('a key made a moment ago works, a revoked one stops soon', async () => {
  expect((await check({ key, secret })).status).toBe(200)
  const made = await createKey(house.db, house.clock)
  expect((await check(made)).status).toBe(200)
  await revokeKey(house.db, made.key)
  await expect.poll(async () => (await check(made)).status).toBe(401)
})

test('many unknown keys at once share their queries', async () => {
  const guesses = Array.from({ length: 50 }, (_, i) => check({ key: `guess${i}`, secret }))
  expect((await Promise.all(guesses)).every(({ status }) => status === 401)).toBe(true)
})

test('the rate limit is a setting; its headers come either way', async () => {
  const left = async () => Number((await check({ key, secret })).headers.get('X-Rate-Limit-Remaining'))
  expect(await left()).toBe(18_000)
  await house.setting('rate_limits', 'true')
  await expect.poll(left).toBeLessThan(18_000)
  await house.setting('rate_limits', 'false')
  await expect.poll(left).toBe(18_000)
})
