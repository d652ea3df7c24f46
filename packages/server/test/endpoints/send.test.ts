import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type House, ok, openHouse, refused } from './support.ts'

let house: House
beforeAll(async () => {
  house = await openHouse()
  await house.post('template', { template: 'Weekly tips', subject: 'Tips', content_html: 'Hello {name}' })
  await house.post('template', { template: 'Password', subject: 'Password', is_basic: 1 })
  await house.post('template', { template: 'Off', subject: 'Off', is_disabled: 1 })
})
afterAll(() => house.close())

const send = (email: unknown, more: object = {}) => house.post('send', { template: 'Weekly tips', email, ...more })
const sendId = expect.stringMatching(/^[\w-]{16}$/)
const single = (email: string) => ({
  send_id: sendId,
  email,
  template: 'Weekly tips',
  status: 'unknown',
  send_key: null,
})

test('the worked exchange: out, refused, back in, accepted', async () => {
  const id = 'ada@example.com'
  expect(await house.post('user', { id, optout_email: 'basic' })).toEqual(ok({ ok: true }))
  expect(await send(id)).toEqual(refused(403, 37, 'Email will only accept basic templates: ada@example.com'))
  expect(await house.post('user', { id, optout_email: 'none' })).toEqual(ok({ ok: true }))
  expect(await send(id)).toEqual(ok(single(id)))
})

