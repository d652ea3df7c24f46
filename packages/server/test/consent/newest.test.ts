import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readLedger } from '../../src/consent/ledger.ts'
import { emptyRemoved } from '../../src/lists/emptying.ts'
import { findProfile } from '../../src/profiles/read.ts'
import type { Reader } from '../pages/support.ts'
import { type ConsentHouse, openConsent } from './house.ts'

/* A person's newest refusal stands, against everything that was decided before it or without them. */

let house: ConsentHouse
beforeAll(async () => {
  house = await openConsent()
  await house.services.lists.save({ name: 'Daily' }, { isPrimary: true })
  await house.liftByJoining('Daily')
})
afterAll(() => house.close())

const HOUR = 3_600_000
const refuse = (id: number, to: 'basic' | 'all' = 'all') => house.change(id, { level: { to, mode: 'set' } })
const byEmail = async (email: string) => (await findProfile(house.db, { kind: 'email', value: email }))!
const levelOf = async (email: string) => (await byEmail(email)).level
const oneClick = async (reader: Reader) => (await house.post(reader.u, { 'List-Unsubscribe': 'One-Click' })).text

describe('the order of decisions does not go by the clock', () => {
  /** Shows something while the clock is two hours ahead, and refuses mail once it is right again. */
  async function shownAhead<T>(reader: Reader, show: () => Promise<T>): Promise<T> {
    const right = house.clock.now()
    house.clock.advance(2 * HOUR)
    const shown = await show()
    house.clock.set(right)
    house.clock.advance(1_000)
    await refuse(reader.id)
    return shown
  }

  test('a form that was shown while the clock was ahead lifts no later refusal', async () => {
    const ada = await house.reader('ahead-form')
    await refuse(ada.id)
    const form = await shownAhead(ada, () => house.get(ada.oc))
    const saved = await form.submit({ optin: '1' })
    expect(await house.level(ada.id)).toBe('all')
    expect((await house.get(saved.location!)).text).toContain('newer')
  })

  test('a confirmation link that was made while the clock was ahead lifts no later refusal', async () => {
    const ada = await house.reader('ahead-link')
    const path = await shownAhead(ada, () => house.confirmPath(ada, null))
    expect((await house.post(path, { confirm: '1' })).text).toContain('This link can no longer be used')
    expect(await house.level(ada.id)).toBe('all')
  })

  test('a flow lifts no refusal of the same millisecond, whichever came first', async () => {
    for (const order of ['join first', 'refusal first']) {
      const ada = await house.reader(`same-${order.replace(' ', '-')}`)
      const join = () => house.api('POST', 'user', { id: ada.email, lists: { Daily: 1 } })
      if (order === 'join first') await join()
      await refuse(ada.id)
      if (order === 'refusal first') await join()
      await house.react()
      expect(await house.level(ada.id), order).toBe(order === 'join first' ? 'all' : 'none')
    }
  })

  test('a call that joins a list and refuses mail is no way back', async () => {
    await house.api('POST', 'user', { id: 'both@example.com', lists: { Daily: 1 }, optout_email: 'all' })
    await house.react()
    expect(await levelOf('both@example.com')).toBe('all')
  })

  test('a page that joins a list and stops everything is no way back', async () => {
    const ada = await house.reader('ticked')
    const saved = await (await house.get(ada.oc)).submit({ 'lists[Daily]': '1', optout: 'all' })
    await house.react()
    expect(await house.level(ada.id)).toBe('all')
    expect((await house.get(saved.location!)).text).toContain('switched off')
  })
})

describe('taking a save back takes back nothing else', () => {
  test.each(['before', 'after'] as const)('a one-click refusal %s the save stands', async (when) => {
    const ada = await house.reader(`undo-${when}`)
    const form = await house.get(ada.oc)
    if (when === 'before') await oneClick(ada)
    const saved = await form.submit({ optout: 'all' })
    if (when === 'after') await oneClick(ada)
    const page = await house.get(saved.location!)
    await page.submit()
    expect(await house.level(ada.id)).not.toBe('none')
  })

  test('at the same moment, forty times', async () => {
    for (let n = 0; n < 40; n++) {
      const ada = await house.reader(`race-${n}`)
      const form = await house.get(ada.oc)
      const [saved] = await Promise.all([form.submit({ optout: 'basic' }), oneClick(ada)])
      const page = await house.get(saved!.location!)
      if (page.text.includes('Undo')) await page.submit()
      expect(await house.level(ada.id)).toBe('basic')
    }
  })
})

