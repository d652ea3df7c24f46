import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readLedger } from '../../src/consent/ledger.ts'
import { findProfile } from '../../src/profiles/read.ts'
import { openPages, type PageHouse } from './support.ts'

let house: PageHouse
beforeAll(async () => {
  house = await openPages()
})
afterAll(() => house.close())

const listsOf = async (...names: string[]) => {
  const ids = await house.services.lists.ensure(names)
  return new Map(names.map((name) => [ids.get(name)!, true]))
}
const refuse = (id: number, to: 'basic' | 'all') => house.change(id, { level: { to, mode: 'set' } })

describe('the page behind the link of a message', () => {
  test('says who writes to which address, without showing it whole', async () => {
    const ada = await house.reader('ada')
    const page = await house.get(ada.oc)
    expect(page.status).toBe(200)
    expect(page.text).toContain('Harbor News writes to a••@example.com')
    expect(page.html).not.toContain('ada@')
    expect(page.text).toContain('Welcome letters')
  })

  test('is kept nowhere, framed nowhere, asks nothing of others, and sets no cookie', async () => {
    const { headers } = await house.get((await house.reader('headers')).oc)
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'x-robots-tag': 'noindex, nofollow',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'content-type': 'text/html; charset=utf-8',
    })
    const policy = String(headers['content-security-policy'])
    for (const part of ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "style-src 'sha256-"]) {
      expect(policy).toContain(part)
    }
    expect(policy).not.toContain('unsafe')
    expect(headers['set-cookie']).toBeUndefined()
  })

  test('stops marketing, then everything, then brings all back, each with one form', async () => {
    const bob = await house.reader('bob')
    const stopped = await (await house.get(bob.oc)).submit({ optout: 'basic' })
    expect(stopped.status).toBe(303)
    expect(await house.level(bob.id)).toBe('basic')
    expect((await house.get(stopped.location!)).text).toContain('Marketing email is switched off')

    const off = await house.get(bob.oc)
    expect(off.text).toContain('Marketing email is switched off')
    expect(off.text).toContain('You switched it off on 5 March 2030.')
    await off.submit({ optout_all: '1' }, 1)
    expect(await house.level(bob.id)).toBe('all')

    const out = await house.get(bob.oc)
    expect(out.text).toContain('All email is switched off')
    house.clock.advance(60_000)
    const again = await (await house.get(bob.oc)).submit({ optin: '1' })
    expect(await house.level(bob.id)).toBe('none')
    expect((await house.get(again.location!)).text).toContain('Email is back on')
  })

  test('opting in again is on record with evidence, message and the words that were read', async () => {
    const carl = await house.reader('carl')
    await refuse(carl.id, 'all')
    const page = await house.get(carl.oc)
    await page.submit({ optin: '1' })
    const row = (await readLedger(house.db, carl.id)).find(({ event }) => event === 'opted_in')!
    expect(row).toMatchObject({
      subject: 'level',
      from_state: 'all',
      to_state: 'none',
      via: 'hosted_page',
      evidence: 2,
    })
    expect(row.context).toMatchObject({ message_id: carl.messageId, source: 'hosted_page', user_agent: 'Test' })
    const wording = await house.db
      .selectFrom('wording')
      .select('content')
      .where('id', '=', String(row.context.wording_id))
      .executeTakeFirstOrThrow()
    expect(page.text).toContain(wording.content)
  })

  test('one template can be left and taken up again', async () => {
    const dora = await house.reader('dora')
    const left = await (await house.get(dora.oc)).submit({ 'templates[Welcome]': null })
    expect((await findProfile(house.db, { kind: 'id', value: dora.id }))!.templateOptouts.size).toBe(1)
    expect(await house.level(dora.id)).toBe('none')
    expect(left.status).toBe(303)
    const page = await house.get(dora.oc)
    expect(page.fields()['templates[Welcome]']).toBeUndefined()
    await page.submit({ 'templates[Welcome]': '1' })
    expect((await findProfile(house.db, { kind: 'id', value: dora.id }))!.templateOptouts.size).toBe(0)
  })

  test('a box without a tick means leave, a list that was not offered stays untouched', async () => {
    await house.services.lists.save({ name: 'Weekly' }, { isPrimary: true, publicName: 'The weekly letter' })
    const eve = await house.reader('eve', { lists: await listsOf('Weekly', 'Internal') })
    const page = await house.get(eve.oc)
    expect(page.text).toContain('The weekly letter')
    expect(page.text).not.toContain('Internal')
    await page.submit({ 'lists[Weekly]': null, 'lists[Internal]': '0', 'lists[Made up]': '1' })
    expect(await house.lists(eve.id)).toEqual(['Internal'])
    await (await house.get(eve.oc)).submit({ 'lists[Weekly]': '1' })
    expect(await house.lists(eve.id)).toEqual(['Internal', 'Weekly'])
  })
})

