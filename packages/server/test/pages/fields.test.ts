import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readLedger } from '../../src/consent/ledger.ts'
import { legacyManageHash } from '../../src/links/manage-hash.ts'
import { openToken } from '../../src/links/tokens.ts'
import { findProfile } from '../../src/profiles/read.ts'
import { changes } from '../support/tables.ts'
import { openPages, type PageHouse, type Reader, secret } from './support.ts'

let house: PageHouse
beforeAll(async () => {
  house = await openPages()
})
afterAll(() => house.close())

const person = async (id: number) => (await findProfile(house.db, { kind: 'id', value: id }))!
const page = (fields: string) =>
  `<!DOCTYPE html><form method="post">${fields}<button name="optout_all" value="1">Out</button></form>`
const refuse = (id: number, to: 'basic' | 'all') => house.change(id, { level: { to, mode: 'set' } })

describe('a new address', () => {
  const ask = async (reader: Reader, address: string) => {
    const shown = await house.get(reader.oc)
    const form = shown.html.split('<form').findIndex((part) => part.includes('new_email')) - 1
    const saved = await shown.submit({ new_email: address }, form)
    return house.get(saved.location!)
  }

  test('is taken when its mailbox confirms it, wishes and all', async () => {
    const ada = await house.reader('ada')
    await refuse(ada.id, 'basic')
    const answer = await ask(ada, 'Ada.New@example.org')
    expect(answer.text).toContain('Look into the mailbox of your new address')
    expect(answer.html).not.toContain('example.org')
    expect(await house.messages('Confirm Address')).toEqual(['Ada.New@example.org'])
    expect(await house.messages('Address Change Notice')).toEqual(['ada@example.com'])
    expect((await person(ada.id)).email).toBe('ada@example.com')

    const path = await house.linkIn('Confirm Address', 'address_url')
    const opened = openToken(house.services.signingKeys, 'move', path.split('/').at(-1)!, house.clock.now())
    expect(opened.ok).toBe(true)
    expect(JSON.stringify(opened)).not.toContain('@')
    const before = await house.everything()
    const question = await house.get(path)
    expect(question.text).toContain('Use this address from now on?')
    expect(question.text).toContain('A••@example.org')
    expect(changes(before, await house.everything())).toEqual([])
    const done = await question.submit()
    expect((await house.get(done.location!)).text).toContain('Your address is changed')
    expect(await person(ada.id)).toMatchObject({ email: 'Ada.New@example.org', level: 'basic' })
    expect((await house.get(await house.linkIn('Address Change Notice', 'address_url'))).text).toContain('is changed')
  })

  test('is not taken when the owner of the present one forbids it', async () => {
    const bob = await house.reader('bob')
    await ask(bob, 'thief@example.org')
    const take = await house.linkIn('Confirm Address', 'address_url')
    const question = await house.get(take)
    const keep = await house.get(await house.linkIn('Address Change Notice', 'address_url'))
    expect(keep.text).toContain('Keep your present address?')
    const kept = await keep.submit()
    expect((await house.get(kept.location!)).text).toContain('Your address stays as it is')
    await question.submit()
    expect((await house.get(take)).text).toContain('Your address stays as it is')
    expect((await person(bob.id)).email).toBe('bob@example.com')
  })

  test('that somebody is known by makes one person of two, with the stricter wish', async () => {
    const cai = await house.reader('cai')
    const other = await house.reader('other')
    await refuse(other.id, 'basic')
    await ask(cai, other.email)
    await (await house.get(await house.linkIn('Confirm Address', 'address_url'))).submit()
    expect(await person(cai.id)).toMatchObject({ email: other.email, level: 'basic' })
    expect(await findProfile(house.db, { kind: 'id', value: other.id })).toMatchObject({ id: cai.id })
  })

  test('is asked for a few times a day at most, and never by a link to an address of the past', async () => {
    const dan = await house.reader('dan')
    for (const n of [1, 2, 3]) expect((await ask(dan, `dan${n}@example.org`)).text).toContain('Look into the mailbox')
    expect((await ask(dan, 'dan4@example.org')).text).toContain('Your address has not been changed')
    expect((await ask(dan, 'not an address')).text).toContain('is not an email address')
    expect((await ask(dan, 'DAN@example.com')).text).toContain('Your choices are saved')
    expect(await house.messages('Confirm Address')).not.toContain('dan4@example.org')

    const eve = await house.reader('eve')
    await house.change(eve.id, { keys: { email: 'eve-new@example.com' } })
    expect((await ask(eve, 'eve2@example.org')).text).toContain('Your address has not been changed')
    expect(await house.messages('Confirm Address')).not.toContain('eve2@example.org')
  })

  test('is void after a week, and after another change', async () => {
    const fay = await house.reader('fay')
    await ask(fay, 'fay-new@example.org')
    const first = await house.linkIn('Confirm Address', 'address_url')
    house.clock.advance(7 * 86_400_000)
    expect((await house.get(first)).text).toContain('This link can no longer be used')
    await ask(fay, 'fay-new@example.org')
    await house.change(fay.id, { keys: { email: 'fay-other@example.org' } })
    const second = await house.linkIn('Confirm Address', 'address_url')
    await house.post(second, { confirm: '1' })
    expect((await person(fay.id)).email).toBe('fay-other@example.org')
    expect((await house.get(`${second}x`)).status).toBe(404)
  })
})

