import { createHmac } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { verifySignature } from '../../src/account/signature.ts'
import { legacyManageHash } from '../../src/links/manage-hash.ts'
import { createLog } from '../../src/platform/log.ts'
import { createFromSignals, type PostedSignal } from '../../src/postbacks/from-signals.ts'
import { createPostbackLoop, type PostbackLoop } from '../../src/postbacks/loop.ts'
import { post } from '../../src/postbacks/post.ts'
import { createTargetPolicy, isPublic } from '../../src/postbacks/target.ts'
import { readSettings } from '../../src/settings/settings.ts'
import { openPages, type PageHouse, type Reader, secret } from '../pages/support.ts'

const MINUTE = 60_000
let house: PageHouse
let loop: PostbackLoop

/** A customer's program that takes postbacks. */
const received: Array<Record<string, string>> = []
const bodies: string[] = []
const answers: number[] = []
const receiver = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    bodies.push(Buffer.concat(chunks).toString())
    received.push(Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString())))
    headers = request.headers
    response.writeHead(answers.shift() ?? 200, { location: '/elsewhere' }).end('thanks')
  })
})
let headers: IncomingHttpHeaders = {}
let url = ''

beforeAll(async () => {
  house = await openPages()
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`
  await house.setting('optout_postback_url', url)
  await house.setting('hardbounce_postback_url', url)
  const { db, clock } = house
  loop = createPostbackLoop({ db, clock, log: createLog('test', 'silent'), publicUrl: 'http://127.0.0.1:8080' })
})
afterAll(async () => {
  receiver.close()
  await house.close()
})
beforeEach(() => house.setting('postback_api_changes', 'false'))
afterEach(async () => {
  received.length = 0
  answers.length = 0
  await sql`delete from postback`.execute(house.db)
  await sql`delete from signal`.execute(house.db)
})

/** What the dispatcher does with the signals that wait. */
async function dispatch(options: { twice?: boolean } = {}): Promise<void> {
  const fromSignals = createFromSignals({ sendIdOf: house.services.sends.sendIdOf })
  const rows = await house.db.selectFrom('signal').selectAll().orderBy('id').execute()
  const signals: PostedSignal[] = rows.map(({ shard, id, profile_id, type, payload }) => ({
    shard,
    id,
    profileId: profile_id,
    type,
    payload,
  }))
  const env = { now: house.clock.now(), settings: await readSettings(house.db) }
  for (let n = 0; n < (options.twice ? 2 : 1); n++) {
    await house.db.transaction().execute((tx) => fromSignals(tx, signals, env))
  }
}

const posted = async () => {
  await dispatch()
  await loop.deliverOnce()
  return received.map(({ api_key, sig, ...rest }) => rest)
}
const states = async () =>
  (await house.db.selectFrom('postback').select(['state', 'attempts', 'last_reply']).orderBy('id').execute()).map(
    ({ state, attempts, last_reply }) => [state, attempts, last_reply],
  )
const oneClick = (reader: Reader) => house.app.inject({ method: 'POST', url: reader.u })

describe('what is posted', () => {
  test('a person who leaves by one click, signed like an API call', async () => {
    const ada = await house.reader('ada')
    await oneClick(ada)
    const sendId = house.services.sends.sendIdOf(ada.messageId)
    expect(await posted()).toEqual([
      {
        action: 'optout',
        email: 'ada@example.com',
        mode: 'basic',
        optout: '1',
        reason: 'Unsubscribe-email',
        message_id: sendId,
        send_id: sendId,
      },
    ])
    const { sig, ...signed } = received[0]!
    expect(signed.api_key).toBe('0123456789abcdef')
    expect(verifySignature(Object.values(signed), secret, sig!)).toBe(true)
    expect(headers['content-type']).toBe('application/x-www-form-urlencoded')
  })

  test('one who comes back, and one who moves between levels', async () => {
    const bob = await house.reader('bob')
    await house.change(bob.id, { level: { to: 'all', mode: 'set' } })
    await sql`delete from signal`.execute(house.db)
    house.clock.advance(1_000)
    await (await house.get(bob.oc)).submit({ optout: 'basic' }, 1)
    expect(await posted()).toMatchObject([{ mode: 'basic', optout: '1' }])
    house.clock.advance(1_000)
    await (await house.get(bob.oc)).submit()
    await sql`delete from postback`.execute(house.db)
    received.length = 0
    await dispatch()
    await loop.deliverOnce()
    await loop.deliverOnce()
    expect(received.at(-1)).toMatchObject({ mode: 'basic', optout: '0' })
  })

  test('a template that was left, by name', async () => {
    const cai = await house.reader('cai')
    await (await house.get(cai.oc)).submit({ 'templates[Welcome]': null })
    expect(await posted()).toMatchObject([{ mode: 'template', template: 'Welcome', optout: '1' }])
  })

  test('what a program did by the API only when the account wants it', async () => {
    const dan = await house.reader('dan')
    await house.change(dan.id, { level: { to: 'all', mode: 'set' } })
    expect(await posted()).toEqual([])
    await house.setting('postback_api_changes', 'true')
    expect(await posted()).toMatchObject([{ mode: 'all', optout: '1' }])
  })

  test('a hard bounce, with the send it came of', async () => {
    const eva = await house.reader('eva')
    await house.services.profiles.change({
      person: { kind: 'id', value: eva.id },
      create: false,
      act: { via: 'bounce', evidence: 0, messageId: eva.messageId },
      deliverability: { address: eva.email, state: 'hardbounce', class: '5.1.1', detail: null },
    })
    const sendId = house.services.sends.sendIdOf(eva.messageId)
    expect(await posted()).toEqual([{ action: 'hardbounce', email: eva.email, send_id: sendId }])
  })

  test('once, though the signal came twice', async () => {
    await oneClick(await house.reader('fay'))
    await dispatch({ twice: true })
    expect(await states()).toHaveLength(1)
  })

  test('nothing when there is nowhere to post to', async () => {
    const gil = await house.reader('gil')
    await oneClick(gil)
    await house.setting('optout_postback_url', '')
    await dispatch()
    await house.setting('optout_postback_url', url)
    expect(await states()).toEqual([])
  })
})

describe('what a page and a link tell', () => {
  beforeAll(() => house.setting('update_postback_url', url))
  afterAll(() => house.setting('update_postback_url', ''))

  test('a saved page, with what it offered as it stands now', async () => {
    const ids = await house.services.lists.ensure(['Daily', 'Weekly'])
    await house.put(
      'own',
      `<form method="post"><input type="checkbox" name="lists[Daily]" value="1">
      <input type="checkbox" name="lists[Weekly]" value="1"><input name="vars[city]">
      <input type="checkbox" name="vars[pets][]" value="cat"><button name="optout_all" value="1">Out</button></form>`,
    )
    const ada = await house.reader('ada-page', { lists: new Map([[ids.get('Weekly')!, true]]) })
    const path = `/manage/own?${new URLSearchParams({ email: ada.email, hash: legacyManageHash(ada.email, secret) })}`
    const choice = { 'lists[Daily]': '1', 'lists[Weekly]': null, 'vars[city]': 'Köln', optout_all: null }
    await (await house.get(path)).submit({ ...choice, 'vars[pets][]': 'cat' })
    await loop.deliverOnce()
    const { api_key: _key, sig, ...told } = received[0]!
    expect(told).toEqual({
      action: 'update',
      sid: expect.stringMatching(/^[0-9a-f]{24}$/),
      email: ada.email,
      page: 'own',
      optout_email: 'none',
      'lists[Daily]': '1',
      'lists[Weekly]': '0',
      'vars[city]': 'Köln',
      'vars[pets][0]': 'cat',
    })
    const { sig: _sig, ...signed } = received[0]!
    expect(verifySignature(Object.values(signed), secret, sig!)).toBe(true)
  })

  test('an opt-out by the page of a message, with the send', async () => {
    const bob = await house.reader('bob-page')
    await (await house.get(bob.oc)).submit({ optout: 'basic' })
    await loop.deliverOnce()
    const sendId = house.services.sends.sendIdOf(bob.messageId)
    expect(received[0]).toMatchObject({ action: 'update', page: 'optout', optout_email: 'basic', send_id: sendId })
  })

  test('a confirmation, to the address that its template names, once', async () => {
    const cai = await house.reader('cai-page')
    const confirm = async () => {
      const path = await house.confirmPath(cai, null)
      await house.post(path, { confirm: '1' })
      await house.post(path, { confirm: '1' })
    }
    await confirm()
    expect(await states()).toEqual([])
    await house.services.templates.save('Welcome', { verify_post_url: url })
    await confirm()
    await loop.deliverOnce()
    const sendId = house.services.sends.sendIdOf(cai.messageId)
    expect(received.map(({ api_key, sig, ...rest }) => rest)).toEqual([
      { action: 'verify', email: cai.email, send_id: sendId },
    ])
    await house.services.templates.save('Welcome', { verify_post_url: '' })
  })
})

describe('delivery', () => {
  test('headers of our own tell a repetition from something new, and are signed', async () => {
    await oneClick(await house.reader('headers'))
    await dispatch()
    answers.push(500)
    await loop.deliverOnce()
    const first = { ...headers }
    house.clock.advance(MINUTE)
    await loop.deliverOnce()
    expect(headers['x-fairlead-event-id']).toBe(first['x-fairlead-event-id'])
    const stamp = String(headers['x-fairlead-timestamp'])
    expect(Number(stamp)).toBe(Math.floor(house.clock.now().getTime() / 1000))
    expect(Number(stamp) - Number(first['x-fairlead-timestamp'])).toBe(60)
    const signed = `${headers['x-fairlead-event-id']}.${stamp}.${bodies.at(-1)}`
    const mac = createHmac('sha256', secret).update(signed).digest('hex')
    expect(headers['x-fairlead-signature']).toBe(`v1=${mac}`)
  })

  test('anything but 200 is tried again after 1, 5, 30 minutes, 2, 6 and 24 hours, then given up', async () => {
    await oneClick(await house.reader('hal'))
    await dispatch()
    answers.push(500, 404, 204, 302, 503, 500, 500)
    const minutes = [1, 5, 30, 120, 360, 1440]
    for (const [index, wait] of minutes.entries()) {
      expect(await loop.deliverOnce()).toBe(1)
      expect(received).toHaveLength(index + 1)
      house.clock.advance(wait * MINUTE - 1)
      expect(await loop.deliverOnce()).toBe(0)
      house.clock.advance(1)
    }
    expect(await states()).toEqual([['queued', 6, 'HTTP 500']])
    await loop.deliverOnce()
    expect(await states()).toEqual([['failed', 7, 'HTTP 500']])
    house.clock.advance(2000 * MINUTE)
    expect(await loop.deliverOnce()).toBe(0)
  })

  test('what one person decides arrives in order, even when the first needs a second try', async () => {
    const ida = await house.reader('ida')
    await oneClick(ida)
    house.clock.advance(1_000)
    await (await house.get(ida.oc)).submit()
    await oneClick(await house.reader('jan'))
    await dispatch()
    answers.push(500, 500)
    await loop.deliverOnce()
    expect(received.map(({ email }) => email).sort()).toEqual(['ida@example.com', 'jan@example.com'])
    expect(await loop.deliverOnce()).toBe(0)
    house.clock.advance(MINUTE)
    while ((await loop.deliverOnce()) > 0) {}
    const mine = received.filter(({ email }) => email === 'ida@example.com').map(({ optout }) => optout)
    expect(mine).toEqual(['1', '1', '0'])
  })

  test('a worker that died leaves its postback to the next', async () => {
    await oneClick(await house.reader('kim'))
    await dispatch()
    await sql`update postback set attempts = 1, lease_until = ${new Date(house.clock.now().getTime() + 30_000)}`.execute(
      house.db,
    )
    expect(await loop.deliverOnce()).toBe(0)
    house.clock.advance(30_000)
    expect(await loop.deliverOnce()).toBe(1)
    expect(await states()).toEqual([['delivered', 2, 'HTTP 200']])
  })

  test('the loop runs until it is stopped', async () => {
    await oneClick(await house.reader('lea'))
    await dispatch()
    loop.start()
    await expect.poll(() => received.length).toBe(1)
    await loop.stop()
  })
})

describe('where postbacks may go', () => {
  test('addresses of the public internet only', () => {
    const inside =
      '10.1.2.3 127.0.0.1 169.254.169.254 172.20.0.1 192.168.1.1 100.64.0.1 0.0.0.0 224.0.0.1 255.255.255.255'
    for (const address of [
      ...inside.split(' '),
      '::1',
      '::',
      'fd00::1',
      'fe80::1',
      '::ffff:10.0.0.1',
      '2002:a00::1',
      '64:ff9b::a00:1',
    ]) {
      expect(isPublic(address), address).toBe(false)
    }
    for (const address of ['8.8.8.8', '172.32.0.1', '2606:4700::1111']) expect(isPublic(address), address).toBe(true)
  })

  test('this machine only while Fairlead itself is tried out on it', async () => {
    const home = createTargetPolicy('http://127.0.0.1:8080')
    const abroad = createTargetPolicy('https://mail.example.com')
    expect((await post(url, 'a=1', home)).ok).toBe(true)
    expect(await post(url, 'a=1', abroad)).toEqual({ ok: false, reply: '127.0.0.1 is not a public address' })
    const named = url.replace('127.0.0.1', 'localhost')
    expect((await post(named, 'a=1', home)).ok).toBe(true)
    expect(await post(named, 'a=1', abroad)).toEqual({ ok: false, reply: 'localhost has no public address' })
    expect((await post('http://10.0.0.1/', 'a=1', home)).ok).toBe(false)
    expect((await post('ftp://example.com/', 'a=1', home)).ok).toBe(false)
    expect((await post('nonsense', 'a=1', home)).ok).toBe(false)
  })

  test('a redirect is not followed', async () => {
    answers.push(302)
    expect(await post(url, 'a=1', createTargetPolicy('http://localhost'))).toEqual({ ok: false, reply: 'HTTP 302' })
    expect(received).toHaveLength(1)
  })
})
