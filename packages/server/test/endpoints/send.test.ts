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
    ['a bad reply address', { options: { replyto: 'nobody' } }, 400, 11],
  ])('%s', async (_, params, status, code) => {
    expect(await send('refused@example.com', params)).toEqual(refused(status, code))
    expect((await house.get('user', { id: 'refused@example.com' })).status).toBe(404)
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