describe('POST send', () => {
  test('an unknown address gets a profile, on no list', async () => {
    expect(await send('Stranger@Example.com')).toEqual(ok(single('Stranger@Example.com')))
    const { lists, keys } = (await house.get('user', { id: 'stranger@example.com' })).body
    expect({ lists, email: keys.email }).toEqual({ lists: null, email: 'Stranger@Example.com' })
  })

  test.each([
    ['an array of one', ['solo@example.com']],
    ['stray commas and blanks', ' , solo@example.com ,,'],
    ['the same mailbox twice', 'solo@example.com,SOLO@example.com'],
  ])('%s counts as one', async (_, email) => {
    expect((await send(email)).body).toEqual(single('solo@example.com'))
  })

  test('several: those accepted, and beside them why the others are not', async () => {
    await house.post('user', { id: 'out@example.com', optout_email: 'all' })
    await house.bounce('dead@example.com')
    const emails = ['a@example.com', 'out@example.com', 'dead@example.com', 'no address', 'b@example.com']
    expect(await send(emails.join(','))).toEqual(
      ok({
        sent_count: 2,
        send_ids: { 'a@example.com': sendId, 'b@example.com': sendId },
        template: 'Weekly tips',
        errors: {
          'out@example.com': {
            code: 32,
            errormsg: 'Email has opted out of delivery from client: out@example.com',
          },
          'dead@example.com': { code: 35, errormsg: 'Email is a known hardbounce: dead@example.com' },
          'no address': { code: 11, errormsg: 'Invalid email: no address' },
        },
      }),
    )
  })

  test('several, all refused: the error of the first', async () => {
    expect(await send(['dead@example.com', 'out@example.com'])).toEqual(refused(403, 35))
  })

  test('copies that may not get it are left out and named, and nothing else changes', async () => {
    await house.post('user', { id: 'copy-out@example.com', optout_email: 'all' })
    await house.bounce('copy-dead@example.com')
    const headers = { Cc: 'Boss <copy-ok@example.com>, Copy-Out@example.com', Bcc: 'copy-dead@example.com' }
    const refusedCopies = {
      'Copy-Out@example.com': {
        code: 32,
        errormsg: 'Email has opted out of delivery from client: Copy-Out@example.com',
      },
      'copy-dead@example.com': { code: 35, errormsg: 'Email is a known hardbounce: copy-dead@example.com' },
    }
    const one = await send('copied@example.com', { options: { headers } })
    expect(one).toEqual(ok({ ...single('copied@example.com'), refused_copies: refusedCopies }))
    expect((await send('copied@example.com', { options: { headers: { Cc: 'copy-ok@example.com' } } })).body).toEqual(
      single('copied@example.com'),
    )
    const two = await send(['copied@example.com', 'copied2@example.com'], { options: { headers } })
    expect(two.body).toMatchObject({ sent_count: 2, refused_copies: refusedCopies })
    const { body } = await send('copied@example.com', { schedule_time: '+1 day' })
    const changed = await house.post('send', { send_id: body.send_id, options: { headers } })
    expect(changed.body).toMatchObject({ status: 'scheduled', refused_copies: refusedCopies })
    // Nobody gets a profile by being copied.
    expect((await house.get('user', { id: 'copy-ok@example.com' })).status).toBe(404)
  })

  test('a message with a confirmation link is copied to nobody', async () => {
    await house.post('template', {
      template: 'Double',
      subject: 'x',
      content_html: '<a href="{signup_confirm()}">y</a>',
    })
    const headers = { Bcc: 'archive@example.com' }
    expect(
      (await house.post('send', { template: 'Double', email: 'new@example.com', options: { headers } })).body,
    ).toEqual({
      ...single('new@example.com'),
      template: 'Double',
      refused_copies: {
        'archive@example.com': {
          code: 99,
          errormsg: 'A message with a confirmation link goes to its recipient only: archive@example.com',
        },
      },
    })
  })

  test('evars go over vars, whatever the spelling of the address', async () => {
    const evars = { 'Two@example.com': { name: 'Two' } }
    await send('one@example.com,two@example.com', { vars: { name: 'All', x: 1 }, evars })
    const rows = await house.db
      .selectFrom('message')
      .select(['address', 'vars'])
      .where('address', 'in', ['one@example.com', 'two@example.com'])
      .orderBy('address')
      .execute()
    expect(rows).toEqual([
      { address: 'one@example.com', vars: { name: 'All', x: 1 } },
      { address: 'two@example.com', vars: { name: 'Two', x: 1 } },
    ])
  })

  test('PHP writes empty maps as arrays', async () => {
    expect((await send('php@example.com', { vars: [], options: [], evars: [], limit: [] })).status).toBe(200)
  })

  test.each([
    ['no template', { template: undefined }, 400, 2],
    ['no address', { email: '' }, 400, 2],
    ['only commas', { email: ' , ' }, 400, 2],
    ['a bad address, before an unknown template', { email: 'bad', template: 'Nope' }, 400, 11],
    ['an unknown template', { template: 'Nope' }, 404, 14],
    ['a disabled template', { template: 'Off' }, 403, 99],
    ['101 addresses', { email: Array.from({ length: 101 }, (_, i) => `n${i}@example.com`) }, 400, 99],
    ['an unintelligible time', { schedule_time: 'gibberish' }, 400, 18],
    ['an unintelligible span', { limit: { name: 'x', within_time: 'gibberish' } }, 400, 18],
    ['a window that ends before it begins', { schedule_time: { start_time: '+2 days', end_time: '+1 day' } }, 400, 18],
    ['a header that is not ours to set', { options: { headers: { Subject: 'x' } } }, 400, 99],
    ['a bad copy', { options: { headers: { Bcc: 'ada@example.com, nobody' } } }, 400, 11],
    ['a group of copies', { options: { headers: { Cc: 'us: ada@example.com, bob@example.com;' } } }, 400, 11],
    ['an open quote', { options: { headers: { Cc: '"a <ada@example.com>, bob@example.com' } } }, 400, 11],
    ['two headers of one name', { options: { headers: { Cc: 'a@example.com', CC: 'b@example.com' } } }, 400, 99],
    ['another recipient', { options: { headers: { To: 'eve@example.com' } } }, 400, 99],
    ['a bad reply address', { options: { replyto: 'nobody' } }, 400, 11],
  ])('%s', async (_, params, status, code) => {
    expect(await send('refused@example.com', params)).toEqual(refused(status, code))
    expect((await house.get('user', { id: 'refused@example.com' })).status).toBe(404)
  })

  test.each([
    ['an unknown template', 'Nope', 'worthy@example.com', 404, 14],
    ['a bad address', 'Nope', 'bad', 400, 11],
    ['a disabled template', 'Off', 'blocked@example.com', 403, 99],
    ['a blocked address', 'Weekly tips', 'blocked@example.com', 403, 31],
    ['a hard bounce', 'Weekly tips', 'dead-early@example.com', 403, 35],
    ['a template left', 'Weekly tips', 'untipped@example.com', 403, 33],
    ['an opt-out of everything', 'Weekly tips', 'all-early@example.com', 403, 32],
    ['an opt-out of marketing', 'Weekly tips', 'basic-early@example.com', 403, 37],
    ['none, for a template that may go there', 'Password', 'basic-early@example.com', 400, 18],
    ['none, where one of two may be written to', 'Weekly tips', 'all-early@example.com,worthy@example.com', 400, 18],
  ])('%s is told before a time that nobody understands', async (_, template, email, status, code) => {
    if (!(await house.db.selectFrom('blocked_address').select('kind').executeTakeFirst())) {
      await house.block('blocked@example.com', 'blacklist')
      await house.bounce('dead-early@example.com')
      await house.post('user', { id: 'untipped@example.com', optout_templates: { 'Weekly tips': 0 } })
      await house.post('user', { id: 'all-early@example.com', optout_email: 'all' })
      await house.post('user', { id: 'basic-early@example.com', optout_email: 'basic' })
    }
    const before = await house.messages()
    for (const late of [
      { schedule_time: 'gibberish' },
      { limit: { name: 'x', within_time: 'gibberish' } },
      { consent: { wording_id: 'w', at: 'gibberish' } },
    ]) {
      expect(await house.post('send', { template, email, ...late })).toEqual(refused(status, code))
    }
    expect(await house.messages()).toEqual(before)
    expect((await house.get('user', { id: 'worthy@example.com' })).status).toBe(404)
  })

  test('the frequency guard is told before such a time, too', async () => {
    const limit = { name: 'early', within_time: '+1 day' }
    await send('guarded@example.com', { limit })
    expect(await send('guarded@example.com', { limit, schedule_time: 'gibberish' })).toEqual(refused(409, 99))
  })

  test('where the operator verifies senders, others are error 36, after everything about the person', async () => {
    await house.post('template', { template: 'From afar', subject: 'x', from_email: 'news@example.org' })
    await house.post('user', { id: 'sender-out@example.com', optout_email: 'all' })
    const sendAfar = (email: string) => house.post('send', { template: 'From afar', email })
    expect((await sendAfar('afar@example.com')).status).toBe(200)
    await house.setting('verified_senders', 'Example.net, boss@example.org')
    try {
      expect(await sendAfar('afar@example.com')).toEqual(refused(400, 36, 'Unverified from email: news@example.org'))
      expect(await sendAfar('sender-out@example.com')).toEqual(refused(403, 32))
      expect((await send('afar@example.com')).status).toBe(200)
      const save = (from_email: string) => house.post('template', { template: 'New', subject: 'x', from_email })
      expect(await save('other@example.org')).toEqual(refused(400, 36))
      expect((await house.get('template', { template: 'New' })).status).toBe(404)
      for (const good of ['Boss@example.org', 'anybody@example.net', 'hello@example.com', '']) {
        expect((await save(good)).status).toBe(200)
      }
      expect((await house.get('settings', {})).body.from_emails).toEqual([
        'hello@example.com',
        '@example.net',
        'boss@example.org',
      ])
    } finally {
      await house.setting('verified_senders', '')
    }
  })

  test('a frequency guard refuses the second, or gives the first new content', async () => {
    const limit = { name: 'cart', within_time: '+1 day' }
    expect((await send('guard@example.com', { limit })).status).toBe(200)
    expect(await send('guard@example.com', { limit })).toEqual(
      refused(409, 99, 'Send limit reached: cart was sent within the given time'),
    )
    expect((await send('guard@example.com', { limit: { ...limit, conflict: 'update' } })).status).toBe(200)
    expect((await send('guard@example.com')).status).toBe(200)
    house.clock.advance(25 * 3_600_000)
    expect((await send('guard@example.com', { limit })).status).toBe(200)
  })
})

