import { sql } from 'kysely'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type CampaignHouse, campaignHouse, people } from './support.ts'

const DAY = 86_400_000

let house: CampaignHouse
let id: number
let elsewhere: number
beforeAll(async () => {
  house = await campaignHouse()
  await house.join('Weekly', ...people(6))
  id = await house.campaign()
  elsewhere = await house.campaign({ name: 'Elsewhere' })
  await house.settle()
  await house.deliver(id)
  await house.deliver(elsewhere)
  await house.settle()
})
afterAll(() => house.close())

/** Reports an order of nine euros. @param message whose message the shop names */
async function buy(email: string, more: object = {}, message?: { of: string; campaign: number }) {
  const named = message ? { message_id: await sendIdOf(message.of, message.campaign) } : {}
  const items = [{ id: 'cup', title: 'Cup', price: 900, qty: 1, url: 'https://harbour.example.com/cup' }]
  return house.must('purchase', { email, items, ...named, ...more })
}

async function sendIdOf(email: string, campaign: number): Promise<string> {
  const { rows } = await sql<{ id: number }>`
    select id from message where campaign_id = ${campaign} and address = ${email}`.execute(house.db)
  return house.services.sends.sendIdOf(rows[0]!.id)
}

async function clicked(email: string, campaign: number, machine = false) {
  await sql`
    insert into message_event (shard, id, message_id, campaign_id, profile_id, type, url, machine, at)
    select shard, nextval('message_event_number') * 64 + shard, id, campaign_id, profile_id, 'click',
      'https://harbour.example.com/', ${machine}, ${house.clock.now()}
    from message where campaign_id = ${campaign} and address = ${email}`.execute(house.db)
}

const stats = async (campaign: number, flags = {}) =>
  (await house.get('stats', { stat: 'blast', blast_id: campaign, ...flags })).body

it('are counted for the campaign whose message the shop names, or that the buyer clicked last', async () => {
  await buy('person1@example.com', {}, { of: 'person1@example.com', campaign: id })
  await buy('person1@example.com', { channel: 'offline' }, { of: 'person1@example.com', campaign: id })
  await clicked('person2@example.com', elsewhere)
  house.clock.advance(60_000)
  await clicked('person2@example.com', id)
  await buy('person2@example.com')
  await clicked('person2@example.com', elsewhere)
  expect(await stats(id, { purchase_times: 1 })).toMatchObject({
    purchase: 3,
    purchase_price: 2700,
    purchase_times: { '2030-03-05 12:00': 3 },
  })
  expect(await stats(elsewhere)).toMatchObject({ purchase: 0, purchase_price: 0 })
})

it('are not counted for a campaign that somebody else got, a machine clicked or nobody did', async () => {
  await buy('person3@example.com', {}, { of: 'person1@example.com', campaign: id })
  await buy('person3@example.com', { message_id: 'AAAAAAAAAAAAAAAA' })
  await clicked('person4@example.com', id, true)
  await buy('person4@example.com')
  await buy('person5@example.com')
  await clicked('person5@example.com', id)
  await buy('person5@example.com', { incomplete: 1 })
  await buy('person5@example.com', { date: '2030-03-01' })
  expect(await stats(id)).toMatchObject({ purchase: 3, purchase_price: 2700 })
})

it('stay with the campaign when people are merged', async () => {
  await house.must('user', { id: 'shop-1', key: 'extid', keys: { extid: 'shop-1' } })
  await house.must('user', {
    id: 'shop-1',
    key: 'extid',
    keys: { email: 'person1@example.com' },
    keysconflict: 'merge',
  })
  expect(await stats(id)).toMatchObject({ purchase: 3, purchase_price: 2700 })
})

it('make those of an earlier campaign who bought, or did not, the audience of a later one', async () => {
  await buy('person6@example.com', {}, { of: 'person6@example.com', campaign: elsewhere })
  const queued = async (later: number) =>
    (await house.rows(later)).filter(({ state }) => state === 'queued').map(({ address }) => address.split('@')[0])
  const retarget = { previous_blast_id: elsewhere }
  const buyers = await house.campaign({ ...retarget, message_criteria: 'purchased' })
  const others = await house.campaign({ ...retarget, message_criteria: 'not_purchased' })
  await house.settle()
  expect(await queued(buyers)).toEqual(['person6'])
  expect(await queued(others)).toEqual(expect.arrayContaining(['person2', 'person3', 'person4', 'person5']))
  expect(await queued(others)).not.toContain('person6')
})

it('can be asked for by repeats too', async () => {
  await house.must('template', { template: 'Digest', subject: 'Digest', content_html: '<p>Digest</p>' })
  const repeat = { name: 'Digest', list: 'Weekly', template: 'Digest', send_time: '9:00 am', days: ['Friday'] }
  const retarget = { previous_blast_id: elsewhere, message_criteria: 'purchased' }
  expect(await house.must('blast_repeat', { ...repeat, ...retarget })).toMatchObject(retarget)
  house.clock.set(new Date('2030-03-08T09:00:00Z'))
  await house.settle()
  const { body } = await house.get('blast', { status: 'sending' })
  const made = body.blasts.find(({ name }: { name: string }) => name === 'Digest')
  expect((await house.rows(made.blast_id)).map(({ address }) => address)).toEqual(['person6@example.com'])
})

it('come too late for a click of more than thirty days ago', async () => {
  await clicked('person6@example.com', id)
  house.clock.advance(31 * DAY)
  await buy('person6@example.com')
  expect(await stats(id)).toMatchObject({ purchase: 3 })
})
