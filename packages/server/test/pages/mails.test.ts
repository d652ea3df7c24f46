import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findProfile } from '../../src/profiles/read.ts'
import { openPages, type PageHouse, type Reader } from './support.ts'

let house: PageHouse
beforeAll(async () => {
  house = await openPages()
})
afterAll(() => house.close())

const refuse = (id: number, to: 'basic' | 'all') => house.change(id, { level: { to, mode: 'set' } })
const confirmPath = (reader: Reader, lists: number[] | null) => house.confirmPath(reader, lists)
const person = async (id: number) => (await findProfile(house.db, { kind: 'id', value: id }))!

describe('the notice that email is back on', () => {
  test('goes to whoever was opted in by a page, and to nobody else', async () => {
    const ada = await house.reader('ada')
    await refuse(ada.id, 'all')
    house.clock.advance(1_000)
    const saved = await (await house.get(ada.oc)).submit({ optin: '1' })
    expect(await house.messages('Email Back On')).toEqual(['ada@example.com'])
    await (await house.get(saved.location!)).submit()
    expect(await house.level(ada.id)).toBe('all')
    house.clock.advance(1_000)
    await (await house.get(await confirmPath(ada, null))).submit()
    await (await house.get((await house.reader('bob')).oc)).submit()
    expect(await house.level(ada.id)).toBe('none')
    expect(await house.messages('Email Back On')).toEqual(['ada@example.com'])
  })

  test('is reworded or switched off by a template of its name', async () => {
    await house.services.templates.save('Email Back On', { is_disabled: true })
    const cai = await house.reader('cai')
    await refuse(cai.id, 'basic')
    house.clock.advance(1_000)
    await (await house.get(cai.oc)).submit({ optin: '1' })
    expect(await house.level(cai.id)).toBe('none')
    expect(await house.messages('Email Back On')).not.toContain('cai@example.com')
    await house.services.templates.save('Email Back On', { is_disabled: false })
  })
})

describe('"this was not me"', () => {
  test('voids the link, and stops messages of its kind until they are taken up again', async () => {
    const dan = await house.reader('dan')
    const ids = await house.services.lists.ensure(['Daily'])
    const path = await confirmPath(dan, [...ids.values()])
    const page = await house.get(path)
    const answer = await page.submit({ not_me: '1', confirm: null }, 1)
    const shown = await house.get(answer.location!)
    expect(shown.text).toContain('Thank you for telling us')
    expect(shown.html).toContain('/oc/')
    expect((await page.submit()).text).toContain('Thank you for telling us')
    expect(await house.lists(dan.id)).toEqual([])
    expect((await person(dan.id)).templateOptouts.size).toBe(1)
    const sent = await house.services.sends.send({
      template: 'Welcome',
      emails: [dan.email],
      vars: {},
      evars: {},
      options: {},
      origin: 'api',
      act: { via: 'api', evidence: 0 },
    })
    expect(sent).toMatchObject({ sends: [{ ok: false, code: 33 }] })
    await (await house.get(dan.oc)).submit({ 'templates[Welcome]': '1' })
    expect((await person(dan.id)).templateOptouts.size).toBe(0)
  })

  test('leaves the opt-out of somebody who had opted out', async () => {
    const eve = await house.reader('eve')
    await refuse(eve.id, 'all')
    house.clock.advance(1_000)
    await (await house.get(await confirmPath(eve, null))).submit({ not_me: '1' }, 1)
    expect(await house.level(eve.id)).toBe('all')
  })
})

describe('a fresh link, asked for by address', () => {
  const shape = ({ status, html, headers }: { status: number; html: string; headers: Record<string, unknown> }) => {
    const { date: _date, ...rest } = headers
    return { status, html, headers: rest }
  }

  test('is offered where a link leads nowhere, and the answer is the same for every address', async () => {
    const known = await house.reader('known')
    const out = await house.reader('out')
    await refuse(out.id, 'all')
    const bounced = await house.reader('bounced')
    await house.bounce(bounced.email)
    const page = await house.get('/oc/1-1/nothing')
    expect(page.status).toBe(404)
    const answers = []
    for (const email of [known.email, out.email, bounced.email, 'stranger@example.com', 'nonsense']) {
      const began = performance.now()
      answers.push(shape(await page.submit({ email })))
      expect(performance.now() - began).toBeGreaterThan(380)
    }
    for (const answer of answers) expect(answer).toEqual(answers[0])
    expect(answers[0]).toMatchObject({ status: 200, html: expect.stringContaining('Look into your mailbox') })
    expect(await house.messages('Preference Link')).toEqual([known.email])
    expect(await house.messages('Opt-in Confirm')).toEqual([out.email])
    expect((await house.get('/oc')).status).toBe(404)
  })

  test('goes out once in six hours', async () => {
    const fay = await house.reader('fay')
    for (const email of [fay.email, 'FAY@example.com', fay.email]) await house.post('/oc', { email })
    const mine = async () => (await house.messages('Preference Link')).filter((one) => one === fay.email).length
    expect(await mine()).toBe(1)
    house.clock.advance(6 * 3_600_000)
    await house.post('/oc', { email: fay.email })
    expect(await mine()).toBe(2)
  })

  test('is not sent on behalf of one network without end', async () => {
    const gil = await house.reader('gil')
    await Promise.all(Array.from({ length: 60 }, () => house.post('/oc', { email: 'nobody@example.com' })))
    const answer = await house.post('/oc', { email: gil.email })
    expect(answer.text).toContain('Look into your mailbox')
    expect(await house.messages('Preference Link')).not.toContain(gil.email)
    house.clock.advance(600_000)
    await house.post('/oc', { email: gil.email })
    expect(await house.messages('Preference Link')).toContain(gil.email)
  })
})

describe('confirm_mode auto', () => {
  test('puts one script under the policy of the page that joins lists, and nowhere else', async () => {
    const hal = await house.reader('hal')
    const lists = [...(await house.services.lists.ensure(['Daily'])).values()]
    expect((await house.get(await confirmPath(hal, lists))).html).not.toContain('<script')
    await house.setting('confirm_mode', 'auto')
    const page = await house.get(await confirmPath(hal, lists))
    expect(page.html).toContain('requestSubmit')
    expect(page.headers['content-security-policy']).toMatch(/script-src 'sha256-[\w+/=]+';/)
    expect(await house.lists(hal.id)).toEqual([])
    await refuse(hal.id, 'basic')
    house.clock.advance(1_000)
    for (const path of [await confirmPath(hal, lists), await confirmPath(hal, null), hal.oc]) {
      const other = await house.get(path)
      expect(other.html).not.toContain('<script')
      expect(other.headers['content-security-policy']).not.toContain('script-src')
    }
    await house.setting('confirm_mode', 'button')
  })
})
