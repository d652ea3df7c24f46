import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CampaignHouse, CONTENT, campaignHouse, people } from '../campaigns/support.ts'
import { ok, refused } from './support.ts'

let house: CampaignHouse
beforeAll(async () => {
  house = await campaignHouse()
  await house.join('Weekly', ...people(2))
  await house.must('template', { template: 'Digest', subject: 'Digest', content_html: '<p>{1 + 1}</p>', is_basic: 1 })
})
afterAll(() => house.close())

const without = (...names: string[]) =>
  Object.fromEntries(Object.entries(CONTENT).filter(([name]) => !names.includes(name)))

describe('POST blast', () => {
  it('answers the campaign with all that it was made of', async () => {
    const made = await house.must('blast', {
      ...CONTENT,
      schedule_time: '2030-03-06 09:00:00',
      replyto: 'reply@example.com',
      report_email: 'report@example.com',
      seed_emails: ['seed@example.com'],
      labels: { spring: 1, old: 0 },
      vars: { greeting: 'Hello' },
      link_params: { utm_source: 'harbour' },
      is_link_tracking: 1,
      is_google_tracking: 1,
      setup: '{x = 1}',
    })
    expect(made).toMatchObject({
      blast_id: expect.any(Number),
      ...CONTENT,
      status: 'scheduled',
      labels: ['spring'],
      mode: 'email',
      schedule_time: 'Wed, 06 Mar 2030 09:00:00 +0000',
      start_time: null,
      stop_time: null,
      modify_time: 'Tue, 05 Mar 2030 12:00:20 +0000',
      email_count: 2,
      sent_count: 0,
      copy_template: null,
      suppress_list: '',
      replyto: 'reply@example.com',
      report_email: 'report@example.com',
      seed_emails: ['seed@example.com'],
      vars: { greeting: 'Hello' },
      link_params: { utm_source: 'harbour' },
      is_link_tracking: true,
      is_google_analytics: true,
      setup: '{x = 1}',
      stats: { total: { count: 0 } },
    })
    expect(await house.get('blast', { blast_id: made.blast_id })).toEqual(ok(made))
    // Ruby sends the id as text.
    expect(await house.get('blast', { blast_id: String(made.blast_id) })).toEqual(ok(made))
  })

  it('keeps how the moment is chosen, and what to do without knowing the person', async () => {
    const { blast_id, ...made } = await house.must('blast', {
      ...CONTENT,
      schedule_type: 'local_timezone',
      fallback_time: '9:30 pm',
    })
    expect(made).toMatchObject({ schedule_type: 'local_timezone', fallback_time: '21:30' })
    const changed = { blast_id, schedule_type: 'personalized', fallback_time: '2030-03-07 10:00' }
    expect(await house.must('blast', changed)).toMatchObject({
      schedule_type: 'personalized',
      fallback_time: 'Thu, 07 Mar 2030 10:00:00 +0000',
    })
    const plain = await house.must('blast', { blast_id, schedule_type: 'specific', fallback_time: '' })
    expect(plain).toMatchObject({ schedule_type: 'specific', fallback_time: null })
  })

  it('without a time makes a draft, with one in the past schedules for now', async () => {
    expect(await house.must('blast', CONTENT)).toMatchObject({ status: 'created', schedule_time: null })
    expect(await house.must('blast', { ...CONTENT, schedule_time: '2020-01-01' })).toMatchObject({
      status: 'scheduled',
      schedule_time: 'Tue, 05 Mar 2030 12:00:20 +0000',
    })
  })

  it.each(['name', 'list', 'from_name', 'from_email', 'subject', 'content_html', 'content_text'])(
    'needs %s when nothing is copied',
    async (name) => {
      expect(await house.post('blast', without(name))).toEqual(refused(400, 2, `Missing required parameter: ${name}`))
    },
  )

  it('needs none of them when content is copied, and takes what is given over what is copied', async () => {
    const copied = await house.must('blast', { copy_template: 'Digest', list: 'Weekly', subject: 'Mine' })
    expect(copied).toMatchObject({
      name: 'Digest',
      copy_template: 'Digest',
      subject: 'Mine',
      content_html: '<p>{1 + 1}</p>',
    })
    const again = await house.must('blast', { copy_blast: copied.blast_id, name: 'Again' })
    expect(again).toMatchObject({ name: 'Again', subject: 'Mine', list: 'Weekly' })
  })

  it('does not make a campaign transactional because its template is', async () => {
    await house.must('user', { id: 'person1@example.com', key: 'email', optout_email: 'basic' })
    const { blast_id } = await house.must('blast', { copy_template: 'Digest', list: 'Weekly', schedule_time: 'now' })
    await house.settle()
    expect((await house.rows(blast_id)).map(({ state, reason }) => [state, reason])).toEqual([
      ['suppressed', 'optout_marketing'],
      ['queued', null],
    ])
  })

  const REFUSED: Array<[string, object, number, number, unknown?]> = [
    ['an unknown list', { list: 'Nobody' }, 404, 15],
    ['an unknown suppress list', { suppress_list: 'Weekly,Nobody' }, 404, 15],
    ['an unknown template', { copy_template: 'Nothing' }, 404, 14],
    ['an unknown variant', { abtest: ['Nothing'] }, 404, 14],
    ['an unknown campaign to copy', { copy_blast: 99_999 }, 404, 13],
    ['an unknown campaign to change', { blast_id: 99_999 }, 404, 13],
    ['a number that no campaign can have', { blast_id: 2 ** 40 }, 404, 13],
    ['a time nobody understands', { schedule_time: 'whenever' }, 400, 18],
    [
      'status scheduled without a time',
      { status: 'scheduled' },
      400,
      2,
      'Missing required field: schedule_time for blast',
    ],
    ['Zephyr that does not compile', { subject: '{if}' }, 400, 99],
    ['a line break in a header', { subject: 'Two\nlines' }, 400, 99],
    ['a sender that is no address', { from_email: 'harbour' }, 400, 99],
    ['a seed that is no address', { seed_emails: ['seed'] }, 400, 11],
    ['a kind of schedule that is none', { schedule_type: 'lunar' }, 400, 99],
    ['a time of day that is none', { fallback_time: '25:00' }, 400, 99],
    ['a fallback nobody understands', { fallback_time: 'whenever' }, 400, 18],
    ['too many hours', { email_hour_range: 100 }, 400, 99],
    ['a share over 100', { test_percent: 101 }, 400, 99],
    ['a bad earlier campaign', { previous_blast_id: 'x' }, 400, 99, 'previous_blast_id must be a positive integer'],
    ['an unknown earlier campaign', { previous_blast_id: 99_999 }, 400, 99, 'No blast found with id: 99999'],
    ['a bad criterion', { previous_blast_id: 1, message_criteria: 'liked' }, 400, 99, 'invalid message criteria'],
  ]
  it.each(REFUSED)('refuses %s', async (_, params, status, code, message = expect.any(String)) => {
    expect(await house.post('blast', { ...CONTENT, ...params })).toEqual(refused(status, code, message))
  })

  it('refuses a sender that is not verified, and a smart list', async () => {
    await house.setting('verified_senders', 'example.org')
    expect(await house.post('blast', CONTENT)).toEqual(refused(400, 36))
    await house.setting('verified_senders', '')
    await house.must('list', { list: 'Clever', type: 'smart', query: { mode: 'and', criteria: ['engagement_min'] } })
    expect(await house.post('blast', { ...CONTENT, list: 'Clever' })).toEqual(refused(400, 99))
  })

  it('keeps a campaign as it was when a change is refused', async () => {
    const { blast_id } = await house.must('blast', CONTENT)
    expect(await house.post('blast', { blast_id, subject: '{if}', name: 'Other' })).toEqual(refused(400, 99))
    expect(await house.blast(blast_id)).toMatchObject({ name: 'Spring', subject: CONTENT.subject })
  })

  it('is understood in bracket style', async () => {
    const form = new URLSearchParams({ ...CONTENT, 'labels[a]': '1', 'vars[b]': 'c', schedule_time: '+1 day' })
    const { body } = await house.postForm('blast', form.toString())
    expect(body).toMatchObject({ status: 'scheduled', labels: ['a'], vars: { b: 'c' } })
  })
})

