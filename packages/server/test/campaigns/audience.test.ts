import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { forecast, listLeftOut } from '../../src/campaigns/left-out.ts'
import { readCampaign } from '../../src/campaigns/read.ts'
import { type CampaignHouse, campaignHouse, people } from './support.ts'

let house: CampaignHouse
beforeAll(async () => {
  house = await campaignHouse()
  await house.join('Weekly', ...people(4), 'optout@example.com', 'basic@example.com', 'blast@example.com')
  await house.join('Weekly', 'bounced@example.com', 'blocked@example.com', 'never@example.net', 'partner@example.com')
  await house.join('Partners', 'partner@example.com', 'elsewhere@example.com')
  for (const level of ['all', 'basic', 'blast']) {
    const email = level === 'all' ? 'optout@example.com' : `${level}@example.com`
    await house.must('user', { id: email, key: 'email', optout_email: level })
  }
  await house.bounce('bounced@example.com')
  await house.block('blocked@example.com', 'blacklist')
  await house.block('@example.net', 'never')
  await house.must('user', { id: 'sms', key: 'extid', keys: { extid: 'sms' }, lists: { Weekly: 1 } })
})
afterAll(() => house.close())

const REASONS = {
  'optout@example.com': 'optout_all',
  'basic@example.com': 'optout_marketing',
  'blast@example.com': 'optout_blast',
  'bounced@example.com': 'hardbounce',
  'blocked@example.com': 'blacklisted',
  'never@example.net': 'never_mail',
  'partner@example.com': 'suppress_list',
  '': 'no_address',
}

describe('who gets a campaign', () => {
  let id: number
  beforeAll(async () => {
    id = await house.campaign({ suppress_list: 'Partners' })
  })

  it('can be told before it begins, by the same decision', async () => {
    const campaign = (await readCampaign(house.db, id))!
    const { recipients, leftOut, people: named } = await forecast(house.db, campaign, 100, house.clock.now())
    expect(recipients).toBe(4)
    expect(leftOut).toEqual(Object.fromEntries(Object.values(REASONS).map((reason) => [reason, 1])))
    expect(Object.fromEntries(named.map(({ address, reason }) => [address, reason]))).toEqual(REASONS)
  })

  it('is everybody on its list whom the decision allows; all others have a row that says why not', async () => {
    await house.settle()
    const rows = await house.rows(id)
    expect(rows.filter(({ state }) => state === 'queued').map(({ address }) => address)).toEqual(people(4))
    const others = rows.filter(({ state }) => state !== 'queued')
    expect(others.every(({ state }) => state === 'suppressed')).toBe(true)
    expect(Object.fromEntries(others.map(({ address, reason }) => [address, reason]))).toEqual(REASONS)
  })

  it('is shown with the reasons', async () => {
    const { email_count, stats } = await house.blast(id)
    expect(email_count).toBe(4)
    expect(stats.total).toMatchObject({
      audience: 12,
      count: 0,
      waiting: 4,
      left_out: { hardbounce: 1, suppress_list: 1 },
    })
    expect(await listLeftOut(house.db, id, 'hardbounce', 10)).toEqual([
      { profileId: expect.any(Number), address: 'bounced@example.com', reason: 'hardbounce' },
    ])
  })
})

it('leaves a template opt-out out of account: a campaign is not its template', async () => {
  await house.must('template', { template: 'Digest', subject: 'Digest', content_html: '<p>Digest</p>' })
  await house.must('user', { id: 'person1@example.com', key: 'email', optout_templates: { Digest: 0 } })
  expect(await house.post('send', { template: 'Digest', email: 'person1@example.com' })).toMatchObject({
    body: { error: 33 },
  })
  const id = await house.campaign({ copy_template: 'Digest' })
  await house.settle()
  expect((await house.rows(id)).find(({ address }) => address === 'person1@example.com')?.state).toBe('queued')
})

it('writes to somebody on several of its lists once', async () => {
  await house.join('Monthly', 'person1@example.com', 'person2@example.com', 'monthly@example.com')
  const id = await house.campaign({ list: ['Weekly', 'Monthly'] })
  await house.settle()
  const queued = (await house.rows(id)).filter(({ state }) => state === 'queued').map(({ address }) => address)
  expect(queued).toEqual(['monthly@example.com', 'partner@example.com', ...people(4)].sort())
})

it('writes to seeds too, whether they are on the list or not, once', async () => {
  const id = await house.campaign({ seed_emails: ['seed@example.com', 'Person1@example.com', 'optout@example.com'] })
  await house.settle()
  const rows = await house.rows(id)
  expect(rows.filter(({ address }) => /seed|person1@/i.test(address)).map(({ state }) => state)).toEqual([
    'queued',
    'queued',
  ])
  expect(rows.find(({ address }) => address === 'optout@example.com')?.reason).toBe('optout_all')
})

it('spreads over hours when asked to', async () => {
  const id = await house.campaign({ email_hour_range: 4 })
  await house.settle()
  const now = house.clock.now().getTime()
  const waits = (await house.rows(id))
    .filter(({ state }) => state === 'queued')
    .map((row) => row.due_at.getTime() - now)
  expect(Math.max(...waits)).toBeLessThan(4 * 3_600_000)
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(0)
  expect(new Set(waits).size).toBe(waits.length)
})

describe('variants', () => {
  it('share the audience evenly, and everybody keeps theirs', async () => {
    const list = people(300, 'variants.example.com')
    await house.join('Large', ...list)
    await house.must('template', { template: 'Base', subject: 'A', content_html: '<p>A</p>' })
    await house.must('template', { template: 'Base', sample: 'Short', subject: 'B' })
    await house.must('template', { template: 'Other', subject: 'C', content_html: '<p>C</p>' })
    const id = await house.campaign({ list: 'Large', copy_template: 'Base', subject: 'A', abtest: ['Short', 'Other'] })
    await house.settle()
    const shares = new Map<number, number>()
    for (const { revision_id } of await house.rows(id)) shares.set(revision_id, (shares.get(revision_id) ?? 0) + 1)
    expect([...shares.values()]).toHaveLength(3)
    for (const share of shares.values()) expect(share).toBeGreaterThan(60)
    await house.deliver(id)
    const { abtest } = await house.blast(id)
    expect(
      abtest.map(({ variant, template, subject }: { [name: string]: string }) => [variant, template, subject]),
    ).toEqual([
      ['A', 'Base', undefined],
      ['B', 'Short', 'B'],
      ['C', 'Other', 'C'],
    ])
    expect(abtest.map(({ sent_count }: { sent_count: number }) => sent_count).sort()).toEqual(
      [...shares.values()].sort(),
    )
  })

  it('are tried on a part of the audience', async () => {
    const id = await house.campaign({ list: 'Large', copy_template: 'Base', abtest: ['Other'], test_percent: 20 })
    await house.settle()
    const rows = await house.rows(id)
    const own = Math.min(...rows.map(({ revision_id }) => revision_id))
    const others = rows.filter(({ revision_id }) => revision_id !== own)
    expect(others.length).toBeGreaterThan(10)
    expect(others.length).toBeLessThan(60)
  })
})