describe('scheduled messages', () => {
  test('are shown, changed and taken back', async () => {
    const now = house.clock.now()
    const at = new Date(now.getTime() + 3 * 3_600_000)
    const { body } = await send('later@example.com', { schedule_time: '+3 hours' })
    expect(body).toEqual({
      ...single('later@example.com'),
      status: 'scheduled',
      schedule_time: expect.any(String),
    })
    expect(new Date(body.schedule_time).getTime()).toBe(Math.floor(at.getTime() / 1000) * 1000)
    expect((await house.get('send', { send_id: body.send_id })).body).toEqual(body)
    const moved = await house.post('send', { send_id: body.send_id, schedule_time: '+5 hours' })
    expect(new Date(moved.body.schedule_time).getTime()).toBeGreaterThan(at.getTime())
    expect(await house.del('send', { send_id: body.send_id })).toEqual(ok({ send_id: body.send_id, ok: true }))
    expect((await house.get('send', { send_id: body.send_id })).body.status).toBe('unknown')
  })

  test('the map form takes the beginning of its window; the past means now', async () => {
    const window = { start_time: '+1 hour', end_time: '+2 hours', method: 'email' }
    expect((await send('window@example.com', { schedule_time: window })).body.status).toBe('scheduled')
    expect((await send('window@example.com', { schedule_time: '-1 hour' })).body.status).toBe('unknown')
    expect((await send('window@example.com', { schedule_time: '' })).body.status).toBe('unknown')
  })

  test('what was not scheduled cannot be taken back', async () => {
    const { send_id } = (await send('gone@example.com')).body
    expect(await house.del('send', { send_id })).toEqual(refused(403, 41))
  })

  test('only what waits can be changed', async () => {
    const { send_id } = (await send('fixed@example.com')).body
    const change = (id: string) => house.post('send', { send_id: id, schedule_time: '+1 day' })
    expect(await change(send_id)).toEqual(refused(403, 41))
    expect(await change('AAAAAAAAAAAAAAAA')).toEqual(refused(404, 12))
    const later = (await send('movable@example.com', { schedule_time: '+1 hour', vars: { a: 1 } })).body.send_id
    expect(await house.post('send', { send_id: later, schedule_time: 'gibberish' })).toEqual(refused(400, 18))
    expect((await house.post('send', { send_id: later, vars: { a: 2 } })).body.status).toBe('scheduled')
    const row = house.db.selectFrom('message').select('vars').where('address', '=', 'movable@example.com')
    expect((await row.executeTakeFirstOrThrow()).vars).toEqual({ a: 2 })
  })

  test('opting out between scheduling and delivery wins: the decision is asked again then', async () => {
    const { send_id } = (await send('wavering@example.com', { schedule_time: '+1 hour' })).body
    await house.post('user', { id: 'wavering@example.com', optout_email: 'all' })
    expect((await house.get('send', { send_id })).body.status).toBe('scheduled')
  })
})