describe("fields of an account's own page", () => {
  test('optout_sms refuses text messages, on record, and can be undone', async () => {
    await house.put('sms', page('<input type="checkbox" name="optout_sms" value="1">'))
    const path = managePath('gil')
    const saved = await (await house.get(path)).submit({ optout_all: null, optout_sms: '1' })
    const id = (await findProfile(house.db, { kind: 'email', value: 'gil@example.com' }))!.id
    expect((await person(id)).sms).toEqual({ marketing: 'opt-out' })
    expect((await house.get(path)).fields().optout_sms).toBe('1')
    const row = (await readLedger(house.db, id)).find(({ subject }) => subject === 'sms:marketing')
    expect(row).toMatchObject({ from_state: null, to_state: 'opt-out', event: 'opted_out', via: 'hosted_page' })
    await (await house.get(saved.location!)).submit()
    expect((await person(id)).sms).toEqual({})
    await (await house.get(path)).submit({ optout_all: null, optout_sms: '0' })
    expect((await person(id)).sms).toEqual({})
  })

  test('redirect leads on to the addresses that the page was saved with, and to no other', async () => {
    const goal = 'https://shop.example.com/thanks?from=mail'
    await house.put('onward', page(`<input type="hidden" name="redirect" value="${goal}">`), 'manage', [goal])
    const path = managePath('hal', 'onward')
    const shown = await house.get(path)
    expect(String(shown.headers['content-security-policy'])).toContain("form-action 'self' https://shop.example.com;")
    expect((await shown.submit({ optout_all: null })).location).toBe(goal)
    for (const redirect of ['https://evil.example.org/', `${goal}x`, 'javascript:alert(1)', '//evil.example.org', '']) {
      const answer = await (await house.get(path)).submit({ optout_all: null, redirect })
      expect(answer.location).toContain('/manage/onward?')
    }
    await expect(house.put('bad', page(''), 'manage', ['javascript:alert(1)'])).rejects.toThrow('leads on to')
    await expect(house.put('bad', page(''), 'manage', ["https://a.example';x"])).rejects.toThrow('leads on to')
  })

  test('redirect does not hide that something was not done', async () => {
    const goal = 'https://shop.example.com/thanks'
    const path = managePath('ida', 'onward')
    await house.put('onward', page(`<input type="hidden" name="redirect" value="${goal}">`), 'manage', [goal])
    await (await house.get(path)).submit()
    const id = (await findProfile(house.db, { kind: 'email', value: 'ida@example.com' }))!.id
    await house.change(id, { complaint: true }, 'complaint')
    house.clock.advance(1_000)
    const asked = await (await house.get(path)).submit({ optout_all: null, optin: '1' })
    expect((await house.get(asked.location!)).text).toContain('Look into your mailbox')
  })

  function managePath(name: string, which = 'sms') {
    const email = `${name}@example.com`
    return `/manage/${which}?${new URLSearchParams({ email, hash: legacyManageHash(email, secret) })}`
  }
})
