import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findProfile } from '../../src/profiles/read.ts'
import type { Reader } from '../pages/support.ts'
import { type ConsentHouse, openConsent } from './house.ts'

/* An address remembers what its owners refused, and links of old mail refuse for ever. */

let house: ConsentHouse
beforeAll(async () => {
  house = await openConsent()
  await house.services.lists.save({ name: 'Daily' }, { isPrimary: true })
  await house.liftByJoining('Daily')
})
afterAll(() => house.close())

const find = (email: string) => findProfile(house.db, { kind: 'email', value: email })
const levelOf = async (email: string) => (await find(email))?.level ?? null
const user = (params: object) => house.api('POST', 'user', params)
const erase = (email: string) => house.api('DELETE', 'user', { id: email })
const rename = (from: string, to: string) => house.api('POST', 'email', { email: to, change_email: from })
const merge = (kept: string, email: string) => user({ id: kept, keys: { email }, keysconflict: 'merge' })
const oneClick = (reader: Reader) => house.post(reader.u, { 'List-Unsubscribe': 'One-Click' })

/** Everything that one person can refuse. */
const REFUSED = {
  optout_email: 'all',
  lists: { Daily: 0 },
  optout_templates: { Welcome: 0 },
  pixel_tracking_consent: 'opt-out',
  optout_sms_status: 'opt-out',
}

async function expectRefused(email: string): Promise<void> {
  const person = (await find(email))!
  expect(person).toMatchObject({ level: 'all', pixelConsent: 'opt-out', sms: { marketing: 'opt-out' } })
  expect(person.templateOptouts.size).toBe(1)
  await house.api('POST', 'list', { list: 'Daily', emails: email })
  expect(await house.lists(person.id)).toEqual([])
}

async function refuser(name: string): Promise<Reader> {
  const reader = await house.reader(name)
  await user({ id: reader.email, lists: { Daily: 1 } })
  await user({ id: reader.email, ...REFUSED })
  return reader
}

describe('what was refused stays with an address that leaves its person', () => {
  test('by a change through the API, and comes back with a new person', async () => {
    const ada = await refuser('a-api')
    await rename(ada.email, 'a-api-new@example.com')
    await user({ id: ada.email, vars: { a: 1 } })
    await expectRefused(ada.email)
    await expectRefused('a-api-new@example.com')
  })

  test('by a change through the page', async () => {
    const ada = await house.reader('a-page')
    await user({ id: ada.email, optout_email: 'basic' })
    const form = await house.get(ada.oc)
    await house.post(ada.oc, { _fl: form.fields()._fl!, new_email: 'a-page-new@example.com' })
    await (await house.get(await house.linkIn('Confirm Address', 'address_url'))).submit()
    expect(await find('a-page-new@example.com')).toMatchObject({ id: ada.id, level: 'basic' })
    await user({ id: ada.email, vars: {} })
    expect(await levelOf(ada.email)).toBe('basic')
  })

  test('by a merge, and comes back as a key of a known person', async () => {
    const kept = await house.reader('a-kept')
    const ada = await refuser('a-lost')
    await user({ id: ada.email, keys: { extid: 'lost-1' } })
    await user({ id: kept.email, keys: { extid: 'lost-1' }, keysconflict: 'merge' })
    expect(await find(ada.email)).toBeNull()
    await user({ id: 'a-heir@example.com', keys: { extid: 'heir-1' } })
    await user({ id: 'heir-1', key: 'extid', keys: { email: ada.email } })
    await expectRefused(ada.email)
  })

  test.each(['keys', 'merge', 'change_email', 'new'] as const)('by an erasure, and comes back by %s', async (way) => {
    const ada = await refuser(`a-erased-${way.replace('_', '-')}`)
    await erase(ada.email)
    const heir = `a-heir-${way.replace('_', '-')}@example.com`
    await user({ id: heir, keys: { extid: `e-${way}` }, lists: { Daily: 1 } })
    if (way === 'keys') await user({ id: `e-${way}`, key: 'extid', keys: { email: ada.email } })
    if (way === 'merge') await user({ id: ada.email, keys: { extid: `e-${way}` }, keysconflict: 'merge' })
    if (way === 'change_email') await rename(heir, ada.email)
    if (way === 'new') await user({ id: ada.email, vars: {} })
    await expectRefused(ada.email)
  })

  test('and is lifted by the four routes like anything else', async () => {
    const ways: Array<(email: string, reader: Reader) => Promise<unknown>> = [
      async (_, reader) => (await house.get(reader.oc)).submit({ optin: '1' }),
      (email) => user({ id: email, optout_email: 'none' }),
      async (_, reader) => house.post(await house.confirmPath(reader, null), { confirm: '1' }),
      async (email) => {
        await user({ id: email, lists: { Weekly: 1 } })
        await house.react()
      },
    ]
    await house.services.lists.save({ name: 'Weekly' }, {})
    await house.liftByJoining('Weekly')
    for (const [index, way] of ways.entries()) {
      const name = `a-back-${index}`
      await house.reader(name)
      await user({ id: `${name}@example.com`, optout_email: 'all' })
      await erase(`${name}@example.com`)
      const again = (await find(`${name}@example.com`)) ?? (await user({ id: `${name}@example.com`, vars: {} }))
      expect(again).toBeTruthy()
      expect(await levelOf(`${name}@example.com`), name).toBe('all')
      const { id } = (await find(`${name}@example.com`))!
      const sent = await house.api('POST', 'send', { template: 'Opt-in Confirm', email: `${name}@example.com` })
      const messageId = house.services.sends.messageIdOf(String(sent.send_id))!
      const link = { messageId, profileId: id }
      const oc = house.services.links.optoutPage(link)
      const email = `${name}@example.com`
      await way(email, { id, email, messageId, oc: oc.slice(oc.indexOf('/oc/')), u: '' })
      expect(await levelOf(email), name).toBe('none')
    }
  })
})

