import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { listAudit } from '../../src/account/audit.ts'
import { type House, key, ok, openHouse, refused } from './support.ts'

let house: House
beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

const FIELDS =
  'template_id name labels public_name sample from_name from_email replyto_email subject content_html content_text content_sms success_url error_url verify_post_url is_basic is_link_tracking is_google_analytics is_invite is_disabled is_unviewable is_optin list teams type mode test_vars link_domain link_params ad_plan revision_ids revision_id setup data_feed_url content_app app_badge app_sound app_data'.split(
    ' ',
  )

describe('POST template', () => {
  test('creates one, and answers every field', async () => {
    const { status, body } = await house.post('template', {
      template: 'Welcome',
      subject: 'Hello\r\n',
      content_html: '<p>Hi {name}</p>',
      is_basic: '1',
      labels: { a: 1, b: 1 },
      link_params: { utm: 'x' },
    })
    expect(status).toBe(200)
    expect(Object.keys(body).sort()).toEqual([...FIELDS].sort())
    expect(body).toMatchObject({
      template_id: expect.any(Number),
      name: 'Welcome',
      subject: 'Hello',
      is_basic: true,
      is_link_tracking: false,
      labels: ['a', 'b'],
      link_params: { utm: 'x' },
    })
  })

  test('changes only what is given, and every save makes a revision', async () => {
    const { body } = await house.post('template', { template: 'Welcome', subject: 'Second', labels: { a: 0 } })
    expect(body).toMatchObject({ subject: 'Second', content_html: '<p>Hi {name}</p>', is_basic: true, labels: ['b'] })
    expect(body.revision_ids).toHaveLength(2)
    expect(body.revision_ids[0]).toBe(body.revision_id)
    const first = body.revision_ids[1]
    expect((await house.get('template', { revision: first })).body.subject).toBe('Hello')
    const restored = await house.post('template', { template: 'Welcome', revision: first })
    expect(restored.body).toMatchObject({ subject: 'Hello', labels: ['a', 'b'] })
    expect(restored.body.revision_ids).toHaveLength(3)
  })

  test('says what is probably not meant', async () => {
    const { body } = await house.post('template', {
      template: 'Welcome',
      content_html: "<p>{if profile.optout == 'all'}out{/if}\n{signup_confirm(lits)}",
    })
    expect(body.warnings).toMatchObject([
      { code: 'signup-may-be-missing', field: 'content_html', line: 2, column: 17 },
      { code: 'optout-all-only', field: 'content_html', line: 1 },
    ])
    const cured = await house.post('template', { template: 'Welcome', content_html: '<p>Hi {name}</p>' })
    expect(cured.body).not.toHaveProperty('warnings')
  })

  test('who made it transactional is written down', async () => {
    expect(await listAudit(house.db, 1)).toMatchObject([
      { via: 'api', actor: key, action: 'template_kind', subject: 'Welcome', from: 'ordinary', to: 'transactional' },
    ])
  })

  test.each([
    ['no name', {}, 2],
    ['an interior line break in the subject', { template: 'Bad', subject: 'a\r\nBcc: x@example.com' }, 99],
    ['a flag that is none', { template: 'Bad', is_basic: 'perhaps' }, 99],
    ['code that does not compile', { template: 'Bad', content_html: '{if name}' }, 99],
    ['a sender that is no address', { template: 'Bad', from_email: 'nobody' }, 99],
    ['a text of more than two million characters', { template: 'Bad', content_html: 'x'.repeat(2_000_001) }, 99],
    ['a revision that does not exist', { template: 'Bad', revision: 99999 }, 99],
  ])('%s: nothing is written', async (_, params, code) => {
    expect((await house.post('template', params)).body.error).toBe(code)
    expect(await house.get('template', { template: 'Bad' })).toEqual(refused(404, 14, 'Unknown template: Bad'))
    expect((await house.get('template', {})).body.templates.map(({ name }: { name: string }) => name)).toEqual([
      'Welcome',
    ])
  })
})

describe('GET template', () => {
  test('all, upper case before lower case', async () => {
    await house.post('template', { template: 'apple' })
    await house.post('template', { template: 'Zebra' })
    const { body } = await house.get('template', {})
    expect(body.templates.map(({ name }: { name: string }) => name)).toEqual(['Welcome', 'Zebra', 'apple'])
    expect(body.templates[0]).toMatchObject({ subject: 'Hello', is_disabled: false, tags: ['a', 'b'], is_basic: true })
  })

  test('a sample: content of its own, kept apart from the template', async () => {
    const saved = await house.post('template', { template: 'apple', sample: 'B', subject: 'Better' })
    expect(saved.body).toMatchObject({ name: 'apple', sample: 'B', subject: 'Better' })
    expect(Object.keys(saved.body).sort()).toEqual([...FIELDS].sort())
    expect((await house.get('template', { template: 'apple' })).body).toMatchObject({ sample: null, subject: '' })
    expect((await house.get('template', { template: 'apple', sample: 'B' })).body).toEqual(saved.body)
    expect(await house.get('template', { template: 'apple', sample: 'C' })).toEqual(
      refused(404, 99, 'Unknown sample: C'),
    )
  })

  test('a revision of another template is refused', async () => {
    const { revision_id } = (await house.get('template', { template: 'Zebra' })).body
    expect(await house.get('template', { template: 'Welcome', revision: revision_id })).toEqual(refused(404, 99))
    expect((await house.get('template', { revision: 2 ** 40 })).status).toBe(404)
  })
})

describe('DELETE template', () => {
  test('frees the name', async () => {
    expect(await house.del('template', { template: 'Zebra' })).toEqual(ok({ template: 'Zebra', ok: true }))
    expect(await house.del('template', { template: 'Zebra' })).toEqual(refused(404, 14))
    expect((await house.post('template', { template: 'Zebra' })).body.revision_ids).toHaveLength(1)
  })

  test('is refused while a scheduled message needs it', async () => {
    const { send_id } = (
      await house.post('send', { template: 'Zebra', email: 'ada@example.com', schedule_time: '+1 day' })
    ).body
    expect(await house.del('template', { template: 'Zebra' })).toEqual(refused(403, 99, 'Template is in use: Zebra'))
    await house.del('send', { send_id })
    expect((await house.del('template', { template: 'Zebra' })).status).toBe(200)
  })
})
