import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { forecast } from '../../src/campaigns/left-out.ts'
import { readCampaign } from '../../src/campaigns/read.ts'
import { changeSetting } from '../../src/settings/settings.ts'
import { type CampaignHouse, campaignHouse, people } from './support.ts'

const DAY = 86_400_000

let house: CampaignHouse
beforeAll(async () => {
  house = await campaignHouse()
  await house.join('Weekly', ...people(3))
  await house.join('Some', 'person1@example.com', 'person2@example.com')
  await house.join('One', 'person1@example.com')
  await house.setting('frequency_cap', '2')
  await house.setting('frequency_cap_days', '7')
})
afterAll(() => house.close())

/** A campaign that everybody on the list got. */
async function sent(list: string, params: object = {}): Promise<number> {
  const id = await house.campaign({ list, ...params })
  await house.settle()
  await house.deliver(id)
  await house.settle()
  return id
}

async function capped(params: object = {}): Promise<{ [address: string]: string | null }> {
  const id = await house.campaign({ capping_enabled: 1, ...params })
  const expected = await forecast(house.db, (await readCampaign(house.db, id))!, 100, house.clock.now())
  await house.settle()
  const rows = await house.rows(id)
  // What can be told before is what happens then.
  expect((await house.blast(id)).stats.total.left_out).toEqual(expected.leftOut)
  // One that leaves out everybody is complete already.
  await house.post('blast', { blast_id: id, status: 'sent' })
  await house.settle()
  return Object.fromEntries(rows.map(({ address, reason }) => [address.split('@')[0], reason]))
}

it('counts what people got and what is on its way to them, and no others', async () => {
  await sent('Weekly')
  expect(await capped()).toEqual({ person1: null, person2: null, person3: null })
  const waiting = await house.campaign({ list: 'Some' })
  await house.settle()
  expect(await capped()).toEqual({ person1: 'frequency_cap', person2: 'frequency_cap', person3: null })
  await house.must('blast', { blast_id: waiting, status: 'sent' })
  await house.settle()
  expect(await capped()).toEqual({ person1: null, person2: null, person3: null })
  const failed = await house.campaign({ list: 'Some' })
  await house.settle()
  await house.deliver(failed, 'failed', 'softbounce')
  await house.settle()
  expect(await capped()).toEqual({ person1: null, person2: null, person3: null })
})

it('counts campaigns that keep to no cap themselves, and no triggered mail', async () => {
  await house.must('template', { template: 'Order', subject: 'Order', content_html: '<p>Order</p>' })
  for (let n = 0; n < 3; n++) await house.must('send', { template: 'Order', email: 'person3@example.com' })
  await sent('One')
  expect(await capped()).toEqual({ person1: 'frequency_cap', person2: null, person3: null })
})

it('leaves nobody out of a campaign that does not ask for it', async () => {
  const id = await sent('One')
  expect((await house.rows(id)).map(({ state }) => state)).toEqual(['sent'])
})

it('names what the person decided first, and lets seeds have it', async () => {
  await house.must('user', { id: 'person1@example.com', key: 'email', optout_email: 'blast' })
  expect(await capped({ list: 'One' })).toEqual({ person1: 'optout_blast' })
  await house.must('user', { id: 'person1@example.com', key: 'email', optout_email: 'none' })
  const id = await house.campaign({ capping_enabled: 1, list: 'Some', seed_emails: ['person1@example.com'] })
  await house.settle()
  expect((await house.rows(id)).map(({ state }) => state)).toEqual(['queued', 'queued'])
  await house.must('blast', { blast_id: id, status: 'sent' })
  await house.settle()
})

it('forgets what is older than the window, by the time at which it was sent', async () => {
  house.clock.advance(7 * DAY - 1)
  expect(await capped()).toMatchObject({ person1: 'frequency_cap' })
  house.clock.advance(2)
  expect(await capped()).toEqual({ person1: null, person2: null, person3: null })
})

describe('settings', () => {
  it('of nothing is no cap', async () => {
    await sent('One')
    await sent('One')
    for (const name of ['frequency_cap', 'frequency_cap_days']) {
      await house.setting(name, '0')
      expect(await capped()).toMatchObject({ person1: null })
      await house.setting(name, '2')
      expect(await capped()).toMatchObject({ person1: 'frequency_cap' })
    }
  })

  it.each([
    ['frequency_cap', '-1', 'frequency_cap is a whole number, not -1'],
    ['frequency_cap', '1e9', 'frequency_cap is at most 1000, not 1e9'],
    ['frequency_cap_days', '366', 'frequency_cap_days is at most 365, not 366'],
  ])('refuse %s %s', async (name, text, problem) => {
    expect(await changeSetting(house.db, house.clock, name, text)).toBe(problem)
  })
})

it('lets two campaigns that are put together by different workers see each other', async () => {
  await house.setting('frequency_cap', '1')
  house.clock.advance(30 * DAY)
  const ids = [await house.campaign({ capping_enabled: 1 }), await house.campaign({ capping_enabled: 1 })]
  await Promise.all([house.settle(), house.settle(), house.settle()])
  const { rows } = await sql<{ address: string; n: number }>`
    select address, count(*)::int as n from message where campaign_id = any(${ids}::int[]) and state = 'queued'
    group by address order by address`.execute(house.db)
  expect(rows).toEqual(people(3).map((address) => ({ address, n: 1 })))
})
