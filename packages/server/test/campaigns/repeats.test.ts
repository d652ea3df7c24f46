import { afterAll, beforeAll, expect, it } from 'vitest'
import { campaignRound } from '../../src/campaigns/loop.ts'
import { type CampaignHouse, campaignHouse, people } from './support.ts'

const HOUR = 3_600_000

let house: CampaignHouse
beforeAll(async () => {
  house = await campaignHouse()
  await house.setting('timezone', 'America/New_York')
  await house.join('Weekly', ...people(3))
  await house.must('template', { template: 'Digest', subject: 'Digest 1', content_html: '<p>News</p>' })
})
afterAll(() => house.close())

const made = async () => {
  const { body } = await house.get('blast', { status: 'scheduled', limit: 0 })
  return body.blasts.map((blast: { [name: string]: string }) => [blast.name, blast.subject, blast.schedule_time])
}

it('makes one campaign for each occurrence, hours ahead, with the template of then', async () => {
  // Tuesday, 5 March 2030, 7:00 in New York.
  const repeat = await house.must('blast_repeat', {
    name: 'Daily digest',
    list: 'Weekly',
    template: 'Digest',
    send_time: '9:00 am',
    days: ['Tuesday', 'Wednesday', 'Saturday'],
    generate_time: 1,
    report_email: 'reports@example.com',
  })
  expect(repeat).toMatchObject({ repeat_id: 1, status: 'active', next_time: 'Tue, 05 Mar 2030 09:00:00 -0500' })
  await house.settle()
  expect(await made()).toEqual([])
  house.clock.advance(HOUR)
  // Workers that look at the same moment.
  const parts = { ...house.services, wakeDelivery: () => {} }
  await Promise.all([campaignRound(parts), campaignRound(parts), campaignRound(parts)])
  await house.settle()
  expect(await made()).toEqual([['Daily digest', 'Digest 1', 'Tue, 05 Mar 2030 09:00:00 -0500']])
  await house.must('template', { template: 'Digest', subject: 'Digest 2' })
  house.clock.advance(24 * HOUR)
  await house.settle()
  expect(await made()).toEqual([['Daily digest', 'Digest 2', 'Wed, 06 Mar 2030 09:00:00 -0500']])
  const { body } = await house.get('blast', { status: 'sending' })
  expect(body.blasts).toMatchObject([{ name: 'Daily digest', repeat_id: 1, email_count: 3 }])
})

it('holds its template, and says what went wrong when it cannot be used', async () => {
  expect((await house.del('template', { template: 'Digest' })).status).toBe(403)
  await house.must('template', { template: 'Digest', is_disabled: 1 })
  house.clock.set('2030-03-09T13:30:00Z')
  await house.settle()
  const { body } = await house.get('blast_repeat', { repeat_id: 1 })
  expect(body).toMatchObject({
    errors: 'its template Digest is disabled',
    error_time: 'Sat, 09 Mar 2030 08:30:00 -0500',
    next_time: 'Tue, 12 Mar 2030 09:00:00 -0400',
  })
  await house.must('template', { template: 'Digest', is_disabled: 0 })
})

it('rests while it is inactive, and leaves its campaigns when it is deleted', async () => {
  await house.must('blast_repeat', { repeat_id: 1, status: 'inactive' })
  house.clock.set('2030-03-12T12:30:00Z')
  await house.settle()
  expect(await made()).toEqual([])
  await house.must('blast_repeat', { repeat_id: 1, status: 'active' })
  await house.settle()
  expect(await made()).toHaveLength(1)
  expect(await house.del('blast_repeat', { repeat_id: 1 })).toEqual({ status: 200, body: { repeat_id: 1, ok: true } })
  expect(await made()).toHaveLength(1)
  expect((await house.get('blast_repeat', {})).body).toEqual({ repeats: [] })
  expect((await house.get('blast_repeat', { repeat_id: 1 })).status).toBe(404)
})
