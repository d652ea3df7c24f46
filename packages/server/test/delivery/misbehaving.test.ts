import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Relay } from '../../src/config.ts'
import type { DeliveryParts } from '../../src/delivery/loop.ts'
import { TIMEOUTS, type Timeouts } from '../../src/delivery/smtp/timeouts.ts'
import type { Place, Script, ScriptedSmtp } from '../support/scripted-smtp.ts'
import { AUTHORITY, CERTIFICATES, scripted } from './smtp/support.ts'
import { type MailHouse, mailHouse } from './support.ts'

/*
 * What becomes of a message, as its row tells, when the server misbehaves. Each row of a table is what the server does
 * once, and the fate of a message that meets it. Everything holds for messages that people wait for and for those of
 * campaigns, unless the row says otherwise. After every mishap the same worker has to send the next message.
 */

let house: MailHouse
let revisionId: number
let campaignId: number

beforeAll(async () => {
  house = await mailHouse()
  await house.templates.save('Notice', {
    subject: 'News',
    content_text: 'Hello {filler}',
    content_html: '<p>Hello {filler}</p>',
  })
  revisionId = (await house.templates.byName('Notice'))!.revisionId
  const { rows } = await sql<{ id: number }>`
    insert into campaign (name, status, content, list_ids, created_at, modified_at)
    values ('News', 'sending', '{}', '{}', now(), now()) returning id`.execute(house.db)
  campaignId = rows[0]!.id
})
afterAll(() => house.end())

const KINDS = ['triggered', 'campaign'] as const
type Kind = (typeof KINDS)[number]

/** In milliseconds; short, so that a server which says nothing is found out soon. */
const IMPATIENCE = 250
/** Where a server may hang while a step of the client's waits. */
const PLACES: { [step in keyof Timeouts]?: Place[] } = {
  greeting: ['greeting'],
  hello: ['EHLO'],
  tls: ['STARTTLS'],
  mail: ['MAIL'],
  rcpt: ['RCPT'],
  data: ['DATA'],
  block: ['inside'],
  final: ['inside', 'content'],
}

/**
 * Patience with a server: short where it is going to say nothing, and that of RFC 5321 everywhere else and afterwards.
 * On a busy machine a good answer may take its time. Each connection reads it when it opens.
 */
function patienceWith(server: ScriptedSmtp): Partial<Timeouts> {
  const timeouts: Partial<Timeouts> = {}
  for (const [step, places] of Object.entries(PLACES) as Array<[keyof Timeouts, Place[]]>) {
    const get = () => (places.some((place) => server.willHang(place)) ? IMPATIENCE : TIMEOUTS[step])
    Object.defineProperty(timeouts, step, { enumerable: true, get })
  }
  return timeouts
}

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

type Fate =
  /** Nothing was said about the message: no attempt, and it goes out when there is a connection. */
  | { is: 'waits' }
  | { is: 'sent' }
  /** Tried again after this long, in ms, and then taken. */
  | { is: 'deferred'; wait: number }
  /** For good; `address`: what was learnt about it. */
  | { is: 'failed'; reason: string; address?: string }
  /**
   * The server may have it (`isTaken`: it has): once more where a person waits for it, not again where it is a
   * campaign's.
   */
  | { is: 'in doubt'; isTaken: boolean }

const waits: Fate = { is: 'waits' }
const sent: Fate = { is: 'sent' }
const deferred = (wait: number) => ({ is: 'deferred', wait }) as const
const failed = (reason: string, address?: string): Fate => ({ is: 'failed', reason, address })
const inDoubt: Fate = { is: 'in doubt', isTaken: true }
const lostInDoubt: Fate = { is: 'in doubt', isTaken: false }
const broken = deferred(30 * SECOND)

let people = 0
/** Queues a message; nobody delivers it yet. */
async function queued(kind: Kind, vars: Record<string, string> = {}): Promise<{ id: number; address: string }> {
  people += 1
  const address = `ada${people}@example.com`
  const id = await house.send('Notice', address, { vars })
  if (kind === 'campaign') {
    await sql`update message set kind = 'campaign', campaign_id = ${campaignId}, template_id = null,
      revision_id = ${revisionId} where id = ${id}`.execute(house.db)
  }
  return { id, address }
}

