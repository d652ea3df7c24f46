import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { refused } from '../endpoints/support.ts'
import { type CampaignHouse, campaignHouse, people } from './support.ts'

let house: CampaignHouse
let id: number
beforeAll(async () => {
  house = await campaignHouse()
  await house.join('Weekly', ...people(5))
})
afterAll(() => house.close())

const states = async () => [...new Set((await house.rows(id)).map(({ state }) => state))]
const status = async () => {
  const { status: word, paused, cancelled } = await house.blast(id)
  return [word, ...(paused ? ['paused'] : []), ...(cancelled ? ['cancelled'] : [])].join(' ')
}

describe('a draft', () => {
  beforeEach(async () => {
    id = await house.campaign({ schedule_time: undefined })
  })

  it('waits for ever', async () => {
    await house.settle()
    expect(await status()).toBe('created')
    expect(await house.rows(id)).toEqual([])
  })

  it('becomes scheduled by a time, and a draft again by an empty one', async () => {
    await house.must('blast', { blast_id: id, schedule_time: '+1 hour' })
    expect(await status()).toBe('scheduled')
    await house.must('blast', { blast_id: id, schedule_time: '', status: 'draft' })
    expect(await status()).toBe('created')
    house.clock.advance(2 * 3_600_000)
    await house.settle()
    expect(await status()).toBe('created')
  })

  it('can be deleted, and neither paused nor cancelled', async () => {
    expect(await house.post('blast', { blast_id: id, paused: true })).toEqual(refused(403, 99))
    expect(await house.post('blast', { blast_id: id, status: 'sent' })).toEqual(refused(403, 99))
    expect(await house.del('blast', { blast_id: id })).toEqual({ status: 200, body: { ok: true, blast_id: id } })
    expect(await house.get('blast', { blast_id: id })).toEqual(refused(404, 13))
  })
})

describe('a scheduled campaign', () => {
  beforeEach(async () => {
    id = await house.campaign({ schedule_time: '+1 hour' })
  })

  it('begins at its time and not before, with the content of then', async () => {
    house.clock.advance(3_599_000)
    await house.settle()
    expect(await status()).toBe('scheduled')
    await house.must('blast', { blast_id: id, subject: 'Changed' })
    expect(await status()).toBe('scheduled')
    house.clock.advance(2_000)
    await house.settle()
    expect(await status()).toBe('sending')
    const [row] = await house.rows(id)
    const revision = await house.db
      .selectFrom('template_revision')
      .select('fields')
      .where('id', '=', row!.revision_id)
      .executeTakeFirstOrThrow()
    expect(revision.fields.subject).toBe('Changed')
  })

  it('can be cancelled before it begins', async () => {
    await house.must('blast', { blast_id: id, status: 'sent' })
    house.clock.advance(2 * 3_600_000)
    await house.settle()
    expect(await status()).toBe('sent cancelled')
    expect(await house.rows(id)).toEqual([])
  })

  it('goes back to being a draft, with the reason, when its list is gone', async () => {
    await house.join('Short-lived', 'person1@example.com')
    await house.must('blast', { blast_id: id, list: 'Short-lived' })
    await house.del('list', { list: 'Short-lived' })
    house.clock.advance(2 * 3_600_000)
    await house.settle()
    expect(await house.blast(id)).toMatchObject({ status: 'created', problem: 'its list does not exist any more' })
  })

  it('takes the content of its template when it begins, if asked to', async () => {
    await house.must('template', { template: 'Late', subject: 'Early', content_html: '<p>Early</p>' })
    await house.must('blast', { blast_id: id, eval_template: 'Late' })
    expect(await house.del('template', { template: 'Late' })).toEqual(refused(403, 99))
    await house.must('template', { template: 'Late', subject: 'At the last moment' })
    house.clock.advance(2 * 3_600_000)
    await house.settle()
    expect((await house.blast(id)).subject).toBe('At the last moment')
  })
})

describe('a campaign that is sending', () => {
  beforeEach(async () => {
    id = await house.campaign()
    await house.settle()
  })

  it('is complete when no message is unfinished', async () => {
    expect(await status()).toBe('sending')
    await house.deliver(id)
    await house.settle()
    expect(await status()).toBe('sent')
    expect(await house.blast(id)).toMatchObject({ sent_count: 5, stop_time: expect.any(String) })
  })

  it('can be paused and resumed, as often as one likes', async () => {
    for (const _ of [1, 2]) {
      await house.must('blast', { blast_id: id, paused: true })
      expect(await status()).toBe('sending paused')
      expect(await house.deliver(id)).toBe(0)
      await house.must('blast', { blast_id: id, paused: true })
      await house.must('blast', { blast_id: id, paused: false })
    }
    expect(await status()).toBe('sending')
    expect(await house.deliver(id)).toBe(5)
  })

  it.each(['sending', 'paused'])('can be cancelled while it is %s: what waits is taken back', async (while_) => {
    if (while_ === 'paused') await house.must('blast', { blast_id: id, paused: true })
    await house.must('blast', { blast_id: id, status: 'sent' })
    expect(await status()).toBe('sent cancelled')
    expect(await house.deliver(id)).toBe(0)
    await house.settle()
    expect(await states()).toEqual(['cancelled'])
    expect((await house.blast(id)).stop_time).not.toBeNull()
    expect(await house.post('blast', { blast_id: id, paused: false })).toEqual(refused(403, 99))
  })

  it('takes no other change, and cannot be deleted', async () => {
    for (const change of [{ subject: 'Too late' }, { schedule_time: '' }, { list: 'Weekly' }]) {
      expect(await house.post('blast', { blast_id: id, ...change })).toEqual(refused(403, 99))
    }
    expect(await house.del('blast', { blast_id: id })).toEqual(refused(403, 41))
  })
})

it('who opted out while it was being sent is left out at the hand-over, and counted so', async () => {
  id = await house.campaign()
  await house.settle()
  // As delivery writes it when it decides again.
  await house.db
    .updateTable('message')
    .set({ state: 'suppressed', due_at: null, reason: 'optout_all', settled_at: house.clock.now() })
    .where('campaign_id', '=', id)
    .where('address', '=', 'person1@example.com')
    .execute()
  await house.deliver(id)
  await house.settle()
  expect((await house.blast(id)).stats.total).toMatchObject({ count: 4, left_out: { optout_all: 1 } })
})
