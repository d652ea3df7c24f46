import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readLedger } from '../../src/consent/ledger.ts'
import { findProfile } from '../../src/profiles/read.ts'
import { type House, ok, openHouse, refused } from './support.ts'

let house: House
beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

const user = async (id: string, fields?: object) => (await house.get('user', { id, fields })).body

describe('POST user', () => {
  test('creates a person, and what was written is read at once', async () => {
    const vars = { name: 'Ada', age: 36, tags: ['a', { b: null }] }
    expect(await house.post('user', { id: 'Ada@Example.com', vars, lists: { Weekly: 1, Daily: 0 } })).toEqual(
      ok({ ok: true }),
    )
    expect(await house.get('user', { id: 'ada@example.COM' })).toEqual(
      ok({
        keys: {
          sid: expect.stringMatching(/^[0-9a-f]{24}$/),
          cookie: expect.stringMatching(/^[0-9a-f]{88}$/),
          email: 'Ada@Example.com',
        },
        vars,
        lists: { Weekly: 'Tue, 05 Mar 2030 12:00:20 +0000' },
        engagement: 'new',
        optout_email: 'none',
      }),
    )
  })

  test('a list to leave is not made', async () => {
    expect((await house.get('list', { list: 'Daily' })).body.error).toBe(15)
  })

  test('null deletes a var, others stay', async () => {
    await house.post('user', { id: 'vars@example.com', vars: { a: 1, b: 2 } })
    await house.post('user', { id: 'vars@example.com', vars: { a: null, c: 3 } })
    expect((await user('vars@example.com')).vars).toEqual({ b: 2, c: 3 })
  })

  test('vars may be a JSON text', async () => {
    await house.post('user', { id: 'text@example.com', vars: '{"a":1}' })
    expect((await user('text@example.com')).vars).toEqual({ a: 1 })
  })

  test('in bracket style values are texts', async () => {
    expect(
      await house.postForm('user', 'id=bracket%40example.com&vars[name]=Zo%C3%AB&lists[Weekly]=1&optout_email=basic'),
    ).toEqual(ok({ ok: true }))
    const { vars, lists, optout_email } = await user('bracket@example.com')
    expect({ vars, lists, optout_email }).toEqual({
      vars: { name: 'Zoë' },
      lists: { Weekly: expect.any(String) },
      optout_email: 'basic',
    })
  })

  test.each([
    ['a var name of 33 characters', { vars: { ['x'.repeat(33)]: 1 } }],
    ['a var name with a dot', { vars: { 'a.b': 1 } }],
    ['garbage for a level', { optout_email: 'bogus' }],
    ['a level that is almost one', { optout_email: 'None' }],
    ['garbage for a conflict rule', { keysconflict: 'both' }],
    ['garbage for an SMS status', { sms_marketing_status: 'maybe' }],
    ['a list with a choice that is none', { lists: { Weekly: 'yes' } }],
    ['a list without a name', { lists: { '': 1 } }],
    ['vars that are no map', { vars: [1] }],
    ['a telephone number without a country', { keys: { sms: '5550100' } }],
    ['an external id of 256 characters', { keys: { extid: 'x'.repeat(256) } }],
  ])('%s: error 99, and nothing is written', async (_, params) => {
    expect(await house.post('user', { id: 'nobody@example.com', ...params })).toEqual(refused(400, 99))
    expect(await house.get('user', { id: 'nobody@example.com' })).toEqual(
      refused(404, 99, 'User not found with email: nobody@example.com'),
    )
  })

  test('a var name of 32 characters, any script, is fine; a long one can be deleted', async () => {
    const vars = { ['é'.repeat(32)]: 1, 'a_b-c d': 2, ['x'.repeat(40)]: null }
    expect(await house.post('user', { id: 'names@example.com', vars })).toEqual(ok({ ok: true }))
  })

  test('a bad address is error 11, and makes no list', async () => {
    expect(await house.post('user', { id: 'no address', lists: { 'Made by mistake': 1 } })).toEqual(
      refused(400, 11, 'Invalid email: no address'),
    )
    expect((await house.get('list', { list: 'Made by mistake' })).body.error).toBe(15)
  })

  test('nobody is named: error 2', async () => {
    expect(await house.post('user', { vars: { a: 1 } })).toEqual(refused(400, 2, 'Missing required parameter: id'))
  })

  test('unknown parameters are passed over', async () => {
    expect(await house.post('user', { id: 'plugin@example.com', integration: 'shop', foo: { a: [1] } })).toEqual(
      ok({ ok: true }),
    )
  })

  test('answers the fields that are asked for', async () => {
    expect(
      await house.post('user', { id: 'fields@example.com', vars: { a: 1 }, fields: { vars: 1, keys: 0 } }),
    ).toEqual(ok({ ok: true, vars: { a: 1 } }))
  })

  test('records a visit', async () => {
    await house.post('user', { id: 'visit@example.com', login: { site: 'shop', time: '2030-03-05 11:00:00 UTC' } })
    const { activity, engagement } = await user('visit@example.com', { activity: 1, engagement: 1 })
    expect(activity).toEqual({
      create_time: 'Tue, 05 Mar 2030 12:00:20 +0000',
      login_time: 'Tue, 05 Mar 2030 11:00:00 +0000',
    })
    expect(engagement).toBe('engaged')
  })

  test('SMS statuses and pixel consent', async () => {
    const id = 'sms@example.com'
    await house.post('user', { id, optout_sms_status: 'opt-out', sms_transactional_status: 'double-opt-in' })
    await house.post('user', { id, pixel_tracking_consent: 'opt-in' })
    const fields = {
      optout_sms_status: 1,
      sms_marketing_status: 1,
      sms_transactional_status: 1,
      pixel_tracking_consent: 1,
    }
    expect(await user(id, fields)).toEqual({
      optout_sms_status: 'opt-out',
      sms_marketing_status: 'opt-out',
      sms_transactional_status: 'double-opt-in',
      pixel_tracking_consent: 'opt-in',
    })
    await house.post('user', { id, pixel_tracking_consent: null })
    expect((await user(id, fields)).pixel_tracking_consent).toBe(null)
  })
})