function relayAt(server: ScriptedSmtp, more: Partial<Relay> = {}): Relay {
  return { host: '127.0.0.1', port: server.port, secure: false, user: null, password: null, ...more }
}

/** Starts a worker with one connection to these relays. */
function worker(relays: Relay[], changes: Partial<DeliveryParts> = {}) {
  let wake = () => {}
  const onWake = (hear: () => void) => {
    wake = hear
  }
  const delivery = house.deliver({ relays, connections: 1, opening: { ca: AUTHORITY }, onWake, ...changes })
  onTestFinished(() => delivery.stop())
  return {
    delivery,
    wake: () => wake(),
    advance(milliseconds: number) {
      house.clock.advance(milliseconds)
      wake()
    },
  }
}

const messageIdOf = (id: number) => `Message-ID: <${house.sends.sendIdOf(id)}@example.org>`
/** How often the server took a message. */
const timesTaken = (server: ScriptedSmtp, id: number) =>
  server.taken.filter((content) => content.includes(messageIdOf(id))).length

/** A message of each kind meets a server that is not ready; no attempt is spent on that. */
async function bothWait(script: Script, more: Partial<Relay> = {}): Promise<void> {
  const server = await scripted(script)
  const ids = [(await queued('triggered')).id, (await queued('campaign')).id]
  worker([relayAt(server, more)], { opening: { ca: AUTHORITY, timeouts: patienceWith(server) } })
  for (const id of ids) {
    expect(await house.reaches(id, 'sent')).toMatchObject({ attempts: 1, doubts: 0, reason: null })
    expect(timesTaken(server, id)).toBe(1)
  }
  expect(server.connections).toBe(2)
  expect(server.commands.filter((line) => line.startsWith('MAIL'))).toHaveLength(2)
}

/** One message meets a server that does this; then it is as its fate says, and so it stays. */
async function meets(
  kind: Kind,
  script: Script,
  fate: Exclude<Fate, { is: 'waits' }>,
  more: Partial<Relay> = {},
  vars = {},
): Promise<void> {
  const server = await scripted(script)
  const { id, address } = await queued(kind, vars)
  const opening = { ca: AUTHORITY, timeouts: patienceWith(server) }
  const { advance } = worker([relayAt(server, more)], { opening })
  const ended = { worker_id: null }
  let times = 1
  switch (fate.is) {
    case 'sent':
      expect(await house.reaches(id, 'sent')).toMatchObject({ ...ended, attempts: 1, reason: null, doubts: 0 })
      break
    case 'deferred':
      await laterSent(id, fate.wait, 0)
      break
    case 'failed':
      times = 0
      expect(await house.reaches(id, 'failed')).toMatchObject({ ...ended, attempts: 1, reason: fate.reason, doubts: 0 })
      break
    case 'in doubt':
      if (kind === 'triggered') {
        times = fate.isTaken ? 2 : 1
        await laterSent(id, 30 * SECOND, 1)
      } else {
        times = fate.isTaken ? 1 : 0
        const row = await house.reaches(id, 'in_doubt')
        expect(row).toMatchObject({ ...ended, attempts: 1, sent_at: null, settled_at: house.clock.now() })
        expect(row.reply).toMatch(/^in doubt: /)
      }
  }
  expect(await house.addressState(address)).toBe(fate.is === 'failed' ? fate.address : undefined)

  const { state, attempts } = await house.row(id)
  const next = await queued(kind)
  advance(100 * HOUR)
  expect(await house.reaches(next.id, 'sent')).toMatchObject({ attempts: 1 })
  expect(await house.row(id)).toMatchObject({ state, attempts })
  await expect.poll(() => timesTaken(server, id)).toBe(times)

  async function laterSent(id: number, wait: number, doubts: number): Promise<void> {
    const row = await house.reaches(id, 'deferred')
    expect(row).toMatchObject({ ...ended, attempts: 1, reason: null, settled_at: null, doubts })
    expect(row.due_at!.getTime() - house.clock.now().getTime()).toBe(wait)
    expect(row.reply).not.toBeNull()
    advance(wait)
    expect(await house.reaches(id, 'sent')).toMatchObject({ ...ended, attempts: 2, reason: null, doubts })
  }
}