describe('GET blast', () => {
  it('counts every status and shows those of one, twenty of them unless told otherwise', async () => {
    for (let n = 0; n < 22; n++) await house.must('blast', { ...CONTENT, name: `Later ${n}`, schedule_time: '+3 days' })
    const { body } = await house.get('blast', { status: 'scheduled' })
    expect(body).toMatchObject({ status: 'scheduled', skip: 0, filtered_count: body.scheduled_count })
    expect(body.blasts).toHaveLength(20)
    expect(body.blast_count).toBe(body.unscheduled_count + body.scheduled_count + body.sending_count + body.sent_count)
    const rest = await house.get('blast', { status: 'scheduled', skip: 20, limit: 0 })
    expect(rest.body.blasts).toHaveLength(body.scheduled_count - 20)
    expect(rest.body.filtered_count).toBe(body.filtered_count)
    expect(Object.keys(body.blasts[0])).toEqual(
      expect.arrayContaining(['blast_id', 'name', 'labels', 'list', 'modify_user', 'email_count', 'stats']),
    )
    expect(body.blasts[0]).not.toHaveProperty('content_html')
  })

  it.each(['unscheduled', 'draft', 'created'])('knows drafts as %s', async (status) => {
    const { body } = await house.get('blast', { status })
    expect(body.status).toBe('created')
    expect(body.blasts.length).toBeGreaterThan(0)
  })

  it('shows oldest first, those that were sent newest first, and those of a list', async () => {
    await house.join('Small', 'person2@example.com')
    const ids: number[] = []
    for (const name of ['First', 'Second']) {
      const id = await house.campaign({ name, list: 'Small' })
      await house.settle()
      const sending = await house.get('blast', { status: 'sending', list: 'Small', vars: 1 })
      expect(sending.body.blasts).toMatchObject([{ blast_id: id, vars: {} }])
      await house.deliver(id)
      await house.settle()
      house.clock.advance(1_000)
      ids.push(id)
    }
    const { body } = await house.get('blast', { status: 'sent', list: 'Small' })
    expect(body.blasts.map(({ blast_id }: { blast_id: number }) => blast_id)).toEqual(ids.toReversed())
    const none = await house.get('blast', { status: 'sent', start_date: '2031-01-01' })
    expect(none.body).toMatchObject({ filtered_count: 0, blasts: [] })
  })

  it('needs a campaign or a status that exists', async () => {
    expect(await house.get('blast', {})).toEqual(refused(400, 2))
    expect(await house.get('blast', { status: 'lost' })).toEqual(refused(400, 99))
    expect(await house.get('blast', { status: 'sent', list: 'Nobody' })).toEqual(refused(404, 15))
    expect(await house.get('blast', { blast_id: 99_999 })).toEqual(refused(404, 13))
  })
})