describe('a refusal by an old link', () => {
  const doors = {
    'one click': async (reader: Reader) => expect((await oneClick(reader)).text).toContain('You are unsubscribed.'),
    page: async (reader: Reader) => {
      const page = await house.get(reader.oc)
      const fields = page.html.includes('name="_fl"') ? page.fields() : {}
      await house.post(reader.oc, { ...fields, optout_basic: '1' })
    },
    'the spool': async (reader: Reader) => {
      const link = { profileId: reader.id, messageId: reader.messageId }
      const act = { via: 'one_click', evidence: 2 } as const
      await house.services.refusals.refuse(link, { act, level: { to: 'basic', mode: 'tighten' } })
    },
  }
  const cases = Object.keys(doors) as Array<keyof typeof doors>

  test.each(cases)('acts on the survivor of a merge: %s', async (door) => {
    const name = `o-merged-${cases.indexOf(door)}`
    const ada = await house.reader(name)
    const kept = await house.reader(`${name}-kept`)
    await merge(kept.email, ada.email)
    await doors[door](ada)
    expect(await house.level(kept.id)).toBe('basic')
  })

  test.each(cases)('acts on a person who moved, and stays with the address: %s', async (door) => {
    const name = `o-moved-${cases.indexOf(door)}`
    const ada = await house.reader(name)
    await rename(ada.email, `${name}-new@example.com`)
    await doors[door](ada)
    expect(await levelOf(`${name}-new@example.com`)).toBe('basic')
    await user({ id: ada.email, vars: {} })
    expect(await levelOf(ada.email)).toBe('basic')
  })

  test.each(cases)('acts on whoever has the address now: %s', async (door) => {
    const name = `o-taken-${cases.indexOf(door)}`
    const ada = await house.reader(name)
    await rename(ada.email, `${name}-new@example.com`)
    await user({ id: ada.email, vars: {} })
    await doors[door](ada)
    expect(await levelOf(ada.email)).toBe('basic')
    expect(await levelOf(`${name}-new@example.com`)).toBe('basic')
  })

  test.each(cases)('is kept with the address of somebody who was erased: %s', async (door) => {
    const ada = await house.reader(`o-erased-${cases.indexOf(door)}`)
    await erase(ada.email)
    await doors[door](ada)
    await user({ id: ada.email, vars: {} })
    expect(await levelOf(ada.email)).toBe('basic')
  })

  test.each(cases)('acts on somebody who was erased and came back: %s', async (door) => {
    const ada = await house.reader(`o-again-${cases.indexOf(door)}`)
    await erase(ada.email)
    await user({ id: ada.email, vars: {} })
    await doors[door](ada)
    expect(await levelOf(ada.email)).toBe('basic')
  })

  test.each([
    ['merged', (ada: Reader, kept: Reader) => merge(kept.email, ada.email)],
    ['moved', (ada: Reader) => rename(ada.email, `moved-${ada.email}`)],
    ['erased', (ada: Reader) => erase(ada.email)],
  ] as const)('at the moment at which somebody is %s is heard, twenty times', async (what, change) => {
    const names = Array.from({ length: 20 }, (_, n) => `o-${what}-at-once-${n}`)
    for (const name of names) {
      const [ada, kept] = [await house.reader(name), await house.reader(`${name}-kept`)]
      const [said] = await Promise.all([oneClick(ada), change(ada, kept)])
      expect(said.text).toContain('You are unsubscribed.')
      // Somebody has the address, or gets it now.
      await user({ id: ada.email, vars: {} })
      expect(await levelOf(ada.email), name).toBe('basic')
      if (what === 'merged') expect(await house.level(kept.id), name).toBe('basic')
    }
  })

  test('says that it was heard only when it was', async () => {
    const ada = await house.reader('o-nobody')
    await erase(ada.email)
    await house.db.updateTable('message').set({ address_hmac: null }).where('id', '=', ada.messageId).execute()
    expect((await oneClick(ada)).text).toContain('You are unsubscribed.')
    const path = new URL(house.services.links.oneClick({ messageId: 64_000_003, profileId: 64_000_003, address: 'x' }))
    const answer = await house.post(path.pathname, {})
    expect(answer.status).toBe(410)
    expect(answer.text).not.toContain('You are unsubscribed')
  })

  test('from before a merge undoes and saves as if nothing had happened', async () => {
    const ada = await house.reader('o-form')
    const kept = await house.reader('o-form-kept')
    await user({ id: ada.email, lists: { Daily: 1 } })
    const form = await house.get(ada.oc)
    await merge(kept.email, ada.email)
    await form.submit({ 'lists[Daily]': null })
    expect(await house.lists(kept.id)).toEqual([])
  })
})

