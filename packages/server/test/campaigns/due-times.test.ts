import { sql } from 'kysely'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type CampaignHouse, campaignHouse, people } from './support.ts'

const HOUR = 3_600_000

let house: CampaignHouse
beforeAll(async () => {
  house = await campaignHouse()
  await house.setting('timezone', 'America/New_York')
})
afterAll(() => house.close())

/** Somebody on the list, with vars. */
async function someone(name: string, vars: object, list: string): Promise<void> {
  await house.must('user', { id: `${name}@example.com`, key: 'email', vars, lists: { [list]: 1 } })
}

/** When everybody gets it, in UTC, by the name before the @. */
async function due(id: number): Promise<{ [name: string]: string }> {
  const rows = await house.rows(id)
  return Object.fromEntries(
    rows.map(({ address, due_at }) => [address.split('@')[0], due_at.toISOString().slice(0, 16)]),
  )
}

it('reaches everybody when their own clocks show the time, and begins early enough for that', async () => {
  await someone('kiritimati', { timezone: 'Pacific/Kiritimati' }, 'Everywhere')
  await someone('oslo', { time_zone: 'Europe/Oslo' }, 'Everywhere')
  await someone('offset', { timezone: -8 }, 'Everywhere')
  await someone('nowhere', { timezone: 'Mars/Olympus' }, 'Everywhere')
  await someone('silent', {}, 'Everywhere')
  const nine = { list: 'Everywhere', schedule_type: 'local_timezone', schedule_time: '2030-03-06 09:00' }
  const id = await house.campaign({ ...nine, seed_emails: ['seed@example.com'] })
  const other = await house.campaign({ ...nine, fallback_time: '8 pm' })

  house.clock.set(new Date('2030-03-05T18:59:00Z'))
  await house.settle()
  expect((await house.blast(id)).status).toBe('scheduled')
  house.clock.advance(60_000)
  await house.settle()
  expect((await house.blast(id)).status).toBe('sending')
  const known = {
    kiritimati: '2030-03-05T19:00',
    oslo: '2030-03-06T08:00',
    offset: '2030-03-06T17:00',
  }
  expect(await due(id)).toEqual({
    ...known,
    nowhere: '2030-03-06T14:00',
    silent: '2030-03-06T14:00',
    seed: '2030-03-06T14:00',
  })
  expect(await due(other)).toEqual({ ...known, nowhere: '2030-03-07T01:00', silent: '2030-03-07T01:00' })

  // Who waits for a time of their own is not late: three days count from that time.
  const { rows } = await sql<{ waits: boolean }>`
    select bool_and(scheduled_for is not distinct from case when due_at > ${house.clock.now()} then due_at end) as waits
    from message where campaign_id = ${id}`.execute(house.db)
  expect(rows).toEqual([{ waits: true }])
  expect(await house.deliver(id)).toBe(1)
  await house.settle()
  expect((await house.blast(id)).status).toBe('sending')
  house.clock.advance(23 * HOUR)
  expect(await house.deliver(id)).toBe(5)
  await house.settle()
  expect((await house.blast(id)).status).toBe('sent')
})

it('goes at once to those whose time has passed', async () => {
  house.clock.set(new Date('2030-03-07T12:00:00Z'))
  await someone('tokyo', { timezone: 'Asia/Tokyo' }, 'Two')
  await someone('lima', { timezone: 'America/Lima' }, 'Two')
  const id = await house.campaign({ list: 'Two', schedule_type: 'local_timezone', schedule_time: '2030-03-07 09:00' })
  await house.settle()
  expect(await due(id)).toEqual({ tokyo: '2030-03-07T12:00', lima: '2030-03-07T14:00' })
})

it('begins at its time again once it is for everybody at the same moment', async () => {
  const id = await house.campaign({ list: 'Two', schedule_type: 'local_timezone', schedule_time: '2030-03-10 09:00' })
  await house.must('blast', { blast_id: id, schedule_type: 'specific' })
  house.clock.set(new Date('2030-03-10T12:59:00Z'))
  await house.settle()
  expect((await house.blast(id)).status).toBe('scheduled')
  house.clock.advance(60_000)
  await house.settle()
  expect(await due(id)).toEqual({ tokyo: '2030-03-10T13:00', lima: '2030-03-10T13:00' })
})

it('reaches people at the hour at which they most often open and click; machines have no habits', async () => {
  house.clock.set(new Date('2030-03-12T12:00:00Z'))
  await house.join('Readers', ...people(3))
  await house.join('Readers', 'machine@example.com')
  const earlier = await house.campaign({ list: 'Readers' })
  await house.settle()
  await house.deliver(earlier)
  const did = (name: string, at: string, machine = false) =>
    sql`
      insert into message_event (shard, id, message_id, campaign_id, profile_id, type, machine, settled, at)
      select shard, nextval('message_event_number') * 64 + shard, id, campaign_id, profile_id, 'open', ${machine}, true,
        ${at}::timestamptz
      from message where campaign_id = ${earlier} and address = ${`${name}@example.com`}`.execute(house.db)
  // Eight in the evening on New York's clocks, before and after they went forward.
  await did('person1', '2030-03-09T01:10:00Z')
  await did('person1', '2030-03-12T00:40:00Z')
  await did('person1', '2030-03-12T15:00:00Z')
  // Once each: the more recent one counts.
  await did('person2', '2030-03-10T11:10:00Z')
  await did('person2', '2030-03-11T22:10:00Z')
  await did('machine', '2030-03-11T15:00:00Z', true)
  const personalized = { list: 'Readers', schedule_type: 'personalized', schedule_time: '2030-03-13 09:30' }
  const id = await house.campaign(personalized)
  const other = await house.campaign({ ...personalized, fallback_time: '07:00' })
  house.clock.set(new Date('2030-03-13T13:30:00Z'))
  await house.settle()
  expect(await due(id)).toEqual({
    person1: '2030-03-14T00:00',
    person2: '2030-03-13T22:00',
    person3: '2030-03-13T13:30',
    machine: '2030-03-13T13:30',
  })
  expect(await due(other)).toMatchObject({ person1: '2030-03-14T00:00', person3: '2030-03-14T11:00' })
})

it('goes by clocks that the database and we read alike: an offset is no zone of an account', async () => {
  await expect(house.setting('timezone', '+02:00')).rejects.toThrow('+02:00 is not an IANA time zone')
})

it('spreads from the moment of each person', async () => {
  const id = await house.campaign({
    list: 'Readers',
    schedule_type: 'local_timezone',
    schedule_time: '2030-03-14 09:00',
    email_hour_range: 2,
  })
  await house.settle()
  const moments = (await house.rows(id)).map(({ due_at }) => due_at.getTime() - Date.parse('2030-03-14T13:00:00Z'))
  expect(Math.min(...moments)).toBeGreaterThanOrEqual(0)
  expect(Math.max(...moments)).toBeLessThan(2 * HOUR)
  expect(new Set(moments).size).toBe(moments.length)
})