describe('GET send', () => {
  test('keeps the address as it was spelled', async () => {
    const { send_id } = (await send('Spelled@Example.com')).body
    expect((await house.get('send', { send_id })).body).toEqual({ ...single('Spelled@Example.com'), send_id })
  })

  test('shows when it was sent, what it was scheduled for, and a feed of its own', async () => {
    const more = { schedule_time: '+1 hour', data_feed_url: 'https://example.com/feed.json' }
    const { send_id } = (await send('feed@example.com', more)).body
    const { body } = await house.get('send', { send_id })
    expect(body).toMatchObject({ status: 'scheduled', data_feed_url: 'https://example.com/feed.json' })
    expect(Object.keys(body)).not.toContain('send_time')
    await house.db
      .updateTable('message')
      .set({ state: 'sent', due_at: null, sent_at: new Date('2030-06-01T10:00:00Z') })
      .where('address', '=', 'feed@example.com')
      .execute()
    expect((await house.get('send', { send_id })).body).toMatchObject({
      status: 'delivered',
      send_time: 'Sat, 01 Jun 2030 10:00:00 +0000',
      schedule_time: body.schedule_time,
    })
    expect(await send('feed@example.com', { data_feed_url: 'no url' })).toEqual(refused(400, 99))
  })

  test.each(['softbounce', 'hardbounce'])('%s', async (reason) => {
    const address = `${reason}@example.com`
    const { send_id } = (await send(address)).body
    await house.db
      .updateTable('message')
      .set({ state: 'failed', due_at: null, reason })
      .where('address', '=', address)
      .execute()
    expect((await house.get('send', { send_id })).body.status).toBe(reason)
  })

  test('after 90 days it is unknown', async () => {
    const { send_id } = (await send('old@example.com')).body
    house.clock.advance(91 * 86_400_000)
    expect(await house.get('send', { send_id })).toEqual(refused(404, 12, `Unknown send_id: ${send_id}`))
  })

  test.each(['AAAAAAAAAAAAAAAA', 'short', "'; drop table message; --"])('unknown: %s', async (send_id) => {
    expect(await house.get('send', { send_id })).toEqual(refused(404, 12))
    expect(await house.del('send', { send_id })).toEqual(refused(404, 12))
  })

  test.each(['get', 'del'] as const)('%s without an id', async (method) => {
    expect(await house[method]('send', {})).toEqual(refused(400, 2, 'Missing required parameter: send_id'))
  })
})
