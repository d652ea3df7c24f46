import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type House, ok, openHouse, refused } from './support.ts'

let house: House
beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

const TIME = 'Tue, 05 Mar 2030 12:00:20 +0000'
const hexId = expect.stringMatching(/^[0-9a-f]{24}$/)

describe('list', () => {
  test('a new one has neither been sent to nor counted', async () => {
    const given = { list: 'Weekly', primary: 1, public_name: 'The weekly', vars: { color: 'blue' } }
    expect(await house.post('list', given)).toEqual(
      ok({
        list_id: hexId,
        list: 'Weekly',
        create_time: TIME,
        send_time: null,
        count: null,
        type: 'normal',
        primary: true,
        public_name: 'The weekly',
        vars: { color: 'blue' },
      }),
    )
  })

  test('what PHP always sends along changes nothing but `primary`', async () => {
    const noise = { type: null, primary: 0, query: [], vars: [] }
    const { body } = await house.post('list', { list: 'Weekly', ...noise })
    expect(body).toMatchObject({ primary: false, vars: { color: 'blue' }, public_name: 'The weekly', count: 0 })
    await house.post('list', { list: 'Clever', type: 'smart', query: { source_list: 'Weekly' } })
    expect((await house.post('list', { list: 'Clever', ...noise })).body.type).toBe('smart')
  })

  test('counts members, and those a campaign would reach', async () => {
    for (const name of ['a', 'b', 'c', 'd']) {
      await house.post('user', { id: `${name}@example.com`, lists: { Weekly: 1 } })
    }
    await house.post('user', { id: 'b@example.com', optout_email: 'blast' })
    await house.bounce('c@example.com')
    await house.post('user', { id: 'd@example.com', lists: { Weekly: 0 } })
    // What took long to count is kept for a while, which on a busy machine is any count.
    await expect
      .poll(async () => (await house.get('list', {})).body.lists)
      .toEqual([
        { list_id: hexId, name: 'Clever', email_count: 0, valid_count: 0, create_time: TIME, type: 'smart' },
        { list_id: hexId, name: 'Weekly', email_count: 3, valid_count: 1, create_time: TIME, type: 'normal' },
      ])
    await expect.poll(async () => (await house.get('list', { list: 'Weekly' })).body.count).toBe(3)
  })

  test('is found by id as well; vars are shown when asked for', async () => {
    const { list_id, ...first } = (await house.get('list', { list: 'Weekly' })).body
    expect(first.vars).toBeUndefined()
    expect((await house.get('list', { list_id, fields: { vars: 1 } })).body.vars).toEqual({ color: 'blue' })
    expect((await house.post('list', { list_id, public_name: 'Renamed' })).body.public_name).toBe('Renamed')
  })

  test('the collection can be narrowed', async () => {
    await house.post('list', { list: 'Primary', primary: 1 })
    const names = async (filter: object) =>
      (await house.get('list', filter)).body.lists.map(({ name }: { name: string }) => name)
    expect(await names({ list: '' })).toEqual(['Clever', 'Primary', 'Weekly'])
    expect(await names({ primary: 1 })).toEqual(['Primary'])
    expect(await names({ type: 'normal' })).toEqual(['Primary', 'Weekly'])
  })

  test('names tell upper from lower case', async () => {
    await house.post('list', { list: 'weekly' })
    const count = async (list: string) => (await house.get('list', { list })).body.count
    expect(await count('weekly')).toBe(0)
    await expect.poll(() => count('Weekly')).toBe(3)
    expect(await house.del('list', { list: 'weekly' })).toEqual(ok({ list: 'weekly', ok: true }))
    expect((await house.get('list', { list: 'weekly' })).body.error).toBe(15)
  })

  test('one answer spells the name `list`, the collection `name`; a list that was never mailed has no send_time', async () => {
    const one = (await house.get('list', { list: 'Weekly' })).body
    expect(Object.keys(one)).toEqual([
      'list_id',
      'list',
      'create_time',
      'send_time',
      'count',
      'type',
      'primary',
      'public_name',
    ])
    expect(one).toMatchObject({ list: 'Weekly', send_time: null, primary: false })
  })

  test('joining by `emails` lifts no opt-out', async () => {
    await house.post('user', { id: 'left@example.com', optout_email: 'all' })
    await house.post('list', { list: 'Bulk', emails: ['left@example.com'] })
    const { optout_email, lists } = (await house.get('user', { id: 'left@example.com' })).body
    expect([optout_email, Object.keys(lists)]).toEqual(['all', ['Bulk']])
    await house.del('list', { list: 'Bulk' })
  })

  test('takes addresses, all or none', async () => {
    const { body } = await house.post('list', { list: 'Old style', emails: 'x@example.com, y@example.com' })
    expect(body.count).toBe(2)
    expect(await house.post('list', { list: 'Old style', emails: ['z@example.com', 'bad'] })).toEqual(refused(400, 11))
    expect((await house.get('user', { id: 'z@example.com' })).status).toBe(404)
  })

  test.each([
    ['get', { list: 'Nope' }, 404, 15],
    ['get', { list_id: '0'.repeat(24) }, 404, 15],
    ['del', { list: 'Nope' }, 404, 15],
    ['del', {}, 400, 2],
    ['post', {}, 400, 2],
    ['post', { list_id: '0'.repeat(24) }, 404, 15],
    ['post', { list: 'Smart', type: 'smart' }, 400, 2],
    ['post', { list: 'Odd', type: 'odd' }, 400, 99],
    ['post', { list: 'x'.repeat(256) }, 400, 99],
  ] as const)('%s %j: %i, error %i', async (method, params, status, code) => {
    expect(await house[method]('list', params)).toEqual(refused(status, code))
  })

  test('fifty primary lists and no more', async () => {
    for (let i = 0; i < 49; i++) await house.post('list', { list: `P${i}`, primary: 1 })
    expect(await house.post('list', { list: 'One too many', primary: 1 })).toEqual(refused(403, 99))
    expect((await house.get('list', { list: 'One too many' })).body.error).toBe(15)
    expect((await house.post('list', { list: 'P1', primary: 1 })).status).toBe(200)
    await house.post('list', { list: 'P1', primary: 0 })
    expect((await house.post('list', { list: 'One too many', primary: 1 })).status).toBe(200)
  })

  test('deleting removes memberships, not people; the name begins anew', async () => {
    expect(await house.del('list', { list: 'Weekly' })).toEqual(ok({ list: 'Weekly', ok: true }))
    expect((await house.get('user', { id: 'a@example.com' })).body.lists).toBe(null)
    await house.post('user', { id: 'a@example.com', lists: { Weekly: 1 } })
    expect((await house.get('list', { list: 'Weekly' })).body.count).toBe(1)
  })
})
