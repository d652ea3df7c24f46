import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type House, openHouse, refused } from '../endpoints/support.ts'
import { commandsOn } from './support.ts'

let house: House
let fairlead: ReturnType<typeof commandsOn>
beforeAll(async () => {
  house = await openHouse()
  fairlead = commandsOn(house.connection)
  await house.post('template', { template: 'Password', subject: 'x', is_basic: 1 })
})
afterAll(() => house.close())

const send = (email: string) => house.post('send', { template: 'Password', email })

describe('fairlead block', () => {
  test('nothing is blocked at first', async () => {
    expect(await fairlead('block', 'list')).toEqual({ code: 0, said: ['Nothing is blocked'], complaints: [] })
  })

  test("an address is on the operator's own list, or must never be written to", async () => {
    expect(await fairlead('block', 'add', 'Ada@Example.com', '--reason', 'asked by telephone')).toEqual({
      code: 0,
      said: ['blocked ada@example.com: the API answers 31'],
      complaints: [],
    })
    expect(await send('ada@example.com')).toEqual(refused(403, 31))
    await fairlead('block', 'add', 'ada@example.com', '--reason', 'legal request', '--never')
    expect(await send('ADA@example.com')).toEqual(refused(403, 34))
  })

  test('a domain is everybody there, and nobody below it', async () => {
    await fairlead('block', 'add', 'Example.org', '--reason', 'a competitor')
    expect(await send('somebody@example.org')).toEqual(refused(403, 31))
    expect((await send('somebody@shop.example.org')).status).toBe(200)
  })

  test('whoever is blocked counts as a member of a list, and not as one to be reached', async () => {
    const members = ['ada@example.com', 'somebody@example.org', 'free@example.com']
    await house.post('list', { list: 'Weekly', emails: members })
    const { lists } = (await house.get('list', {})).body
    expect(lists).toMatchObject([{ name: 'Weekly', email_count: 3, valid_count: 1 }])
  })

  test('are listed, and taken away again', async () => {
    const { said } = await fairlead('block', 'list', '--json')
    expect(said.map((line) => JSON.parse(line))).toEqual([
      { blocked: '@example.org', kind: 'blacklist', code: 31, reason: 'a competitor', at: expect.any(String) },
      { blocked: 'ada@example.com', kind: 'never', code: 34, reason: 'legal request', at: expect.any(String) },
    ])
    expect((await fairlead('block', 'list')).said[2]).toMatch(/^ada@example\.com +34 +\S+ \S+ +legal request$/)
    await fairlead('block', 'remove', '@example.org', '--reason', 'they are friends now')
    expect((await send('somebody@example.org')).status).toBe(200)
    expect(await fairlead('block', 'remove', 'example.org', '--reason', 'again')).toEqual({
      code: 1,
      said: [],
      complaints: ['fairlead: @example.org is not blocked: see "fairlead block list"'],
    })
  })

  test('what is neither address nor domain, and a block without a reason, are refused in one line', async () => {
    expect(await fairlead('block', 'add', 'no address', '--reason', 'x')).toMatchObject({
      code: 1,
      complaints: ['fairlead: no address is neither an email address nor a domain'],
    })
    expect((await fairlead('block', 'add', 'eve@example.com')).complaints[0]).toContain('--reason')
    expect((await fairlead('block', 'add', 'eve@example.com', '--reason', ' ')).code).toBe(1)
    expect((await send('eve@example.com')).status).toBe(200)
  })
})

test('fairlead audit: blocks, kinds of templates and settings, with who decided and why', async () => {
  await fairlead('setting', 'set', 'api_optin_policy', 'attested')
  await fairlead('setting', 'set', 'api_optin_policy', 'attested')
  const { said } = await fairlead('audit', 'list', '--json')
  const decisions = said.map((line) => JSON.parse(line)).filter(({ subject }) => subject !== 'rate_limits')
  expect(
    decisions.map(({ via, action, subject, from, to, reason }) => [via, action, subject, from, to, reason]),
  ).toEqual([
    ['command', 'setting', 'api_optin_policy', 'legacy', 'attested', null],
    ['command', 'address_block', '@example.org', 'blacklist', null, 'they are friends now'],
    ['command', 'address_block', '@example.org', null, 'blacklist', 'a competitor'],
    ['command', 'address_block', 'ada@example.com', 'blacklist', 'never', 'legal request'],
    ['command', 'address_block', 'ada@example.com', null, 'blacklist', 'asked by telephone'],
    ['api', 'template_kind', 'Password', 'ordinary', 'transactional', null],
  ])
  expect(decisions[0].actor).toEqual(expect.any(String))
  expect((await fairlead('audit', 'list', '--limit', '1')).said[1]).toContain('legacy → attested')
})
