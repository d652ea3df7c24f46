import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { fillChunk } from '../../src/campaigns/fill.ts'
import { campaignRound } from '../../src/campaigns/loop.ts'
import { refused } from '../endpoints/support.ts'
import { type CampaignHouse, campaignHouse, people } from './support.ts'

const HOUR = 3_600_000

let house: CampaignHouse
let id: number
beforeAll(async () => {
  house = await campaignHouse()
  await house.join('Weekly', ...people(6))
  await house.join('Monthly', ...people(2, 'example.org'))
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.join('Complaints', 'person1@example.com', 'person6@example.com')
  await house.join('Guests', 'person2@example.com')
})

const gone = (list: string) => house.del('list', { list })
const addresses = async () => (await house.rows(id)).flatMap(({ address, reason }) => (reason ? [] : [address]))

describe('a campaign whose time comes when a list of it is gone is a draft again, and nobody is written to', () => {
  const begins = async () => {
    house.clock.advance(2 * HOUR)
    await house.settle()
    expect(await house.rows(id)).toEqual([])
    const { status, problem } = await house.blast(id)
    expect(status).toBe('created')
    return problem
  }

  it.each([
    ['its suppress list', { suppress_list: 'Complaints' }, 'its suppress list does not exist any more'],
    [
      'one suppress list of two',
      { suppress_list: 'Guests, Complaints' },
      'one of its suppress lists does not exist any more',
    ],
    ['one list of two', { list: ['Weekly', 'Complaints'] }, 'one of its lists does not exist any more'],
    ['its only list', { list: 'Complaints' }, 'its list does not exist any more'],
  ])('%s', async (_, lists, problem) => {
    id = await house.campaign({ ...lists, schedule_time: '+1 hour' })
    await gone('Complaints')
    expect(await begins()).toBe(problem)
  })

  it('a list of the same name that was made anew is another one', async () => {
    id = await house.campaign({ suppress_list: 'Complaints', schedule_time: '+1 hour' })
    await gone('Complaints')
    await house.join('Complaints', 'person3@example.com')
    expect(await begins()).toBe('its suppress list does not exist any more')
    await house.must('blast', { blast_id: id, suppress_list: 'Complaints', schedule_time: 'now' })
    await house.settle()
    expect(await house.rows(id)).toHaveLength(6)
    expect(await addresses()).not.toContain('person3@example.com')
  })

  it('also in a copy of another campaign, and at a new attempt to schedule it', async () => {
    const first = await house.campaign({ suppress_list: 'Complaints', schedule_time: undefined })
    await gone('Complaints')
    id = (await house.must('blast', { copy_blast: first, name: 'Copy', schedule_time: '+1 hour' })).blast_id
    expect(await begins()).toBe('its suppress list does not exist any more')
    await house.must('blast', { blast_id: id, schedule_time: '+1 hour' })
    expect(await begins()).toBe('its suppress list does not exist any more')
  })

  it('or when the campaign that it follows was deleted', async () => {
    const first = await house.campaign({ schedule_time: undefined })
    id = await house.campaign({ previous_blast_id: first, message_criteria: 'not_opened', schedule_time: '+1 hour' })
    await house.del('blast', { blast_id: first })
    expect(await begins()).toBe('the campaign that it follows does not exist any more')
  })

  it('or when a list has become a smart one, which nobody is on', async () => {
    await house.must('list', { list: 'Turned' })
    id = await house.campaign({ suppress_list: 'Turned', schedule_time: '+1 hour' })
    const query = { mode: 'and', criteria: ['engagement_min'] }
    await house.must('list', { list: 'Turned', type: 'smart', query })
    expect(await begins()).toBe('its list Turned is a smart list, and those have no members yet')
    expect(await house.post('blast', { blast_id: id, suppress_list: 'Turned' })).toEqual(refused(400, 99))
  })
})

it('a repeat makes no campaign without all of its lists, and says so', async () => {
  await house.must('template', { template: 'Digest', subject: 'Digest', content_html: '<p>News</p>' })
  const days = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']
  const rest = { template: 'Digest', send_time: '9:00 am', days, generate_time: 1 }
  const lists = { list: 'Weekly', suppress_list: 'Complaints' }
  const { repeat_id } = await house.must('blast_repeat', { name: 'Daily', ...lists, ...rest })
  await gone('Complaints')
  house.clock.advance(24 * HOUR)
  await house.settle()
  const { body } = await house.get('blast_repeat', { repeat_id })
  expect(body).toMatchObject({ status: 'active', errors: 'its suppress list does not exist any more' })
  expect((await house.get('blast', { status: 'scheduled' })).body.blasts).toEqual([])
  await house.del('blast_repeat', { repeat_id })
})

describe('a list that is deleted while a campaign is being sent', () => {
  const parts = () => ({ ...house.services, wakeDelivery: () => {} })
  const fill = (size: number) => fillChunk(house.services, null, house.clock.now(), size)
  const begun = async (params: object) => {
    id = await house.campaign(params)
    while (await campaignRound(parts()));
    await fill(2)
  }

  it.each([
    ['its suppress list', { suppress_list: 'Complaints' }, 'its suppress list does not exist any more'],
    [
      'one suppress list of two',
      { suppress_list: 'Complaints, Guests' },
      'one of its suppress lists does not exist any more',
    ],
    ['one of its lists', { list: ['Weekly', 'Complaints'] }, 'one of its lists does not exist any more'],
  ])('%s: it is paused, nobody else is written to, and resuming changes nothing', async (_, lists, problem) => {
    await begun(lists)
    const written = await house.rows(id)
    expect(written.length).toBeGreaterThan(0)
    await gone('Complaints')
    for (let attempt = 0; attempt < 2; attempt++) {
      while (await fill(2));
      expect(await house.blast(id)).toMatchObject({ status: 'sending', paused: true, problem })
      expect(await house.rows(id)).toEqual(written)
      await house.must('blast', { blast_id: id, paused: false })
    }
    await house.must('blast', { blast_id: id, status: 'sent' })
    await house.settle()
    expect(await house.blast(id)).toMatchObject({ status: 'sent', cancelled: true })
  })

  it('while it is paused: whoever was on it is written to at no time', async () => {
    await begun({ suppress_list: 'Complaints' })
    await house.must('blast', { blast_id: id, paused: true })
    await gone('Complaints')
    await house.must('blast', { blast_id: id, paused: false })
    await house.settle()
    const reached = await addresses()
    expect(reached).not.toContain('person1@example.com')
    expect(reached).not.toContain('person6@example.com')
  })

  it('while recipients are written at the same moment', async () => {
    for (let attempt = 0; attempt < 5; attempt++) {
      await house.join('Complaints', 'person1@example.com', 'person6@example.com')
      id = await house.campaign({ suppress_list: 'Complaints' })
      while (await campaignRound(parts()));
      const writing = (async () => {
        while (await fill(1));
      })()
      await Promise.all([writing, gone('Complaints')])
      const reached = await addresses()
      expect(reached).not.toContain('person1@example.com')
      expect(reached).not.toContain('person6@example.com')
      await house.must('blast', { blast_id: id, status: 'sent' })
    }
  })

  it('after all recipients were written: it goes on', async () => {
    id = await house.campaign({ suppress_list: 'Complaints' })
    await house.settle()
    await gone('Complaints')
    await house.settle()
    expect(await house.blast(id)).toMatchObject({ status: 'sending', email_count: expect.any(Number) })
    expect((await house.blast(id)).problem).toBeUndefined()
  })
})
