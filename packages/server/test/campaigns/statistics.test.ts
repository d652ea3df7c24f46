import { sql } from 'kysely'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type CampaignHouse, campaignHouse, people } from './support.ts'

const HOUR = 3_600_000

let house: CampaignHouse
let id: number

/** That somebody, or a machine, opened the campaign or followed a link of it. */
async function did(email: string, type: 'open' | 'click', url: string | null = null, machine = false, link = 0) {
  await sql`
    insert into message_event (shard, id, message_id, campaign_id, profile_id, type, url, link, machine, at)
    select shard, nextval('message_event_number') * 64 + shard, id, campaign_id, profile_id, ${type}, ${url},
      ${url === null ? null : link}, ${machine}, ${house.clock.now()}
    from message where campaign_id = ${id} and address = ${email}`.execute(house.db)
}

const stats = async (params: object = { blast_id: id }) => (await house.get('stats', { stat: 'blast', ...params })).body

beforeAll(async () => {
  house = await campaignHouse()
  await house.setting('timezone', 'America/New_York')
  await house.join('Weekly', ...people(4), 'person5@example.org', 'gone@example.org')
  id = await house.campaign()
  await house.settle()
  await sql`
    update message set state = 'failed', due_at = null, reason = 'hardbounce', reply = '550 5.1.1 no such user', settled_at = now()
    where address = 'gone@example.org'`.execute(house.db)
  await house.deliver(id)
  await house.settle()
  await did('person1@example.com', 'open')
  await did('person2@example.com', 'open', null, true)
  house.clock.advance(HOUR)
  await did('person1@example.com', 'open')
  await did('person1@example.com', 'click', 'https://harbour.example.com/a')
  await did('person1@example.com', 'click', 'https://harbour.example.com/b', false, 1)
  await did('person3@example.com', 'click', 'https://harbour.example.com/a')
  await did('person4@example.com', 'click', 'https://harbour.example.com/a', true)
})
afterAll(() => house.close())

it('counts people and acts; machines are no people', async () => {
  expect(await stats()).toMatchObject({
    count: 5,
    open_total: 3,
    beacon: 2,
    confirmed_opens: 1,
    estopens: 2,
    click_total: 3,
    click: 2,
    click_multiple_urls: 1,
    hardbounce: 1,
    softbounce: 0,
    optout: 0,
    spam: 0,
    bounces: { '5.1.1': 1 },
  })
})

it('counts by link, domain, hour of the account and subject, when asked', async () => {
  const flags = { urls: 1, clickmap: 1, domain: 1, beacon_times: 1, click_times: 1, sent_times: 1, subject: 1 }
  expect(await stats({ blast_id: id, ...flags })).toMatchObject({
    urls: {
      'https://harbour.example.com/a': { count: 2, unique: 2 },
      'https://harbour.example.com/b': { count: 1, unique: 1 },
    },
    clickmap: [
      { url: 'https://harbour.example.com/a', link: 0, total: 2, unique: 2 },
      { url: 'https://harbour.example.com/b', link: 1, total: 1, unique: 1 },
    ],
    domain: {
      'example.com': { count: 4, hardbounce: 0, softbounce: 0, open: 1, click: 2 },
      'example.org': { count: 1, hardbounce: 1, softbounce: 0, open: 0, click: 0 },
    },
    sent_times: { '2030-03-05 07:00': 5 },
    beacon_times: { '2030-03-05 07:00': 1, '2030-03-05 08:00': 1 },
    click_times: { '2030-03-05 08:00': 3 },
    subject: { 'Spring at the harbour': { count: 5 } },
  })
})

it('counts who left through it, and who called it spam', async () => {
  const { rows } = await sql<{ id: number; profile_id: number; address: string }>`
    select id, profile_id, address from message where campaign_id = ${id} order by address`.execute(house.db)
  const of = (address: string) => rows.find((row) => row.address === address)!
  const leave = (address: string, change: object) =>
    house.services.profiles.change({
      person: { kind: 'id', value: of(address).profile_id },
      create: false,
      act: { via: 'one_click', evidence: 2, messageId: of(address).id },
      ...change,
    })
  await leave('person4@example.com', { level: { to: 'basic', mode: 'tighten' } })
  await leave('person2@example.com', { complaint: true })
  expect(await stats()).toMatchObject({ optout: 1, spam: 1 })
})

it('counts the campaigns of a time together', async () => {
  const day = { start_date: '2030-03-05 00:00', end_date: '2030-03-06 00:00' }
  expect(await stats({ ...day, list: 'Weekly' })).toMatchObject({ count: 5, click: 2 })
  expect(await stats({ start_date: '2031-01-01', end_date: '2031-02-01' })).toMatchObject({ count: 0, click: 0 })
})

it.each([
  ['opened', ['person1@example.com']],
  ['clicked', ['person1@example.com', 'person3@example.com']],
  ['not_opened', ['person3@example.com', 'person5@example.org']],
  ['not_clicked', ['person5@example.org']],
])('a later campaign goes to those who %s only', async (message_criteria, expected) => {
  const later = await house.campaign({ previous_blast_id: id, message_criteria })
  await house.settle()
  const queued = (await house.rows(later)).filter(({ state }) => state === 'queued')
  expect(queued.map(({ address }) => address)).toEqual(expected)
})