describe('merging people takes the stricter of everything', () => {
  test('level, tracking, text messages, lists left, templates left, complaint', async () => {
    const kept = await house.reader('merge-kept')
    const other = await house.reader('merge-other')
    await house.api('POST', 'user', { id: kept.email, keys: { extid: 'm-1' }, lists: { Daily: 1, Weekly: 1 } })
    await house.api('POST', 'user', { id: other.email, lists: { Daily: 1, Weekly: 1 } })
    await house.api('POST', 'user', {
      id: other.email,
      lists: { Daily: 0 },
      optout_templates: { Welcome: 0 },
      pixel_tracking_consent: 'opt-out',
      optout_sms_status: 'opt-out',
    })
    await house.change(other.id, { complaint: true }, 'complaint')
    await house.api('POST', 'user', { id: kept.email, keys: { email: other.email }, keysconflict: 'merge' })
    const merged = await byEmail(other.email)
    expect(merged).toMatchObject({
      id: kept.id,
      level: 'basic',
      pixelConsent: 'opt-out',
      sms: { marketing: 'opt-out' },
    })
    expect(merged.complainedAt).not.toBeNull()
    expect([...merged.templateOptouts.values()].map(({ name }) => name)).toEqual(['Welcome letters'])
    expect(await house.lists(kept.id)).toEqual(['Weekly'])
    await house.api('POST', 'list', { list: 'Daily', emails: other.email })
    expect(await house.lists(kept.id)).toEqual(['Weekly'])
  })
})

test('deleting a list takes its members off, with a row of the ledger each, and nobody left it by that', async () => {
  const [ada, bob] = [await house.reader('deleted-ada'), await house.reader('deleted-bob')]
  for (const { email } of [ada, bob]) await house.api('POST', 'user', { id: email, lists: { Ropes: 1 } })
  await house.api('POST', 'user', { id: bob.email, lists: { Ropes: 0 } })
  await house.api('DELETE', 'list', { list: 'Ropes' })
  while (await emptyRemoved(house.services));
  expect((await byEmail(ada.email)).lists.size).toBe(0)
  const rows = await readLedger(house.db, ada.id)
  expect(rows.at(-1)).toMatchObject({ event: 'left', via: 'system', actor: '0123456789abcdef' })
  expect(rows.at(-1)?.context).toMatchObject({ reason: 'the list Ropes was deleted' })
  await house.api('POST', 'list', { list: 'Ropes', emails: `${ada.email},${bob.email}` })
  expect(await house.lists(ada.id)).toEqual(['Ropes'])
  expect(await house.lists(bob.id)).toEqual([])
})

describe('who left a list or a template', () => {
  test('is not put back by a file of addresses, which says how many stayed away', async () => {
    const ada = await house.reader('left-bulk')
    await house.api('POST', 'user', { id: ada.email, lists: { Daily: 1 } })
    await house.api('POST', 'user', { id: ada.email, lists: { Daily: 0 } })
    const answer = await house.api('POST', 'list', { list: 'Daily', emails: `${ada.email},left-new@example.com` })
    expect(answer.left_count).toBe(1)
    expect(await house.lists(ada.id)).toEqual([])
    await house.api('POST', 'user', { id: ada.email, lists: { Daily: 1 } })
    expect(await house.lists(ada.id)).toEqual(['Daily'])
  })

  test('has left the list that is made again under its name', async () => {
    const ada = await house.reader('left-again')
    await house.api('POST', 'user', { id: ada.email, lists: { Tides: 1 } })
    await house.api('POST', 'user', { id: ada.email, lists: { Tides: 0 } })
    await house.api('DELETE', 'list', { list: 'Tides' })
    await house.api('POST', 'list', { list: 'Tides', emails: `${ada.email},left-tides@example.com` })
    expect(await house.lists(ada.id)).toEqual([])
    expect(await house.lists((await byEmail('left-tides@example.com')).id)).toEqual(['Tides'])
  })

  test('has left the template that is made again, and any with its public name', async () => {
    const ada = await house.reader('left-template')
    const template = { template: 'Tips', subject: 'Tips', content_html: '<p>Tips</p>' }
    await house.api('POST', 'template', template)
    await house.api('POST', 'user', { id: ada.email, optout_templates: { Tips: 0 } })
    await house.api('DELETE', 'template', { template: 'Tips' })
    await house.api('POST', 'template', template)
    await house.api('POST', 'template', { ...template, template: 'Tips II', public_name: 'Tips' })
    for (const name of ['Tips', 'Tips II']) {
      expect(await house.api('POST', 'send', { template: name, email: ada.email }), name).toMatchObject({ error: 33 })
    }
    const shown = await house.api('GET', 'user', { id: ada.email, fields: { optout_templates: 1 } })
    expect(shown.optout_templates).toEqual({ Tips: 0 })
    await house.api('POST', 'user', { id: ada.email, optout_templates: { Tips: 1 } })
    expect(await house.api('POST', 'send', { template: 'Tips II', email: ada.email })).not.toHaveProperty('error')
  })
})

test('evidence does not grow on the way: a link to an abandoned mailbox lifts nothing, not through a flow either', async () => {
  const ada = await house.reader('moved-away')
  const page = ada.oc
  await house.api('POST', 'email', { email: 'moved-here@example.com', change_email: ada.email })
  await refuse(ada.id)
  const form = await house.get(page)
  await form.submit({ 'lists[Daily]': '1' }, 1)
  await house.react()
  expect(await levelOf('moved-here@example.com')).toBe('all')
  expect(await house.lists(ada.id)).toEqual([])
})