describe('taking it back', () => {
  test('works once, within half an hour, by a button', async () => {
    const fay = await house.reader('fay', { lists: await listsOf('Weekly') })
    const saved = await (await house.get(fay.oc)).submit({ optout: 'all', 'lists[Weekly]': null })
    expect(await house.level(fay.id)).toBe('all')
    const after = await house.get(saved.location!)
    expect(after.text).toContain('Undo')
    const undone = await after.submit()
    expect(await house.level(fay.id)).toBe('none')
    expect(await house.lists(fay.id)).toEqual(['Weekly'])
    expect((await house.get(undone.location!)).text).toContain('The change has been taken back.')

    house.clock.advance(1_000)
    await refuse(fay.id, 'basic')
    await after.submit()
    expect(await house.level(fay.id)).toBe('basic')
  })

  test('is over after half an hour', async () => {
    const gil = await house.reader('gil')
    const saved = await (await house.get(gil.oc)).submit({ optout: 'basic' })
    const after = await house.get(saved.location!)
    house.clock.advance(30 * 60_000)
    await after.submit()
    expect(await house.level(gil.id)).toBe('basic')
    expect((await house.get(saved.location!)).text).not.toContain('Undo')
  })

  test('does not undo what was decided since', async () => {
    const hal = await house.reader('hal')
    const saved = await (await house.get(hal.oc)).submit({ optout: 'basic' })
    const after = await house.get(saved.location!)
    house.clock.advance(1_000)
    await house.app.inject({ method: 'POST', url: hal.u })
    house.clock.advance(1_000)
    await after.submit()
    expect(await house.level(hal.id)).toBe('basic')
  })

  test('of an opt-in switches email off again', async () => {
    const ida = await house.reader('ida')
    await refuse(ida.id, 'all')
    house.clock.advance(1_000)
    const saved = await (await house.get(ida.oc)).submit({ optin: '1' })
    expect(await house.level(ida.id)).toBe('none')
    await (await house.get(saved.location!)).submit()
    expect(await house.level(ida.id)).toBe('all')
  })
})