type Acts = NonNullable<Script['acts']>
const at = (place: Place, act: NonNullable<Acts[Place]>): Script => ({ acts: { [place]: act } })

type Row = [name: string, script: Script, fate: Fate, relay?: Partial<Relay>]

function table(title: string, rows: readonly Row[], kinds: readonly Kind[] = KINDS) {
  describe(title, () => {
    for (const [name, script, fate, relay] of rows) {
      if (fate.is === 'waits') {
        test(`${name}: waits`, () => bothWait(script, relay))
        continue
      }
      test.each(kinds)(`${name}: ${fate.is}, %s`, (kind) => meets(kind, script, fate, relay))
    }
  })
}

table('a server that refuses before it was told of a message (RFC 5321 §3.1, §4.2.1)', [
  ['greets with 421', at('greeting', '421 4.3.2 closing down'), waits],
  ['greets with 450', at('greeting', '450 4.3.2 not now'), waits],
  ['greets with 452', at('greeting', '452 4.3.1 no room'), waits],
  ['greets with 550', at('greeting', '550 5.7.1 not you'), waits],
  ['greets with 554, which means: no mail here', at('greeting', '554 5.3.2 no mail here'), waits],
  ['421 at EHLO', at('EHLO', '421 4.3.2 closing down'), waits],
  ['450 at EHLO', at('EHLO', '450 4.3.2 not now'), waits],
  ['452 at EHLO', at('EHLO', '452 4.3.1 no room'), waits],
  ['550 at EHLO and at HELO', { acts: { EHLO: '550 5.7.1 not you', HELO: '550 5.7.1 not you' } }, waits],
  ['550 at EHLO, and knows HELO', at('EHLO', '550 what?'), sent],
])

table('a greeting that is none', [
  ['250', at('greeting', '250 hello'), waits],
  ['354', at('greeting', '354 go ahead'), waits],
  ['another protocol', at('greeting', 'HTTP/1.1 400 Bad Request'), waits],
  ['no text at all', at('greeting', '\u0000\u0001\u0002'), waits],
  ['lines without end', at('greeting', Array(300).fill('220-welcome').join('\n')), waits],
])

