import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { legacyManageHash, manageHash } from '../../src/links/manage-hash.ts'
import { changes } from '../support/tables.ts'
import { openPages, type PageHouse, type Reader, secret } from './support.ts'

let house: PageHouse
beforeAll(async () => {
  house = await openPages()
})
afterAll(() => house.close())

const confirmPath = async (reader: Reader, names: string[] | null, page?: string) => {
  const ids = names && [...(await house.services.lists.ensure(names)).values()]
  return house.confirmPath(reader, ids, page)
}
const refuse = (id: number, to: 'basic' | 'all') => house.change(id, { level: { to, mode: 'set' } })

describe('one click in the mail program', () => {
  test('switches marketing off in either encoding, with foreign cookies and origin, and again', async () => {
    const bodies = [
      ['application/x-www-form-urlencoded', 'List-Unsubscribe=One-Click'],
      [
        'multipart/form-data; boundary=x',
        '--x\r\ncontent-disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n',
      ],
      ['application/json', '{'],
      ['text/plain', ''],
    ] as const
    for (const [index, [type, payload]] of bodies.entries()) {
      const ada = await house.reader(`ada${index}`)
      const headers = { 'content-type': type, cookie: 'a=b', origin: 'https://example.org' }
      for (let again = 0; again < 2; again++) {
        const answer = await house.app.inject({ method: 'POST', url: ada.u, headers, payload })
        expect(answer.statusCode).toBe(200)
        expect(answer.headers.location).toBeUndefined()
        expect(answer.headers['set-cookie']).toBeUndefined()
        expect(answer.body.length).toBeLessThan(100)
        expect(await house.level(ada.id)).toBe('basic')
      }
    }
  })

  test('only ever makes it stricter, by the level of the setting', async () => {
    const bob = await house.reader('bob')
    await refuse(bob.id, 'all')
    await house.app.inject({ method: 'POST', url: bob.u })
    expect(await house.level(bob.id)).toBe('all')
    await house.setting('oneclick_level', 'all')
    const cai = await house.reader('cai')
    await house.app.inject({ method: 'POST', url: cai.u })
    expect(await house.level(cai.id)).toBe('all')
    await house.setting('oneclick_level', 'basic')
  })

  test('opened by a person it is the opt-out page, whose form works', async () => {
    const dan = await house.reader('dan')
    const page = await house.get(dan.u)
    expect(page.text).toContain('Choose what we send you')
    expect((await page.submit({ optout: 'all' })).status).toBe(303)
    expect(await house.level(dan.id)).toBe('all')
  })

  test('with a forged token does nothing', async () => {
    const eva = await house.reader('eva')
    const forged = `${eva.u.slice(0, -5)}AAAAA`
    expect((await house.app.inject({ method: 'POST', url: forged })).statusCode).toBe(404)
    expect((await house.get(forged)).status).toBe(404)
    expect(await house.level(eva.id)).toBe('none')
  })
})

describe('a preference page outside a message', () => {
  const old = (email: string, page = 'optout') =>
    `/manage/${page}?${new URLSearchParams({ email, hash: legacyManageHash(email, secret) })}`

  test('opens with the hash of old and saves', async () => {
    const fay = await house.reader('fay')
    const page = await house.get(old(fay.email))
    expect(page.status).toBe(200)
    expect(page.text).not.toContain('This kind of message')
    const saved = await page.submit({ optout: 'all' })
    expect(await house.level(fay.id)).toBe('all')
    house.clock.advance(1_000)
    expect((await house.get(saved.location!)).text).toContain('All email is switched off')
    await (await house.get(old(fay.email))).submit({ optin: '1' })
    expect(await house.level(fay.id)).toBe('none')
  })

  test('opens with the hash that ends, until it ends', async () => {
    const gil = await house.reader('gil')
    const expires = Math.floor(house.clock.now().getTime() / 1000) + 60
    const path = `/manage/manage?email=${gil.email}&hash=${manageHash('manage', gil.email, expires, secret)}`
    expect((await house.get(path)).status).toBe(200)
    expect((await house.get(path.replace('/manage/manage', '/manage/optout'))).status).toBe(404)
    house.clock.advance(60_000)
    expect((await house.get(path)).text).toContain('This link is too old')
  })

  test('opens with no other hash, nor with the one of old when that is switched off', async () => {
    const hal = await house.reader('hal')
    expect((await house.get('/manage/optout')).status).toBe(404)
    expect((await house.get(`/manage/optout?email=${hal.email}&hash=${'0'.repeat(32)}`)).status).toBe(404)
    expect((await house.get(old(hal.email).replace('hal', 'hel'))).status).toBe(404)
    await house.setting('legacy_manage_hash', 'false')
    expect((await house.get(old(hal.email))).status).toBe(404)
    await house.setting('legacy_manage_hash', 'true')
    expect((await house.get(old(hal.email, 'nowhere'))).status).toBe(404)
  })

  test('remembers an opt-out of an address that nobody has yet', async () => {
    const before = await house.everything()
    const page = await house.get(old('new@example.com'))
    expect(page.status).toBe(200)
    expect(changes(before, await house.everything())).toEqual([])
    expect((await page.submit({ optout: 'all' })).status).toBe(303)
    const back = await house.get(old('new@example.com'))
    expect(back.text).toContain('All email is switched off')
  })
})

