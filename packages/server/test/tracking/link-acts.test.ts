import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { findProfile } from '../../src/profiles/read.ts'
import { type Mailed, openTracking, type TrackingHouse } from './support.ts'

let house: TrackingHouse
beforeAll(async () => {
  house = await openTracking()
  await house.services.lists.save({ name: 'Daily' }, { publicName: 'The Daily' })
  await house.services.lists.ensure(['Weekly'])
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.setting('link_list_mode', 'scored')
  await house.setting('site_domains', '')
})

const MINUTE = 60_000
let people = 0

/** Mails somebody new a link with these parameters. */
async function linkWith(parameters: string): Promise<Mailed> {
  people += 1
  const href = `https://shop.example/story?id=7&amp;${parameters}#part`
  return house.mail(`reader${people}@example.com`, { content_html: `<a href="${href}">1</a>` })
}

async function follow(mail: Mailed, init: RequestInit = {}) {
  const response = await house.visit(mail.link(0), init)
  await house.events(mail.messageId, 1)
  return { status: response.status, location: response.headers.get('location'), html: await response.text() }
}

const varsOf = async ({ profileId }: Mailed) => (await findProfile(house.db, { kind: 'id', value: profileId }))!.vars
const ON_ITS_WAY = { status: 302, location: 'https://shop.example/story?id=7#part' }

test('ten minutes after a person clicked they are on the list; nothing of it shows in the address', async () => {
  const mail = await linkWith(
    'sailthru_lists[Daily]=1&sailthru_vars[Color]=red&sailthru_vars[size]=42&sailthru_lists[Nowhere]=1',
  )
  expect(await follow(mail)).toMatchObject(ON_ITS_WAY)
  await house.later(9 * MINUTE)
  expect(await house.lists(mail.profileId)).toEqual([])
  await house.later(MINUTE)
  expect(await house.lists(mail.profileId)).toEqual(['Daily'])
  expect(await varsOf(mail)).toEqual({ Color: 'red', size: 42 })
  expect(await house.services.lists.find(['Nowhere'])).toEqual(new Map())
  const { rows } = await sql`
    select subject, via, evidence, event from consent_ledger where profile_id = ${mail.profileId}`.execute(house.db)
  expect(rows).toEqual([{ subject: expect.stringMatching(/^list:/), via: 'link', evidence: 0, event: 'joined' }])
})

test('a machine joins nothing, whether it shows at once or by what it does next', async () => {
  const shown = await linkWith('sailthru_lists[Daily]=1')
  expect(await follow(shown, { headers: { 'user-agent': 'curl/8.0' } })).toMatchObject(ON_ITS_WAY)
  people += 1
  const hasty = await house.mail(`reader${people}@example.com`, {
    content_html: ['a', 'b', 'c']
      .map((word) => `<a href="https://${word}.example/?sailthru_lists[Daily]=1">x</a>`)
      .join(''),
  })
  for (const number of [0, 1, 2]) await house.visit(hasty.link(number))
  await house.events(hasty.messageId, 3)
  await house.later(MINUTE)
  await house.later(20 * MINUTE)
  expect(await house.lists(shown.profileId)).toEqual([])
  expect(await house.lists(hasty.profileId)).toEqual([])
  expect((await sql`select from link_act`.execute(house.db)).rows).toEqual([])
})

test('who opted out is asked, and the answer changes lists and vars but never the opt-out', async () => {
  const mail = await linkWith('sailthru_lists[Daily]=1&sailthru_vars[Color]=red')
  await house.change(mail.profileId, { level: { to: 'basic', mode: 'set' } })
  const page = await follow(mail)
  expect(page).toMatchObject({ status: 200, location: null })
  expect(page.html).toContain('You will be on the list The Daily.')
  expect(page.html).toContain('Color: red')
  expect(page.html).toContain('You have opted out of email.')
  expect(page.html).toContain('href="https://shop.example/story?id=7#part"')
  expect(page.html).not.toContain('reader3@')
  await house.later(20 * MINUTE)
  expect(await house.lists(mail.profileId)).toEqual([])
  const pressed = await house.visit(mail.link(0), { method: 'POST', body: new URLSearchParams({ follow: '1' }) })
  expect([pressed.status, pressed.headers.get('location')]).toEqual([303, ON_ITS_WAY.location])
  expect(await house.lists(mail.profileId)).toEqual(['Daily'])
  expect(await house.level(mail.profileId)).toBe('basic')
  expect(await varsOf(mail)).toEqual({ Color: 'red' })
})

test('leaving a list always takes the button', async () => {
  const mail = await linkWith('sailthru_lists[Weekly]=0')
  const weekly = (await house.services.lists.find(['Weekly'])).get('Weekly')!
  await house.change(mail.profileId, { lists: new Map([[weekly, true]]) })
  expect((await follow(mail)).html).toContain('You will leave the list Weekly.')
  expect(await house.lists(mail.profileId)).toEqual(['Weekly'])
  await house.visit(mail.link(0), { method: 'POST' })
  expect(await house.lists(mail.profileId)).toEqual([])
})

test('the account may ask everybody, or nobody', async () => {
  await house.setting('link_list_mode', 'interstitial')
  const asked = await linkWith('sailthru_lists[Daily]=1')
  expect((await follow(asked)).status).toBe(200)
  await house.setting('link_list_mode', 'off')
  const ignored = await linkWith('sailthru_lists[Daily]=1')
  expect(await follow(ignored)).toMatchObject(ON_ITS_WAY)
  expect((await house.visit(asked.link(0), { method: 'POST' })).status).toBe(303)
  await house.setting('link_list_mode', 'scored')
  await house.later(20 * MINUTE)
  expect(await house.lists(asked.profileId)).toEqual([])
  expect(await house.lists(ignored.profileId)).toEqual([])
})

test("where the account's sites are named, links elsewhere change nothing", async () => {
  await house.setting('site_domains', 'example.org, shop.example')
  const ours = await linkWith('sailthru_lists[Daily]=1')
  await house.setting('site_domains', 'example.org, hop.example')
  const theirs = await linkWith('sailthru_lists[Daily]=1')
  expect(await follow(theirs)).toMatchObject(ON_ITS_WAY)
  await house.setting('site_domains', 'shop.example')
  await follow(ours)
  await house.later(20 * MINUTE)
  expect(await house.lists(ours.profileId)).toEqual(['Daily'])
  expect(await house.lists(theirs.profileId)).toEqual([])
})

test('what the person decided since is newer: an opt-out, a list that was left, an erasure', async () => {
  const daily = (await house.services.lists.find(['Daily'])).get('Daily')!
  const [out, left, erased] = [
    await linkWith('sailthru_lists[Daily]=1'),
    await linkWith('sailthru_lists[Daily]=1&sailthru_vars[Color]=red'),
    await linkWith('sailthru_lists[Daily]=1'),
  ]
  for (const mail of [out, left, erased]) expect(await follow(mail)).toMatchObject(ON_ITS_WAY)
  house.clock.advance(MINUTE)
  await house.change(out.profileId, { level: { to: 'all', mode: 'set' } })
  await house.change(left.profileId, { lists: new Map([[daily, true]]) })
  await house.change(left.profileId, { lists: new Map([[daily, false]]) }, 'hosted_page')
  await house.change(erased.profileId, { erase: true })
  await house.later(20 * MINUTE)
  expect(await house.lists(out.profileId)).toEqual([])
  expect(await house.lists(left.profileId)).toEqual([])
  expect(await varsOf(left)).toEqual({ Color: 'red' })
  expect((await sql`select from link_act`.execute(house.db)).rows).toEqual([])
})