describe('keys', () => {
  test('a person is found by each key', async () => {
    const keys = { email: 'keys@example.com', extid: 'K-1', sms: '+15550101', fb: 'f1', twitter: 't1' }
    await house.post('user', { id: 'keys@example.com', keys })
    const found = (await user('keys@example.com', { keys: 1 })).keys
    expect(found).toEqual({ ...keys, sid: expect.any(String), cookie: expect.any(String) })
    for (const [kind, value] of Object.entries(found)) {
      expect(await house.get('user', { id: value, key: kind, fields: { keys: 1 } })).toEqual(ok({ keys: found }))
    }
  })

  test('24 hexadecimal digits without `key` are a sid', async () => {
    const { sid } = (await user('keys@example.com', { keys: 1 })).keys
    expect((await user(sid, { keys: 1 })).keys.email).toBe('keys@example.com')
    expect(await house.post('user', { id: sid, vars: { by: 'sid' } })).toEqual(ok({ ok: true }))
    expect((await user('keys@example.com')).vars).toEqual({ by: 'sid' })
  })

  test('nobody is created by a sid or cookie', async () => {
    expect(await house.post('user', { id: '0'.repeat(24) })).toEqual(
      refused(404, 99, `User not found with sid: ${'0'.repeat(24)}`),
    )
    expect((await house.post('user', { id: 'ab'.repeat(44), key: 'cookie' })).status).toBe(404)
  })

  test('keys alone name a person: sid, then email, then extid, then sms', async () => {
    expect(await house.post('user', { keys: { sms: '+15550102', extid: 'K-2' }, vars: { a: 1 } })).toEqual(
      ok({ ok: true }),
    )
    expect((await house.get('user', { id: '+15550102', key: 'sms' })).body.vars).toEqual({ a: 1 })
    const { keys } = (await house.get('user', { id: 'K-2', key: 'extid' })).body
    expect(keys.email).toBeUndefined()
    await house.post('user', { keys: { ...keys, email: 'second@example.com' } })
    expect((await user('second@example.com')).keys).toEqual({ ...keys, email: 'second@example.com' })
  })

  test('a new address takes the place of the old one', async () => {
    await house.post('user', { id: 'old@example.com', vars: { a: 1 } })
    await house.post('user', { id: 'old@example.com', keys: { email: 'new@example.com' } })
    expect((await user('new@example.com')).vars).toEqual({ a: 1 })
    expect((await user('old@example.com')).error).toBe(99)
  })

  test('a key of somebody else: an error, and nothing changes', async () => {
    await house.post('user', { id: 'one@example.com', keys: { extid: 'E-1' } })
    await house.post('user', { id: 'two@example.com' })
    for (const keysconflict of [undefined, 'error']) {
      expect(
        await house.post('user', { id: 'two@example.com', keys: { extid: 'E-1' }, keysconflict, vars: { a: 1 } }),
      ).toEqual(refused(409, 99, 'Key conflict: extid'))
    }
    expect((await user('two@example.com')).vars).toEqual({})
  })

  test('merging keeps the stronger suppression and both lists', async () => {
    await house.post('user', { id: 'kept@example.com', vars: { a: 1 }, lists: { Weekly: 1 } })
    await house.post('user', {
      id: 'gone@example.com',
      keys: { extid: 'E-2' },
      vars: { a: 2, b: 2 },
      lists: { Monthly: 1 },
      optout_email: 'all',
    })
    await house.post('user', { id: 'kept@example.com', keys: { extid: 'E-2' }, keysconflict: 'merge' })
    const { vars, lists, optout_email, keys } = await user('kept@example.com')
    expect({ vars, lists: Object.keys(lists).sort(), optout_email }).toEqual({
      vars: { a: 1, b: 2 },
      lists: ['Monthly', 'Weekly'],
      optout_email: 'all',
    })
    expect(keys.extid).toBe('E-2')
    expect((await house.get('user', { id: 'gone@example.com' })).status).toBe(404)
  })
})