describe('the link of a confirmation mail', () => {
  test('shows one button, and pressing it switches email on and thanks', async () => {
    const ida = await house.reader('ida')
    await refuse(ida.id, 'all')
    house.clock.advance(1_000)
    const path = await confirmPath(ida, null)
    const page = await house.get(path)
    expect(page.text).toContain('Turn email back on?')
    expect(page.text).toContain('since 5 March 2030')
    expect(await house.level(ida.id)).toBe('all')
    const done = await page.submit()
    expect(done.status).toBe(303)
    expect(done.location).toMatch(/^\/page\/signup-confirm\?/)
    expect(await house.level(ida.id)).toBe('none')
    const thanks = await house.get(done.location!)
    expect(thanks.text).toContain('Email is back on')
    expect(thanks.html).toContain('/oc/')
  })

  test('joins its lists, and its ledger rows carry proof, words and token', async () => {
    const jan = await house.reader('jan')
    const path = await confirmPath(jan, ['Daily', 'Weekly'])
    const page = await house.get(path)
    expect(page.text).toContain('Daily')
    const done = await page.submit()
    expect(await house.lists(jan.id)).toEqual(['Daily', 'Weekly'])
    expect((await house.get(done.location!)).text).toContain('From now on you get: DailyWeekly')
    const row = await house.db
      .selectFrom('consent_ledger')
      .selectAll()
      .where('profile_id', '=', jan.id)
      .where('event', '=', 'joined')
      .executeTakeFirstOrThrow()
    expect(row).toMatchObject({ via: 'confirm_link', evidence: 4 })
    const id = String(row.context.wording_id)
    const wording = await house.db.selectFrom('wording').select('content').where('id', '=', id).executeTakeFirst()
    expect(page.text).toContain(wording?.content)
  })

  test('works once', async () => {
    const kim = await house.reader('kim')
    await refuse(kim.id, 'basic')
    house.clock.advance(1_000)
    const path = await confirmPath(kim, null)
    const page = await house.get(path)
    await page.submit()
    house.clock.advance(1_000)
    await refuse(kim.id, 'all')
    const replayed = await page.submit()
    expect(replayed.text).toContain('Already confirmed')
    expect((await house.get(path)).text).toContain('Already confirmed')
    expect(await house.level(kim.id)).toBe('all')
  })

  test('made before an opt-out does nothing at all, and a fresh one can be asked for once', async () => {
    const lea = await house.reader('lea')
    const path = await confirmPath(lea, ['Daily'])
    house.clock.advance(300_000)
    await refuse(lea.id, 'all')
    house.clock.advance(60_000)
    const answer = await house.post(path, { confirm: '1' })
    expect(answer.status).toBe(200)
    expect(answer.text).toContain('This link can no longer be used')
    expect(await house.level(lea.id)).toBe('all')
    expect(await house.lists(lea.id)).toEqual([])
  })

  test('a fresh one is mailed once for each, to the address it was made for', async () => {
    const mia = await house.reader('mia')
    const path = await house.confirmPath({ ...mia, messageId: null }, null)
    house.clock.advance(1_000)
    await refuse(mia.id, 'all')
    for (let n = 0; n < 3; n++)
      expect((await (await house.get(path)).submit()).text).toContain('Look into your mailbox')
    expect((await house.messages('Opt-in Confirm')).filter((one) => one === mia.email)).toHaveLength(1)
  })

  test('ends after 30 days, at a change of address, and when forged', async () => {
    const ned = await house.reader('ned')
    const path = await confirmPath(ned, ['Daily'])
    expect((await house.get(`${path}x`)).status).toBe(404)
    house.clock.advance(30 * 86_400_000)
    expect((await house.get(path)).text).toContain('This link can no longer be used')
    const fresh = await confirmPath(ned, ['Daily'])
    await house.change(ned.id, { keys: { email: 'ned-new@example.com' } })
    expect((await house.post(fresh, { confirm: '1' })).text).toContain('This link can no longer be used')
    expect(await house.lists(ned.id)).toEqual([])
  })

  test('with an empty set of lists changes nothing', async () => {
    const ola = await house.reader('ola')
    await refuse(ola.id, 'all')
    house.clock.advance(1_000)
    const path = await confirmPath(ola, [])
    expect((await house.get(path)).location).toContain('/oc/')
    expect((await house.post(path, { confirm: '1' })).location).toContain('/oc/')
    expect(await house.level(ola.id)).toBe('all')
  })

  test('lifts the opt-out of somebody who reported spam', async () => {
    const pia = await house.reader('pia')
    await house.change(pia.id, { complaint: true }, 'complaint')
    house.clock.advance(1_000)
    await (await house.get(await confirmPath(pia, null))).submit()
    expect(await house.level(pia.id)).toBe('none')
  })

  test("thanks with the account's own page", async () => {
    await house.put('signup-confirm', '<p>Ahoy: {join(signup_lists, " and ")}</p>', 'other')
    await house.put('thanks', '<p>Custom thanks</p>', 'other')
    const ray = await house.reader('ray')
    const done = await (await house.get(await confirmPath(ray, ['Daily', 'Weekly']))).submit()
    expect((await house.get(done.location!)).text).toBe('Ahoy: Daily and Weekly')
    const other = await (await house.get(await confirmPath(ray, ['Deck'], 'thanks'))).submit()
    expect((await house.get(other.location!)).text).toBe('Custom thanks')
  })
})