describe('DELETE blast', () => {
  it('needs a campaign that exists', async () => {
    expect(await house.del('blast', {})).toEqual(refused(400, 2))
    expect(await house.del('blast', { blast_id: 99_999 })).toEqual(refused(404, 13))
  })
})

describe('blast_repeat', () => {
  const REPEAT = { name: 'Digest', list: 'Weekly', template: 'Digest', send_time: '9:30 pm', days: ['Mon', 'friday'] }

  it('answers what it was given', async () => {
    const made = await house.must('blast_repeat', {
      ...REPEAT,
      end_date: '2030-03-08',
      suppress_list: 'Small',
      seed_emails: 'seed@example.com',
      generate_time: 2,
    })
    expect(made).toMatchObject({
      repeat_id: expect.any(Number),
      name: 'Digest',
      list: 'Weekly',
      suppress_list: 'Small',
      template: 'Digest',
      send_time: '9:30 pm',
      days: ['Monday', 'Friday'],
      days_month: [],
      generate_time: 2,
      next_time: 'Fri, 08 Mar 2030 21:30:00 +0000',
      seed_emails: ['seed@example.com'],
      errors: null,
      error_time: null,
    })
    const changed = await house.must('blast_repeat', { repeat_id: made.repeat_id, days_month: [1, 15], end_date: '' })
    expect(changed).toMatchObject({ days: [], days_month: [1, 15], next_time: 'Fri, 15 Mar 2030 21:30:00 +0000' })
    expect((await house.get('blast_repeat', {})).body.repeats).toEqual([changed])
  })

  it.each([
    ['no time', { send_time: null }, 400, 2],
    ['no days', { days: [] }, 400, 2],
    ['no template', { template: '' }, 400, 2],
    ['an unknown template', { template: 'Nothing' }, 404, 14],
    ['an unknown list', { list: 'Nobody' }, 404, 15],
    ['a time of day that is none', { send_time: '25:00' }, 400, 99],
    ['a day that is none', { days: ['Someday'] }, 400, 99],
    ['a day of the month that is none', { days_month: [32] }, 400, 99],
    ['too long ahead', { generate_time: 1_000 }, 400, 99],
    ['an unknown repeat', { repeat_id: 99_999 }, 404, 99],
  ])('refuses %s', async (_, params, status, code) => {
    expect(await house.post('blast_repeat', { ...REPEAT, ...params })).toEqual(refused(status, code))
  })

  it('deletes only what exists', async () => {
    expect(await house.del('blast_repeat', { repeat_id: 99_999 })).toEqual(refused(404, 99))
  })
})

describe('stats', () => {
  it.each([
    ['no stat', {}, 400, 2],
    ['an unknown stat', { stat: 'weather' }, 400, 99],
    ['no campaign', { stat: 'blast' }, 400, 2],
    ['half a range', { stat: 'blast', start_date: 'yesterday' }, 400, 2],
    ['an unknown campaign', { stat: 'blast', blast_id: 99_999 }, 404, 13],
    ['an unknown list', { stat: 'blast', start_date: 'yesterday', end_date: 'tomorrow', list: 'Nobody' }, 404, 15],
  ])('refuses %s', async (_, params, status, code) => {
    expect(await house.get('stats', params)).toEqual(refused(status, code))
  })
})