describe('a permission by an old link', () => {
  test('acts for the survivor who has the address, and not for one who has another', async () => {
    for (const [n, takesAddress] of [true, false].entries()) {
      const ada = await house.reader(`p-merged-${n}`)
      await user({ id: ada.email, optout_email: 'all', keys: { extid: `p-${n}` } })
      const path = await house.confirmPath(ada, null)
      const kept = await house.reader(`p-kept-${n}`)
      const key = takesAddress ? { email: ada.email } : { extid: `p-${n}` }
      await user({ id: kept.email, keys: key, keysconflict: 'merge' })
      await house.post(path, { confirm: '1' })
      expect(await house.level(kept.id)).toBe(takesAddress ? 'none' : 'all')
    }
  })

  test('does not act for somebody who was erased and came back', async () => {
    const ada = await house.reader('p-erased')
    await user({ id: ada.email, optout_email: 'all' })
    const path = await house.confirmPath(ada, null)
    await erase(ada.email)
    await user({ id: ada.email, vars: {} })
    await house.post(path, { confirm: '1' })
    expect(await levelOf(ada.email)).toBe('all')
  })
})

test('an erased person’s page offers to have the address refused, and no more', async () => {
  const ada = await house.reader('n-erased')
  await erase(ada.email)
  const page = await house.get(ada.oc)
  expect(page.text).toContain('We hold no data about the person')
  const done = await page.submit({ optout_all: '1' })
  expect(done.text).toContain('We will not write to this address')
  await user({ id: ada.email, vars: {} })
  expect(await levelOf(ada.email)).toBe('all')
})

test('handed-out ids of somebody who was merged lead to the survivor', async () => {
  const ada = await house.reader('i-ada')
  const kept = await house.reader('i-kept')
  const shown = (await house.api('GET', 'user', { id: ada.email })) as { keys: { sid: string; cookie: string } }
  await merge(kept.email, ada.email)
  for (const kind of ['sid', 'cookie'] as const) {
    const found = await house.api('GET', 'user', { id: shown.keys[kind], key: kind })
    expect((found.keys as { email: string }).email).toBe(ada.email)
  }
  const forged = `${shown.keys.sid.slice(0, 23)}${shown.keys.sid.endsWith('0') ? '1' : '0'}`
  expect(await house.api('GET', 'user', { id: forged, key: 'sid' })).toMatchObject({ error: 99 })
})