describe('looking changes nothing', () => {
  test('GET, HEAD and OPTIONS of every address leave every table as it was', async () => {
    const sam = await house.reader('sam')
    await refuse(sam.id, 'all')
    const saved = await (await house.get(sam.oc)).submit({ optin: '1' })
    await house.put('hello', '<p>Hello', 'other')
    const hash = legacyManageHash(sam.email, secret)
    const paths = [
      sam.oc,
      `${sam.oc}&optin=1&optout_all=1&_fl=${(await house.get(sam.oc)).fields()._fl}`,
      saved.location!,
      `${saved.location!}&undo=${new URLSearchParams(saved.location!.split('?')[1]).get('saved')}`,
      sam.u,
      `${sam.u}?List-Unsubscribe=One-Click`,
      await confirmPath(sam, null),
      `${await confirmPath(sam, ['Daily'])}?confirm=1&fresh=1`,
      `/manage/optout?email=${sam.email}&hash=${hash}&optout_all=1`,
      `/manage/optout?email=stranger@example.com&hash=${legacyManageHash('stranger@example.com', secret)}`,
      '/page/signup-confirm',
      '/page/hello',
      '/hello',
      '/nothing',
    ]
    const before = await house.everything()
    for (const url of paths) {
      for (const method of ['GET', 'HEAD', 'OPTIONS'] as const) {
        const answer = await house.app.inject({ method, url })
        expect(answer.statusCode, `${method} ${url}`).toBeLessThan(500)
        if (method === 'HEAD') expect(answer.body).toBe('')
      }
    }
    expect(changes(before, await house.everything())).toEqual([])
  })
})