for (const [how, offers] of [
  ['with pipelining', ['PIPELINING', '8BITMIME', 'SIZE 1000000']],
  ['one command at a time', ['8BITMIME', 'SIZE 1000000']],
] as const) {
  // The rules are the same; the rows of campaigns need not be seen following them twice.
  const kinds = offers.length === 3 ? KINDS : (['triggered'] as const)
  const says = (place: Place, say: string): Script => ({ ...at(place, say), offers: [...offers] })

  table(
    `a refusal of the sender, ${how}: whatever it says, it is not about the recipient`,
    [
      ['421', says('MAIL', '421 4.3.2 closing down'), deferred(2 * MINUTE)],
      ['450', says('MAIL', '450 4.3.0 not now'), deferred(2 * MINUTE)],
      ['452', says('MAIL', '452 4.3.1 no room'), deferred(2 * MINUTE)],
      ['451 for sending too fast', says('MAIL', '451 4.7.1 rate limit exceeded'), deferred(10 * MINUTE)],
      ['530, who has to sign in first', says('MAIL', '530 5.7.0 Authentication required'), broken],
      ['550', says('MAIL', '550 5.1.0 no'), failed('refused')],
      ['550 in words of a mailbox', says('MAIL', '550 5.1.1 user unknown'), failed('refused')],
    ],
    kinds,
  )

  table(
    `a refusal of the recipient, ${how}`,
    [
      ['421', says('RCPT', '421 4.3.2 closing down'), deferred(2 * MINUTE)],
      ['450, greylisted', says('RCPT', '450 4.2.0 greylisted'), deferred(2 * MINUTE)],
      ['452, mailbox full', says('RCPT', '452 4.2.2 mailbox full'), deferred(HOUR)],
      ['452, no room', says('RCPT', '452 4.3.1 no room'), deferred(2 * MINUTE)],
      ['450 for sending too fast', says('RCPT', '450 4.7.1 too many messages, throttled'), deferred(10 * MINUTE)],
      ['550, no such user', says('RCPT', '550 5.1.1 no such user'), failed('hardbounce', 'hardbounce')],
      ['550, disabled', says('RCPT', '550 5.2.1 mailbox disabled'), failed('hardbounce', 'hardbounce')],
      ['550 without a reason', says('RCPT', '550 no'), failed('softbounce', 'softbounce')],
      ['552, mailbox full', says('RCPT', '552 5.2.2 over quota'), failed('softbounce', 'softbounce')],
      ['553, not an address', says('RCPT', '553 5.1.3 bad syntax'), failed('invalid', 'invalid')],
      ['550 for our reputation', says('RCPT', '550 5.7.1 blocked, see the blocklist'), failed('refused')],
    ],
    kinds,
  )

  table(
    `a refusal of the content before it was seen, ${how}`,
    [
      ['421', says('DATA', '421 4.3.2 closing down'), deferred(2 * MINUTE)],
      ['450', says('DATA', '450 4.3.0 not now'), deferred(2 * MINUTE)],
      ['452', says('DATA', '452 4.3.1 no room'), deferred(2 * MINUTE)],
      ['550', says('DATA', '550 5.7.0 no'), failed('refused')],
      ['an answer that means nothing there', says('DATA', '250 2.0.0 ok'), broken],
    ],
    kinds,
  )
}

table('a refusal of the content after it was seen', [
  ['421', at('content', '421 4.3.2 closing down'), deferred(2 * MINUTE)],
  ['450', at('content', '450 4.3.0 not now'), deferred(2 * MINUTE)],
  ['452', at('content', '452 4.3.1 no room'), deferred(2 * MINUTE)],
  ['550', at('content', '550 5.7.0 looks like spam'), failed('refused')],
  ['550 without a reason', at('content', '550 no'), failed('refused')],
  ['552, too large', at('content', '552 5.3.4 too large'), failed('refused')],
  ['550, no such user after all', at('content', '550 5.1.1 no such user'), failed('hardbounce', 'hardbounce')],
  ['an answer that means nothing there', at('content', '354 go ahead'), inDoubt],
])

for (const [how, act] of [
  ['says nothing more', { finally: 'hang' }],
  ['answers too late', { after: 'it was given up', say: '250 2.0.0 ok' }],
  ['hangs up', { finally: 'close' }],
  ['hangs up hard', { finally: 'reset' }],
] as const) {
  const late = 'after' in act
  table(`a server that ${how}`, [
    ['at its greeting', at('greeting', late ? { ...act, say: '220 ready' } : act), waits],
    ['at EHLO', at('EHLO', act), waits],
    ['at MAIL', at('MAIL', act), broken],
    ['at RCPT', at('RCPT', act), broken],
    ['at DATA', at('DATA', late ? { ...act, say: '354 go ahead' } : act), broken],
    // The whole content is on its way when its first bytes arrive, so nobody can know how far it came.
    ...(late ? [] : [['at the beginning of the content', at('inside', act), lostInDoubt] as [string, Script, Fate]]),
    ['after the end of the content', at('content', act), inDoubt],
  ])
}

describe('a content too large to be on its way at once', () => {
  // Some 16 MB where it is encoded for seven bits: more than the buffers between two processes take.
  const filler = { filler: '雪'.repeat(1_900_000) }
  const offers = ['PIPELINING']
  test.each(KINDS)('hung up on in the middle: certainly not taken, %s', (kind) =>
    meets(kind, { offers, ...at('inside', { finally: 'reset' }) }, broken, {}, filler),
  )
  test.each(KINDS)('refused in the middle: not taken, %s', (kind) =>
    meets(kind, { offers, ...at('inside', '452 4.3.1 no room') }, deferred(2 * MINUTE), {}, filler),
  )
})