describe('opting out and back in', () => {
  test.each([
    ['blast', 'blast'],
    ['basic', 'basic'],
    ['all', 'all'],
    ['none', 'none'],
  ])('optout_email %s', async (given, level) => {
    await house.post('user', { id: 'level@example.com', optout_email: given })
    expect((await user('level@example.com')).optout_email).toBe(level)
  })

  test.each(['blast', 'basic', 'all'])('none after %s makes the person valid; so does its old alias', async (level) => {
    for (const back of ['none', 'valid']) {
      await house.post('user', { id: 'back@example.com', optout_email: level })
      expect(await house.post('user', { id: 'back@example.com', optout_email: back })).toEqual(ok({ ok: true }))
      expect((await user('back@example.com')).optout_email).toBe('none')
    }
  })

  test('the level is replaced, not raised; leaving none is remembered as a time', async () => {
    await house.post('user', { id: 'lower@example.com', optout_email: 'all' })
    await house.post('user', { id: 'lower@example.com', optout_email: 'basic' })
    const { optout_email, activity } = await user('lower@example.com', { optout_email: 1, activity: 1 })
    expect(optout_email).toBe('basic')
    expect(activity.optout_time).toBe('Tue, 05 Mar 2030 12:00:20 +0000')
  })

  test('none on a bounced address: the level is none, the bounce stays', async () => {
    await house.post('user', { id: 'bounced@example.com', optout_email: 'all' })
    await house.bounce('bounced@example.com')
    expect(await house.post('user', { id: 'bounced@example.com', optout_email: 'none' })).toEqual(ok({ ok: true }))
    const fields = { optout_email: 1, engagement: 1, hardbounce: 1, email_status: 1 }
    expect(await user('bounced@example.com', fields)).toEqual({
      optout_email: 'none',
      engagement: 'hardbounce',
      hardbounce: 1,
      email_status: 'hardbounce',
    })
  })

  test('joining a list never changes the level', async () => {
    await house.post('user', { id: 'joiner@example.com', optout_email: 'all', lists: { Weekly: 1 } })
    await house.post('user', { id: 'joiner@example.com', lists: { Monthly: 1 } })
    expect((await user('joiner@example.com')).optout_email).toBe('all')
  })

  test('template by template: 0 is out, 1 is in; what is read can be written back; none leaves it alone', async () => {
    const id = 'templates@example.com'
    for (const name of ['Tips', 'News']) await house.post('template', { template: name, subject: name })
    await house.post('user', { id, optout_templates: { Tips: 0, News: 1 } })
    const read = async () => (await user(id, { optout_templates: 1 })).optout_templates
    expect(await read()).toEqual({ Tips: 0 })
    await house.post('user', { id, optout_templates: await read(), optout_email: 'none' })
    expect(await read()).toEqual({ Tips: 0 })
    await house.post('user', { id, optout_templates: { Tips: 1, 'Never existed': 1 } })
    expect(await read()).toEqual({})
    expect(await house.post('user', { id, optout_templates: { Tips: 0, 'Never existed': 0 } })).toEqual(
      refused(404, 14, 'Unknown template: Never existed'),
    )
    expect(await read()).toEqual({})
  })

  test('a consent object is kept as proof', async () => {
    const id = 'consent@example.com'
    await house.post('user', { id, optout_email: 'basic' })
    const consent = {
      wording_id: 'w-7',
      at: '2030-03-05 12:00:00 UTC',
      ip: '192.0.2.7',
      user_agent: 'Browser',
      url: 'https://example.com/join',
      method: 'checkbox',
    }
    expect(await house.post('user', { id, optout_email: 'none', consent })).toEqual(ok({ ok: true }))
    const profile = await findProfile(house.db, { kind: 'email', value: id })
    const last = (await readLedger(house.db, profile?.id ?? 0)).at(-1)
    expect(last).toMatchObject({
      event: 'opted_in',
      via: 'api',
      evidence: 3,
      at: new Date('2030-03-05T12:00:00Z'),
      context: { ip: '192.0.2.7', user_agent: 'Browser', url: 'https://example.com/join', wording_id: 'w-7' },
    })
  })

  test('a consent from before the newest refusal lifts nothing, and the answer says so', async () => {
    const id = 'stale-consent@example.com'
    await house.post('user', { id, optout_email: 'all' })
    const consent = { wording_id: 'w-7', at: '2030-03-05 11:00:00 UTC' }
    expect(await house.post('user', { id, optout_email: 'none', consent })).toEqual(ok({ ok: true, superseded: 1 }))
    expect((await findProfile(house.db, { kind: 'email', value: id }))?.level).toBe('all')
  })

  test.each([
    [{ at: 'now' }, 2],
    [{ wording_id: 'w', at: 'tomorrow' }, 18],
    [{ wording_id: 'w', at: 'gibberish' }, 18],
  ])('a consent object that proves nothing is refused: %j', async (consent, code) => {
    expect((await house.post('user', { id: 'proof@example.com', optout_email: 'none', consent })).body.error).toBe(code)
  })

  test('where the account wants proof, the call answers pending and the confirmation goes out', async () => {
    const id = 'pending@example.com'
    await house.post('user', { id, optout_email: 'all' })
    await house.post('template', {
      template: 'Opt-in Confirm',
      subject: 'Come back?',
      content_html: '<a href="{signup_confirm()}">Yes</a>',
    })
    try {
      await house.setting('api_optin_policy', 'confirm')
      expect(await house.post('user', { id, optout_email: 'none', vars: { a: 1 } })).toEqual(
        ok({ ok: true, pending: 1 }),
      )
      await house.setting('api_optin_policy', 'attested')
      expect(await house.post('user', { id, optout_email: 'none' })).toEqual(ok({ ok: true, pending: 1 }))
      const mails = (await house.messages()).filter(({ address }) => address === id)
      expect(mails.map(({ kind }) => kind)).toEqual(['optin', 'optin'])
      expect(await user(id, { optout_email: 1, vars: 1 })).toEqual({ optout_email: 'all', vars: { a: 1 } })
      const consent = { wording_id: 'w-1' }
      expect(await house.post('user', { id, optout_email: 'none', consent })).toEqual(ok({ ok: true }))
    } finally {
      await house.setting('api_optin_policy', 'legacy')
    }
  })
})

