import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type House, ok, openHouse, refused } from './support.ts'

let house: House
beforeAll(async () => {
  house = await openHouse()
  await house.post('template', { template: 'Tips', subject: 'Tips' })
})
afterAll(() => house.close())

const TIME = 'Tue, 05 Mar 2030 12:00:20 +0000'

describe('email', () => {
  test('an address never seen is no error', async () => {
    expect(await house.get('email', { email: 'never@example.com' })).toEqual(
      ok({ email: 'never@example.com', vars: [], optout: 'none', verified: 0, hardbounce: 0 }),
    )
  })

  test('saves, and answers as it reads', async () => {
    const given = { email: 'ada@example.com', vars: { name: 'Ada' }, lists: { Weekly: 1 }, templates: { Tips: 0 } }
    const expected = ok({
      email: 'ada@example.com',
      lists: { Weekly: 1 },
      vars: { name: 'Ada' },
      templates: { Tips: 0 },
      optout: 'none',
      verified: 0,
      hardbounce: 0,
      lists_signup: { Weekly: TIME },
    })
    expect(await house.post('email', given)).toEqual(expected)
    expect(await house.get('email', { email: 'ada@example.com' })).toEqual(expected)
  })

  test('what the Python client always sends along changes nothing', async () => {
    const noise = { vars: {}, lists: [], templates: [], verified: 0 }
    const { body } = await house.post('email', { email: 'ada@example.com', ...noise })
    expect(body).toMatchObject({ vars: { name: 'Ada' }, lists: { Weekly: 1 }, templates: { Tips: 0 } })
  })

  test.each(['blast', 'basic', 'all', 'none'])('optout %s', async (optout) => {
    expect((await house.post('email', { email: 'level@example.com', optout })).body.optout).toBe(optout)
  })

  test('templates: 1 opts back in, as it does for a user', async () => {
    expect((await house.post('email', { email: 'ada@example.com', templates: { Tips: 1 } })).body.templates).toEqual({})
  })

  test('verified is kept for the caller, moves with the person, and ends with them', async () => {
    const noted = async (email: string) => (await house.get('email', { email })).body.verified
    expect((await house.post('email', { email: 'noted@example.com', verified: 1 })).body.verified).toBe(1)
    await house.post('email', { email: 'noted@example.com', vars: { a: 1 } })
    expect(await noted('noted@example.com')).toBe(1)
    await house.post('email', { email: 'moved@example.com', change_email: 'noted@example.com' })
    expect(await noted('moved@example.com')).toBe(1)
    await house.post('email', { email: 'moved@example.com', verified: 0 })
    expect(await noted('moved@example.com')).toBe(0)
    await house.post('email', { email: 'moved@example.com', verified: 1 })
    await house.del('user', { id: 'moved@example.com' })
    await house.post('email', { email: 'moved@example.com' })
    expect(await noted('moved@example.com')).toBe(0)
  })

  test('shows the messages of late, newest first, when asked', async () => {
    const email = 'reader@example.com'
    expect((await house.get('email', { email, recent_sends: 3 })).body.recent_sends).toEqual([])
    const ids: string[] = []
    for (let i = 0; i < 3; i++) ids.unshift((await house.post('send', { template: 'Tips', email })).body.send_id)
    const { body } = await house.get('email', { email, recent_sends: '2', recent_blasts: 10 })
    expect(body.recent_sends).toEqual(
      ids.slice(0, 2).map((send_id) => ({ send_id, email, template: 'Tips', status: 'unknown', send_key: null })),
    )
    expect(body.recent_blasts).toEqual([])
    expect((await house.get('email', { email })).body).not.toHaveProperty('recent_sends')
    expect(await house.get('email', { email, recent_sends: 11 })).toEqual(refused(400, 99))
  })

  test('shows a hard bounce', async () => {
    await house.post('email', { email: 'dead@example.com' })
    await house.bounce('dead@example.com')
    expect((await house.get('email', { email: 'dead@example.com' })).body.hardbounce).toBe(1)
  })

  test('change_email moves the person to the new address', async () => {
    const { body } = await house.post('email', { email: 'lovelace@example.com', change_email: 'ada@example.com' })
    expect(body).toMatchObject({ email: 'lovelace@example.com', vars: { name: 'Ada' } })
    expect((await house.get('email', { email: 'ada@example.com' })).body.lists).toBeUndefined()
    expect(await house.post('email', { email: 'x@example.com', change_email: 'gone@example.com' })).toEqual(
      refused(404, 99, 'User not found with email: gone@example.com'),
    )
    await house.post('email', { email: 'taken@example.com' })
    expect(await house.post('email', { email: 'taken@example.com', change_email: 'lovelace@example.com' })).toEqual(
      refused(409, 99, 'Key conflict: email'),
    )
  })

  test('send mails after saving, under the usual rules', async () => {
    await house.post('email', { email: 'mail@example.com', send: 'Tips', send_vars: { a: 1 } })
    const mails = (await house.messages()).filter(({ address }) => address === 'mail@example.com')
    expect(mails.map(({ template }) => template)).toEqual(['Tips'])
    expect(await house.post('email', { email: 'mail@example.com', optout: 'all', send: 'Tips' })).toEqual(
      refused(403, 32),
    )
    expect((await house.get('email', { email: 'mail@example.com' })).body.optout).toBe('all')
  })

  test('an unknown template: nothing is saved', async () => {
    expect(await house.post('email', { email: 'n@example.com', send: 'Nope', vars: { a: 1 } })).toEqual(
      refused(404, 14),
    )
    expect((await house.get('email', { email: 'n@example.com' })).body.vars).toEqual([])
  })

  test.each([
    ['get', {}, 2],
    ['get', { email: 'bad' }, 11],
    ['post', {}, 2],
    ['post', { email: 'bad' }, 11],
    ['post', { email: 'a@example.com', optout: 'perhaps' }, 99],
    ['post', { email: 'a@example.com', change_email: 'bad' }, 11],
  ] as const)('%s %j: error %i', async (method, params, code) => {
    expect(await house[method]('email', params)).toEqual(refused(400, code))
  })
})

test('settings: the credential check', async () => {
  await house.post('list', { list: 'Primary', primary: 1 })
  expect(await house.get('settings', {})).toMatchObject({
    status: 200,
    body: {
      domains: ['127.0.0.1:8080'],
      from_emails: ['hello@example.com'],
      lists_primary: ['Primary'],
      timezone: 'UTC',
      features: { spm_enabled: false },
    },
  })
  expect(await house.post('settings', {})).toEqual(refused(405, 1))
})