describe('forms that are too old, forged or contradictory', () => {
  test('the newest decision wins: a form from before an opt-out does not lift it', async () => {
    const jan = await house.reader('jan')
    await refuse(jan.id, 'basic')
    house.clock.advance(1_000)
    const early = await house.get(jan.oc)
    house.clock.advance(1_000)
    await house.app.inject({ method: 'POST', url: jan.u })
    house.clock.advance(1_000)
    const answer = await early.submit({ optin: '1' })
    expect(await house.level(jan.id)).toBe('basic')
    expect((await house.get(answer.location!)).text).toContain('Email is still off')
    await (await house.get(jan.oc)).submit({ optin: '1' })
    expect(await house.level(jan.id)).toBe('none')
  })

  test('after a day a form still switches off, but not on, and comes back as it was filled in', async () => {
    const kim = await house.reader('kim', { lists: await listsOf('Weekly') })
    const old = await house.get(kim.oc)
    house.clock.advance(25 * 3_600_000)
    const answer = await old.submit({ optout: 'none', 'lists[Weekly]': null, 'templates[Welcome]': null })
    expect(answer.status).toBe(409)
    expect(answer.text).toContain('This page was open for a long time.')
    expect(await house.lists(kim.id)).toEqual([])
    expect(answer.fields()['templates[Welcome]']).toBeUndefined()

    await refuse(kim.id, 'all')
    house.clock.advance(1_000)
    const out = await house.get(kim.oc)
    house.clock.advance(25 * 3_600_000)
    expect((await out.submit({ optin: '1' })).status).toBe(409)
    expect(await house.level(kim.id)).toBe('all')
  })

  test('without the signed field, or with that of somebody else, only opting out works', async () => {
    const lea = await house.reader('lea', { lists: await listsOf('Weekly') })
    const mia = await house.reader('mia')
    const foreign = (await house.get(mia.oc)).fields()._fl!
    for (const token of ['', 'v1.1.e30.AAAAAAAAAAAAAAAAAAAAAA', foreign]) {
      expect((await house.post(lea.oc, { _fl: token, optout_basic: '1', 'lists[Weekly]': '0' })).status).toBe(409)
      expect(await house.level(lea.id)).toBe('basic')
      expect(await house.lists(lea.id)).toEqual(['Weekly'])
      house.clock.advance(1_000)
      expect((await house.post(lea.oc, { _fl: token, optin: '1' })).status).toBe(409)
      expect(await house.level(lea.id)).toBe('basic')
    }
  })

  test('in and out at once means out', async () => {
    const ned = await house.reader('ned')
    await (await house.get(ned.oc)).submit({ optin: '1', optout: null, optout_basic: '1' })
    expect(await house.level(ned.id)).toBe('basic')
    await (await house.get(ned.oc)).submit({ optin: '1', optout_all: '1' })
    expect(await house.level(ned.id)).toBe('all')
  })

  test('a link with a wrong hash opens nothing, and tells nothing', async () => {
    const ola = await house.reader('ola')
    for (const path of [
      ola.oc.replace('?v=2', 'x?v=2'),
      ola.oc.replace(/(?<=\/oc\/M)./, (first) => (first === 'A' ? 'B' : 'A')),
      '/oc/1-1/1.AAAAAAAAAAAAAAAAAAAAAA',
    ]) {
      for (const answer of [await house.get(path), await house.post(path, { optout_all: '1' })]) {
        expect(answer.status).toBe(404)
        expect(answer.text).toContain('This link is not valid')
      }
    }
    expect(await house.level(ola.id)).toBe('none')
  })

  test('too much is refused and changes nothing', async () => {
    const pia = await house.reader('pia')
    const page = await house.get(pia.oc)
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`x${n}`, '1']))
    const lists = Object.fromEntries(Array.from({ length: 21 }, (_, n) => [`lists[${n}]`, '1']))
    expect((await page.submit(many)).status).toBe(400)
    expect((await page.submit(lists)).status).toBe(400)
    expect((await page.submit({ 'vars[a]': 'ä'.repeat(2100) })).status).toBe(400)
    expect((await page.submit({ 'vars[a]': '\0' })).status).toBe(400)
    expect((await page.submit({ x: 'x'.repeat(66_000) })).status).toBe(413)
    expect(await house.level(pia.id)).toBe('none')
  })

  test('multipart is read as well', async () => {
    const rae = await house.reader('rae')
    const { _fl } = (await house.get(rae.oc)).fields()
    const payload = `------WebKitFormBoundaryAbCdEfGhIjKlMnOp\r\ncontent-disposition: form-data; name="_fl"\r\n\r\n${_fl}\r\n------WebKitFormBoundaryAbCdEfGhIjKlMnOp\r\ncontent-disposition: form-data; name="optout_all"\r\n\r\n1\r\n------WebKitFormBoundaryAbCdEfGhIjKlMnOp--\r\n`
    const headers = { 'content-type': 'multipart/form-data; boundary=----WebKitFormBoundaryAbCdEfGhIjKlMnOp' }
    const answer = await house.app.inject({ method: 'POST', url: rae.oc, headers, payload })
    expect(answer.statusCode).toBe(303)
    expect(await house.level(rae.id)).toBe('all')
  })
})

describe('people for whom opting in is not enough', () => {
  test('after a spam report the confirmation is mailed, and nothing changes yet', async () => {
    const sam = await house.reader('sam')
    await house.change(sam.id, { complaint: true }, 'complaint')
    house.clock.advance(1_000)
    const page = await house.get(sam.oc)
    expect(page.text).toContain('Was the spam report a mistake?')
    expect(page.text).not.toContain('Turn email back on')
    const answer = await page.submit({ optin: '1' })
    expect(await house.level(sam.id)).toBe('basic')
    expect(await house.messages('Opt-in Confirm')).toContain(sam.email)
    expect((await house.get(answer.location!)).text).toContain('Look into your mailbox')
  })

  test('a bounced mailbox is told so, and offered no button', async () => {
    const tea = await house.reader('tea')
    await refuse(tea.id, 'all')
    await house.bounce(tea.email)
    const page = await house.get(tea.oc)
    expect(page.text).toContain('Your mailbox turned our mail away')
    expect(page.html).not.toContain('optin')
  })

  test('a link to an address of the past switches off, but mails the present address before switching on', async () => {
    const uma = await house.reader('uma')
    await house.services.profiles.change({
      person: { kind: 'id', value: uma.id },
      create: false,
      act: { via: 'api', evidence: 0 },
      keys: { email: 'uma-new@example.com' },
      level: { to: 'all', mode: 'set' },
    })
    house.clock.advance(1_000)
    const page = await house.get(uma.oc)
    expect(page.html).not.toContain('uma-new')
    await page.submit({ optin: '1' })
    expect(await house.level(uma.id)).toBe('all')
    expect(await house.messages('Opt-in Confirm')).toContain('uma-new@example.com')
  })

  test('of an erased person nothing is stored', async () => {
    const vic = await house.reader('vic')
    await house.change(vic.id, { erase: true })
    const page = await house.get(vic.oc)
    expect(page.status).toBe(200)
    expect(page.text).toContain('Nothing is stored')
    expect((await house.app.inject({ method: 'POST', url: vic.u })).statusCode).toBe(200)
  })
})
