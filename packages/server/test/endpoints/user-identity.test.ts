import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type House, ok, openHouse, refused } from './support.ts'

/** Who somebody is, and what becomes of an opt-out when that changes: keys, merging, deleting. */

let house: House
beforeAll(async () => {
  house = await openHouse()
  await house.post('template', { template: 'Tips', subject: 'Tips' })
})
afterAll(() => house.close())

const read = async (id: string, fields?: object) => (await house.get('user', { id, fields })).body
const send = async (email: string) => (await house.post('send', { template: 'Tips', email })).body.error ?? 200

describe('what is not there', () => {
  test.each(['email', 'extid', 'sms', 'fb', 'twitter', 'cookie', 'sid'])(
    'by %s: error 99, naming the key',
    async (key) => {
      const id = key === 'email' ? 'never@example.com' : 'nobody'
      expect(await house.get('user', { id, key })).toEqual(refused(404, 99, `User not found with ${key}: ${id}`))
    },
  )
})

describe('what happened, and when', () => {
  test('signup_time is the first join, optout_time the last leaving; what never happened is left out', async () => {
    const id = 'times@example.com'
    const activity = async () => (await read(id, { activity: 1 })).activity
    await house.post('user', { id })
    expect(await activity()).toEqual({ create_time: 'Tue, 05 Mar 2030 12:00:20 +0000' })
    house.clock.advance(60_000)
    await house.post('user', { id, lists: { Weekly: 1 } })
    house.clock.advance(60_000)
    await house.post('user', { id, lists: { Monthly: 1 }, optout_email: 'basic' })
    house.clock.advance(60_000)
    await house.post('user', { id, optout_email: 'all' })
    await house.post('user', { id, optout_email: 'none' })
    expect(await activity()).toEqual({
      create_time: 'Tue, 05 Mar 2030 12:00:20 +0000',
      signup_time: 'Tue, 05 Mar 2030 12:01:20 +0000',
      optout_time: 'Tue, 05 Mar 2030 12:02:20 +0000',
    })
  })

  test('engagement: new, engaged after a visit, disengaged, dormant; an opt-out is told first, a bounce before it', async () => {
    const id = 'engaged@example.com'
    const engagement = async () => (await read(id, { engagement: 1 })).engagement
    const days = (n: number) => house.clock.advance(n * 86_400_000)
    await house.post('user', { id })
    expect(await engagement()).toBe('new')
    await house.post('user', { id, login: { site: 'shop', ip: '192.0.2.1', user_agent: 'Browser' } })
    expect(await engagement()).toBe('engaged')
    await house.post('user', { id, optout_email: 'blast' })
    expect(await engagement()).toBe('engaged')
    days(8)
    expect(await engagement()).toBe('disengaged')
    days(120)
    expect(await engagement()).toBe('dormant')
    for (const optout_email of ['basic', 'all']) {
      await house.post('user', { id, optout_email })
      expect(await engagement()).toBe('optout')
    }
    await house.bounce(id)
    expect(await engagement()).toBe('hardbounce')
  })

  test('a visit in the future is one now', async () => {
    const before = house.clock.now()
    await house.post('user', { id: 'future@example.com', login: { site: 'shop', time: '+3 days' } })
    const { login_time } = (await read('future@example.com', { activity: 1 })).activity
    expect(Date.parse(login_time)).toBe(Math.floor(before.getTime() / 1000) * 1000)
  })
})

describe('vars', () => {
  test('the whole value under a name is replaced', async () => {
    await house.post('user', { id: 'vars@example.com', vars: { a: { x: 1, y: 2 }, b: [1, 2] } })
    await house.post('user', { id: 'vars@example.com', vars: { a: { z: 3 }, b: [] } })
    expect((await read('vars@example.com')).vars).toEqual({ a: { z: 3 }, b: [] })
  })

  test('a person without any has an empty map', async () => {
    await house.post('user', { id: 'bare@example.com' })
    expect((await read('bare@example.com')).vars).toEqual({})
  })
})

describe('a new address', () => {
  test('does not shake off the opt-out; the old one is free, and its bounce is not forgotten', async () => {
    await house.post('user', { id: 'old@example.com', optout_email: 'all' })
    await house.bounce('old@example.com')
    const rename = { id: 'old@example.com', key: 'email', keys: { email: 'new@example.com' } }
    expect(await house.post('user', rename)).toEqual(ok({ ok: true }))
    expect(await send('new@example.com')).toBe(32)
    expect(await send('old@example.com')).toBe(35)
  })
})

describe('a merge', () => {
  test('never makes anybody easier to reach: level, template opt-outs and bounces of both stay', async () => {
    await house.post('user', { id: 'keeper@example.com', optout_templates: { Tips: 0 } })
    await house.post('user', { id: 'other@example.com', keys: { extid: 'M-1' }, optout_email: 'basic' })
    await house.bounce('other@example.com')
    const merge = { id: 'keeper@example.com', keys: { extid: 'M-1' }, keysconflict: 'merge' }
    expect(await house.post('user', merge)).toEqual(ok({ ok: true }))
    const { optout_email, optout_templates, keys } = await read('keeper@example.com', {
      optout_email: 1,
      optout_templates: 1,
      keys: 1,
    })
    expect({ optout_email, optout_templates, email: keys.email, extid: keys.extid }).toEqual({
      optout_email: 'basic',
      optout_templates: { Tips: 0 },
      email: 'keeper@example.com',
      extid: 'M-1',
    })
    expect(await send('keeper@example.com')).toBe(33)
    // The address that lost is nobody's now, and still a bounced one.
    expect(await send('other@example.com')).toBe(35)
  })

  test('by a new address: the address that is given stays, the other person ceases to be', async () => {
    await house.post('user', { id: 'from@example.com', vars: { a: 1 }, lists: { Weekly: 1 } })
    await house.post('user', { id: 'to@example.com', vars: { a: 2, b: 2 }, keys: { extid: 'M-2' } })
    const merge = { id: 'from@example.com', keys: { email: 'to@example.com' }, keysconflict: 'merge' }
    expect(await house.post('user', merge)).toEqual(ok({ ok: true }))
    const { keys, vars, lists } = await read('to@example.com')
    expect({ email: keys.email, extid: keys.extid, vars, lists: Object.keys(lists) }).toEqual({
      email: 'to@example.com',
      extid: 'M-2',
      vars: { a: 1, b: 2 },
      lists: ['Weekly'],
    })
    expect((await house.get('user', { id: 'from@example.com' })).status).toBe(404)
  })
})

describe('a person who was deleted and is created again', () => {
  test.each([
    ['the level', { optout_email: 'basic' }, 37],
    ['a template opt-out', { optout_templates: { Tips: 0 } }, 33],
  ])('inherits %s', async (_, change, code) => {
    const id = `again-${code}@example.com`
    await house.post('user', { id, ...change })
    await house.del('user', { id })
    expect(await send(id)).toBe(code)
  })

  test('inherits a bounce', async () => {
    await house.post('user', { id: 'again-35@example.com' })
    await house.bounce('again-35@example.com')
    await house.del('user', { id: 'again-35@example.com' })
    expect(await send('again-35@example.com')).toBe(35)
  })
})