const STARTTLS = ['STARTTLS', 'PIPELINING', '8BITMIME']
table('TLS where it is required: no message goes out without', [
  [
    'a refusal',
    { offers: STARTTLS, certificate: CERTIFICATES.server, ...at('STARTTLS', '454 4.7.0 not now') },
    waits,
    { tls: 'required' },
  ],
  [
    'no answer',
    { offers: STARTTLS, certificate: CERTIFICATES.server, ...at('STARTTLS', { finally: 'hang' }) },
    waits,
    { tls: 'required' },
  ],
  [
    'another protocol',
    {
      offers: STARTTLS,
      certificate: CERTIFICATES.server,
      ...at('STARTTLS', { say: '220 go\nnonsense', finally: 'close' }),
    },
    waits,
    { tls: 'required' },
  ],
  ['a good certificate', { offers: STARTTLS, certificate: CERTIFICATES.server }, sent, { tls: 'required' }],
])

test.each([
  ['made out to another host', { certificate: CERTIFICATES.elsewhere, offers: STARTTLS }, { tls: 'required' }],
  ['that ended', { certificate: CERTIFICATES.expired, offers: STARTTLS }, { tls: 'required' }],
  ['that ended, from the first byte', { certificate: CERTIFICATES.expired, secure: true }, { secure: true }],
  ['that does not exist, as STARTTLS is not offered', { offers: ['PIPELINING'] }, { tls: 'required' }],
] as const)('a certificate %s: mail waits without an attempt until another relay takes it', async (_, script, more) => {
  const bad = await scripted({ ...script, offers: 'offers' in script ? [...script.offers] : undefined })
  const ids = [(await queued('triggered')).id, (await queued('campaign')).id]
  const { delivery } = worker([relayAt(bad, more)])
  await expect.poll(() => bad.connections).toBeGreaterThan(1)
  await delivery.stop()
  for (const id of ids) expect(await house.row(id)).toMatchObject({ state: 'queued', attempts: 0, worker_id: null })
  expect(bad.commands.filter((line) => /^(MAIL|DATA)/.test(line))).toEqual([])
  const good = await scripted()
  worker([relayAt(good)])
  for (const id of ids) expect(await house.reaches(id, 'sent')).toMatchObject({ attempts: 1 })
})

table('what a server does not offer', [
  ['no extension at all', { offers: [] }, sent],
  ['no PIPELINING', { offers: ['8BITMIME', 'SIZE 1000000'] }, sent],
  ['SIZE without a limit', { offers: ['PIPELINING', 'SIZE'] }, sent],
])

test.each(KINDS)('a SIZE that no message fits: it is not tried, and its address is not to blame, %s', async (kind) => {
  const server = await scripted({ offers: ['PIPELINING', 'SIZE 100'] })
  const { id, address } = await queued(kind)
  worker([relayAt(server)])
  const row = await house.reaches(id, 'failed')
  expect(row).toMatchObject({ reason: 'unsendable', reply: expect.stringContaining('takes 100 at most') })
  expect(await house.addressState(address)).toBeUndefined()
  expect(server.commands.filter((line) => line.startsWith('MAIL'))).toEqual([])
})

test('a server that takes messages and never says so gets each twice at most', async () => {
  const server = await scripted(at('content', Array(5).fill({ finally: 'close' })))
  const { id, address } = await queued('triggered')
  const { advance } = worker([relayAt(server)])
  await house.reaches(id, 'deferred')
  advance(30 * SECOND)
  const row = await house.reaches(id, 'failed')
  expect(row).toMatchObject({ reason: 'in_doubt', attempts: 2, doubts: 2 })
  expect(row.reply).toMatch(/^in doubt: /)
  expect(timesTaken(server, id)).toBe(2)
  expect(await house.addressState(address)).toBeUndefined()
})

