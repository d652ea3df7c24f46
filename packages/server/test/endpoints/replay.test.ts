import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sign } from '../../src/account/signature.ts'
import { leaves } from '../../src/api/parameters.ts'
import { readParams } from '../../src/api/request.ts'
import { buildWeb } from '../../src/roles/web.ts'
import { type House, key, openHouse, secret } from './support.ts'

/* What somebody can do who recorded a signed call, and what the account can do about it. */

let house: House
beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

const signed = (form: string) => {
  const whole = `api_key=${key}&format=json&${form}`
  return `${whole}&sig=${sign(leaves(readParams(whole, null)), secret)}`
}
const json = (params: object) => signed(`json=${encodeURIComponent(JSON.stringify(params))}`)
const call = async (form: string, method = 'POST', endpoint = 'user', url = house.url) => {
  const type = { 'content-type': 'application/x-www-form-urlencoded' }
  const response =
    method === 'POST'
      ? await fetch(`${url}/${endpoint}`, { method, body: form, headers: type })
      : await fetch(`${url}/${endpoint}?${form}`, { method })
  const { error, errormsg } = (await response.json()) as { error?: number; errormsg?: string }
  return [response.status, error ?? 0, errormsg ?? '']
}
const OK = [200, 0, '']

test('by default a recorded call in bracket style can be made again under other names and methods', async () => {
  const recorded = signed('id=ada%40example.com&vars[city]=Bonn')
  expect(await call(recorded)).toEqual(OK)
  expect(await call(recorded)).toEqual(OK)
  expect(await call(recorded.replace('vars[city]', 'vars[name]'))).toEqual(OK)
  expect(await call(recorded, 'DELETE')).toEqual(OK)
})

test('bracket_style off: whatever is not inside of json is refused by its name', async () => {
  await house.setting('bracket_style', 'off')
  const off = (name: string) => [
    400,
    99,
    `Bracket style is switched off: send ${name} inside of the parameter json (bracket_style)`,
  ]
  expect(await call(signed('id=ada%40example.com'))).toEqual(off('id'))
  expect(await call(signed('json[id]=ada%40example.com'))).toEqual(off('json'))
  expect(await call(`${json({ id: 'ada@example.com' })}&vars=`)).toEqual(off('vars'))
  expect(await call(signed('id=ada%40example.com'), 'GET')).toEqual(off('id'))
  expect(await call(json({ id: 'ada@example.com' }))).toEqual(OK)
  expect(await call(json({ id: 'ada@example.com' }), 'GET')).toEqual(OK)
  // A wrong signature is told first.
  expect((await call(`${signed('id=ada%40example.com')}0`))[1]).toBe(5)
  await house.setting('bracket_style', 'on')
})

test('refuse_seen_signatures: POST and DELETE have effect once within a day, at whichever web process', async () => {
  await house.setting('refuse_seen_signatures', 'true')
  const other = buildWeb(house.services)
  const elsewhere = await other.listen({ port: 0, host: '127.0.0.1' })
  const seen = [401, 5, 'Authentication failed: this signature was used before (refuse_seen_signatures)']
  const once = json({ id: 'once@example.com', vars: { n: 1 } })
  expect(await call(once)).toEqual(OK)
  expect(await call(once)).toEqual(seen)
  expect(await call(once, 'DELETE')).toEqual(seen)
  expect(await call(once, 'POST', 'user', elsewhere)).toEqual(seen)
  expect(await call(once, 'POST', 'email')).toEqual(seen)
  // Reads repeat.
  const read = json({ id: 'once@example.com' })
  for (let n = 0; n < 3; n++) expect(await call(read, 'GET')).toEqual(OK)
  // At the same time: one of them is the first.
  const crowd = json({ id: 'crowd@example.com' })
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, n) => call(crowd, 'POST', 'user', n % 2 ? elsewhere : house.url)),
  )
  expect(answers.filter(([status]) => status === 200)).toHaveLength(1)
  // What is kept is no signature, and not kept for ever.
  const { rows } = await sql<{ digest: Buffer }>`select digest from seen_signature`.execute(house.db)
  expect(rows.map(({ digest }) => digest.toString('hex'))).not.toContain(/sig=(\w+)/.exec(once)![1])
  house.clock.advance(86_400_001)
  expect(await call(once)).toEqual(OK)
  await other.close()
  await house.setting('refuse_seen_signatures', 'false')
  expect(await call(once)).toEqual(OK)
})