describe('DELETE user', () => {
  test('forgets the person, not that they left', async () => {
    const id = 'delete@example.com'
    await house.post('user', { id, vars: { a: 1 }, lists: { Weekly: 1 }, optout_email: 'all' })
    expect(await house.del('user', { id })).toEqual(ok({ ok: true }))
    expect((await house.get('user', { id })).status).toBe(404)
    await house.post('user', { id })
    const { vars, lists, optout_email } = await user(id)
    expect({ vars, lists, optout_email }).toEqual({ vars: {}, lists: null, optout_email: 'all' })
  })

  test('nobody there: 404; nobody named: 2', async () => {
    expect(await house.del('user', { id: 'never@example.com' })).toEqual(
      refused(404, 99, 'User not found with email: never@example.com'),
    )
    expect(await house.del('user', {})).toEqual(refused(400, 2))
  })
})

describe('GET user', () => {
  test('all fields', async () => {
    await house.post('user', { id: 'all@example.com' })
    const names =
      'keys vars lists engagement optout_email activity device lifetime purchases purchase_incomplete smart_lists optout_sms_status sms_marketing_status sms_transactional_status pixel_tracking_consent optout_templates hardbounce email_status'.split(
        ' ',
      )
    const answer = await user('all@example.com', Object.fromEntries(names.map((name) => [name, 1])))
    expect(Object.keys(answer)).toEqual(names)
    expect(answer).toMatchObject({ smart_lists: [], purchases: [], purchase_incomplete: [], email_status: 'valid' })
  })

  test('no field that we know: the usual ones', async () => {
    for (const fields of [[], {}, { unheard_of: 1 }]) {
      expect(Object.keys(await user('all@example.com', fields))).toEqual([
        'keys',
        'vars',
        'lists',
        'engagement',
        'optout_email',
      ])
    }
  })

  test.each([{}, { id: '' }, { key: 'email' }])('nobody named: %j', async (params) => {
    expect(await house.get('user', params)).toEqual(refused(400, 2, 'Missing required parameter: id'))
  })

  test('a key that is none', async () => {
    expect(await house.get('user', { id: 'x', key: 'shoe' })).toEqual(refused(400, 99))
  })
})

test('a person who comes in many calls at once is one person', async () => {
  const calls = Array.from({ length: 40 }, (_, i) =>
    house.post('user', { id: 'many@example.com', vars: { [`v${i}`]: i }, lists: { [`Burst ${i % 4}`]: 1 } }),
  )
  expect((await Promise.all(calls)).every(({ status }) => status === 200)).toBe(true)
  const { vars, lists } = await user('many@example.com')
  expect(Object.keys(vars)).toHaveLength(40)
  expect(Object.keys(lists).sort()).toEqual(['Burst 0', 'Burst 1', 'Burst 2', 'Burst 3'])
})