test('a refusal between two doubts does not make room for a third sending', async () => {
  const closes = { finally: 'close' } as const
  const server = await scripted(at('content', [closes, '450 4.3.0 not now', closes, closes]))
  const { id } = await queued('triggered')
  const { advance } = worker([relayAt(server)])
  await house.reaches(id, 'deferred')
  advance(30 * SECOND)
  await expect.poll(async () => (await house.row(id)).reply).toContain('not now')
  advance(5 * MINUTE)
  expect(await house.reaches(id, 'failed')).toMatchObject({ reason: 'in_doubt', attempts: 3 })
  expect(timesTaken(server, id)).toBe(2)
})

describe('a server that takes a few messages a connection (RFC 5321 §3.8)', () => {
  test.each([
    ['says 421 to the next', '421 4.4.2 enough for now'],
    ['says 421 in words of speed', '421 4.7.0 too many messages in this connection'],
    ['hangs up', { finally: 'close' } as const],
  ])('and %s: the next connection carries it, and nobody waits', async (_, farewell) => {
    const yes = '250 2.1.0 sender ok'
    const server = await scripted(at('MAIL', [yes, farewell, yes, yes, farewell]))
    const ids: number[] = []
    for (let n = 0; n < 4; n++) ids.push((await queued(KINDS[n % 2]!)).id)
    worker([relayAt(server)])
    for (const id of ids) expect(await house.reaches(id, 'sent')).toMatchObject({ attempts: 1 })
    expect(server.connections).toBe(3)
    expect(server.taken).toHaveLength(4)
  })

  test('unless it asks for patience', async () => {
    const server = await scripted(at('MAIL', ['250 2.1.0 sender ok', '421 4.7.0 rate limit exceeded']))
    const ids = [(await queued('triggered')).id, (await queued('triggered')).id]
    worker([relayAt(server)])
    await house.reaches(ids[0]!, 'sent')
    const row = await house.reaches(ids[1]!, 'deferred')
    expect(row.due_at!.getTime() - house.clock.now().getTime()).toBe(10 * MINUTE)
    await sql`update message set state = 'cancelled', due_at = null where id = ${ids[1]}`.execute(house.db)
  })
})

describe('a relay that is connected and says nothing', () => {
  // For minutes: who waited for it would outlast the test.
  const silent = (times: number) => at('greeting', Array(times).fill({ finally: 'hang' }))

  test('does not hold up a stop', async () => {
    const server = await scripted(silent(9))
    const { id } = await queued('triggered')
    const { delivery } = worker([relayAt(server)])
    await expect.poll(() => server.connections).toBe(1)
    await delivery.stop()
    expect(await house.row(id)).toMatchObject({ state: 'queued', attempts: 0 })
    await sql`update message set state = 'cancelled', due_at = null where id = ${id}`.execute(house.db)
  })

  test('does not hold up a stop while it is tried whether it is back', async () => {
    const server = await scripted(at('greeting', ['421 4.3.2 closing down', { finally: 'hang' }]))
    const { id } = await queued('triggered')
    const { delivery } = worker([relayAt(server)])
    await expect.poll(() => server.connections).toBe(2)
    await delivery.stop()
    expect(await house.row(id)).toMatchObject({ state: 'queued', attempts: 0 })
    await sql`update message set state = 'cancelled', due_at = null where id = ${id}`.execute(house.db)
  })

  test('does not hold up the mail of another one', async () => {
    const hanging = await scripted(at('greeting', ['421 4.3.2 closing down', { finally: 'hang' }]))
    const good = await scripted()
    const first = await queued('triggered')
    const { wake } = worker([relayAt(hanging), relayAt(good)], { connections: 2 })
    await house.reaches(first.id, 'sent')
    await expect.poll(() => hanging.connections).toBe(2)
    const next = await queued('campaign')
    wake()
    await house.reaches(next.id, 'sent')
    expect(good.taken).toHaveLength(2)
  })
})
