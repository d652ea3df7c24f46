import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Level } from '../../src/consent/levels.ts'
import { shardOfKey } from '../../src/platform/shard.ts'
import { decideCopies } from '../../src/sends/copies.ts'
import { enqueue } from '../../src/sends/enqueue.ts'
import { OWN_MAILS } from '../../src/templates/names.ts'
import { type MailHouse, mailHouse, read, sendOf } from '../delivery/support.ts'

let house: MailHouse
const CONFIRM = '<a href="{signup_confirm()}">yes</a>'
beforeAll(async () => {
  house = await mailHouse()
  const plain = { subject: 'x', content_text: 'x' }
  await house.templates.save('Plain', plain)
  await house.templates.save('Basic', { ...plain, is_basic: true })
  await house.templates.save('Opt-in Confirm', { subject: 'x', content_html: CONFIRM })
  for (const level of ['blast', 'basic', 'all'] as const) await leave(`${level}@example.com`, level)
  await leaveTemplate('left@example.com', 'Plain')
  await bounce('bounced@example.com', 'hardbounce')
  await bounce('invalid@example.com', 'invalid')
  await block('blocked@example.com', 'blacklist')
  await block('never@example.com', 'never')
  await block('@blocked.example', 'blacklist')
})
afterAll(() => house.end())

const leaveTemplate = async (email: string, template: string) => {
  const made = await house.profiles.change({
    person: { kind: 'email', value: email },
    act: { via: 'hosted_page', evidence: 2 },
    templates: new Map([[await idOf(template), { out: true, name: template }]]),
  })
  expect(made.ok).toBe(true)
}
const leave = (email: string, level: Level) =>
  house.profiles.change({
    person: { kind: 'email', value: email },
    act: { via: 'hosted_page', evidence: 2 },
    level: { to: level, mode: 'set' },
  })
const idOf = async (name: string) => (await house.templates.byName(name))!.id
const bounce = (address: string, state: string) =>
  sql`insert into address (shard, address, state, since)
    values (${shardOfKey('email', address)}, ${address}, ${state}, ${house.clock.now()})`.execute(house.db)
const block = (pattern: string, kind: string) =>
  sql`insert into blocked_address (pattern, kind, at) values (${pattern}, ${kind}, ${house.clock.now()})`.execute(
    house.db,
  )

const EVERYBODY = {
  'blast@example.com': { Plain: 0, Basic: 0, receipt: 0 },
  'basic@example.com': { Plain: 37, Basic: 0, receipt: 0 },
  'all@example.com': { Plain: 32, Basic: 32, receipt: 0 },
  'left@example.com': { Plain: 33, Basic: 0, receipt: 33 },
  'bounced@example.com': { Plain: 35, Basic: 35, receipt: 35 },
  'invalid@example.com': { Plain: 11, Basic: 11, receipt: 11 },
  'blocked@example.com': { Plain: 31, Basic: 31, receipt: 31 },
  'anybody@blocked.example': { Plain: 31, Basic: 31, receipt: 31 },
  'never@example.com': { Plain: 34, Basic: 34, receipt: 34 },
  'nobody@example.com': { Plain: 0, Basic: 0, receipt: 0 },
}

/** Queues a message with these headers and says what became of its copies. */
async function sent(template: string, headers: { [name: string]: string }, email = 'main@example.com', more = {}) {
  const outcome = await house.sends.send(
    sendOf(template, email, { options: { headers, replyto: 'r@example.com' }, ...more }),
  )
  const one = outcome.ok ? outcome.sends[0]! : null
  if (!one?.ok) return { code: one?.code }
  const { options } = await house.row(one.messageId)
  expect(options.replyto).toBe('r@example.com')
  return {
    id: one.messageId,
    headers: options.headers,
    refused: Object.fromEntries((one.refusedCopies ?? []).map(({ address, code }) => [address, code])),
  }
}

for (const header of ['Cc', 'Bcc', 'cc', 'BCC']) {
  test.each(['Plain', 'Basic'] as const)(`each ${header} is decided like a recipient: %s`, async (template) => {
    const expected = Object.entries(EVERYBODY).map(([address, codes]) => [address, codes[template]] as const)
    const { headers, refused } = await sent(template, { [header]: Object.keys(EVERYBODY).join(', '), 'X-Order': '7' })
    expect(refused).toEqual(Object.fromEntries(expected.filter(([, code]) => code > 0)))
    const kept = expected.flatMap(([address, code]) => (code === 0 ? [address] : [])).join(', ')
    expect(headers).toEqual({ [/^cc$/i.test(header) ? 'Cc' : 'Bcc']: kept, 'X-Order': '7' })
  })
}

test('a copy of a receipt reaches who opted out, and nobody else than a receipt would', async () => {
  const made = await leave('buyer@example.com', 'all')
  if (!made.ok) throw new Error('refused')
  const env = { now: house.clock.now(), settings: await house.settings.get(), wishesOf: house.refusals.wishesOf }
  const template = (await house.templates.byName('Plain'))!
  const options = { headers: { Cc: Object.keys(EVERYBODY).join(',') } }
  const rest = { vars: {}, origin: 'api' as const, force: 'receipt' as const }
  const request = { profileId: made.profileId, address: 'buyer@example.com', template, options, ...rest }
  const [outcome] = await enqueue(house.db, [request], env)
  const expected = Object.entries(EVERYBODY).filter(([, { receipt }]) => receipt > 0)
  expect(outcome!.ok && outcome!.refusedCopies!.map(({ address, code }) => [address, code])).toEqual(
    expected.map(([address, { receipt }]) => [address, receipt]),
  )
})

test('who is refused as the recipient gets no message, and nor do the copies', async () => {
  expect(await sent('Plain', { Cc: 'nobody@example.com' }, 'all@example.com')).toEqual({ code: 32 })
})

test.each([
  ['a display name', 'The Boss <ALL@Example.com>, Bo <ok@example.com>', { Cc: '"Bo" <ok@example.com>' }],
  ['a quoted comma', '"Lovelace, Ada" <all@example.com>, "B, C" <ok@example.com>', { Cc: '"B, C" <ok@example.com>' }],
  [
    'an address inside a name',
    '"all@example.com" <ok@example.com>, all@example.com',
    { Cc: '"all@example.com" <ok@example.com>' },
  ],
  [
    'a quote inside a name',
    '"say \\"x\\", all" <ok@example.com>, all@example.com',
    { Cc: '"say \\"x\\", all" <ok@example.com>' },
  ],
  ['brackets alone', '<all@example.com>', {}],
  ['the recipient again', 'MAIN@example.com, ok@example.com, Ok@Example.COM', { Cc: 'ok@example.com' }],
  ['nothing but the recipient', 'Main <main@EXAMPLE.com>', {}],
  ['a group', 'friends: all@example.com, ok@example.com;', {}],
])('%s: the mailbox counts', async (_, value, headers) => {
  const answer = await sent('Plain', { Cc: value })
  expect(answer.headers).toEqual(headers)
})

test('the same mailbox in both headers is copied once', async () => {
  expect((await sent('Plain', { Cc: 'one@example.com', Bcc: 'ONE@example.com, two@example.com' })).headers).toEqual({
    Cc: 'one@example.com',
    Bcc: 'two@example.com',
  })
})

test('headers without copies, and copies that nothing stands against, stay as they were given', async () => {
  const given: Array<{ [name: string]: string }> = [
    { 'X-Order': '7' },
    { Bcc: ' Someone <new@example.com>,b@example.com ', 'X-Order': '7' },
  ]
  for (const headers of given) {
    expect(await sent('Plain', headers)).toMatchObject({ headers, refused: {} })
  }
})

test('a message that holds a confirmation link goes to its one address', async () => {
  await house.templates.save('Double', { subject: 'x', content_html: CONFIRM, is_basic: true })
  await house.templates.save('Double 2', { subject: 'x', content_text: "{if 1 == 2}{signup_confirm(['A'])}{/if}" })
  await house.templates.save('Double 3', { subject: 'x', content_html: '<a href="{signup_confirm_url}">y</a>' })
  await house.templates.save('Double 4', { setup: '{x = signup_confirm_url}', subject: 'x', content_html: '{x}' })
  for (const name of OWN_MAILS) await house.templates.save(name, { subject: 'x', content_text: 'x' })
  const holding = ['Opt-in Confirm', 'Double', 'Double 2', 'Double 3', 'Double 4', ...OWN_MAILS]
  for (const template of holding) {
    const headers = { Cc: 'nobody@example.com', Bcc: 'main@example.com, all@example.com', 'X-Order': '7' }
    expect(await sent(template, headers), template).toMatchObject({
      headers: { 'X-Order': '7' },
      refused: { 'nobody@example.com': 99, 'all@example.com': 99 },
    })
  }
})

test('a message that waits for its time is decided about when it is given copies', async () => {
  const scheduledFor = new Date(house.clock.now().getTime() + 3_600_000)
  for (const [template, refused] of [
    ['Plain', [{ address: 'all@example.com', code: 32, reason: 'optout_all' }]],
    [
      'Opt-in Confirm',
      ['all@example.com', 'ok@example.com'].map((address) => ({ address, code: 99, reason: 'confirmation' })),
    ],
  ] as const) {
    const id = await house.send(template, 'waits@example.com', { scheduledFor })
    const options = { headers: { Cc: 'all@example.com, ok@example.com' } }
    const outcome = await house.sends.update(house.sends.sendIdOf(id), { options })
    expect(outcome).toMatchObject({ ok: true, refusedCopies: refused })
    expect((await house.row(id)).options.headers).toEqual(template === 'Plain' ? { Cc: 'ok@example.com' } : {})
    await house.sends.cancel(house.sends.sendIdOf(id))
  }
})

test('what was refused for an address stands against a copy when nobody has the address', async () => {
  const erased = 'erased-copy@example.com'
  await leave(erased, 'all')
  const act = { via: 'api', evidence: 0 } as const
  await house.profiles.change({ person: { kind: 'email', value: erased }, act, erase: true })
  const template = (await house.templates.byName('Plain'))!
  const message = {
    address: 'main@example.com',
    kind: 'triggered' as const,
    template,
    options: { headers: { Cc: erased } },
  }
  const [decided] = await decideCopies(house.db, house.refusals.wishesOf, [message])
  expect(decided?.refused).toEqual([{ address: erased, code: 32, reason: 'optout_all' }])
})

test('few statements for the copies of all messages, however many, and none where there are no copies', async () => {
  let statements = 0
  const counted = house.db.withPlugin({
    transformQuery({ node }) {
      statements += 1
      return node
    },
    transformResult: async ({ result }) => result,
  })
  const template = (await house.templates.byName('Plain'))!
  const message = (options: object) => ({ address: 'main@example.com', kind: 'triggered' as const, template, options })
  await decideCopies(counted, house.refusals.wishesOf, [message({}), message({ headers: { 'X-Order': '7' } }), null])
  expect(statements).toBe(0)
  const many = Array.from({ length: 50 }, (_, n) => message({ headers: { Cc: `c${n}@example.com, all@example.com` } }))
  const decided = await decideCopies(counted, house.refusals.wishesOf, [...many, null, message({})])
  expect(statements).toBeLessThanOrEqual(4)
  expect(decided.filter((one) => one?.refused.length === 1)).toHaveLength(50)
})

test('copies are decided again at the hand-over, and left out of header and envelope', async () => {
  await house.templates.save('Later', { subject: 'x', content_text: 'x' })
  const names = ['stays', 'leaves', 'bounces', 'blocked', 'unsubscribes', 'blind', 'blind-leaves']
  const [stays, leaves, bounces, isBlocked, unsubscribes, blind, blindLeaves] = names.map(
    (name) => `${name}@late.example`,
  )
  const headers = {
    Cc: `Stays <${stays}>, ${leaves}, "B, B" <${bounces}>, ${isBlocked}, ${unsubscribes}`,
    Bcc: `${blind}, ${blindLeaves}`,
  }
  const { id, refused } = await sent('Later', headers, 'first@late.example')
  const plain = await sent('Later', { 'X-Order': '7' }, 'second@late.example')
  const becomesConfirmation = await sent('Later', { Cc: stays! }, 'third@late.example', {
    scheduledFor: new Date(house.clock.now().getTime() + 3_600_000),
  })
  expect(refused).toEqual({})
  await leave(leaves!, 'all')
  await leave(blindLeaves!, 'basic')
  await bounce(bounces!, 'hardbounce')
  await block(isBlocked!, 'blacklist')
  await leaveTemplate(unsubscribes!, 'Later')
  house.deliver()
  await house.reaches(id!, 'sent')
  await house.reaches(plain.id!, 'sent')
  const arrived = (address: string) => house.sink.messages.filter(({ to }) => to.includes(address))
  const [mail] = arrived('first@late.example')
  expect(mail!.to).toEqual(['first@late.example', stays, blind])
  expect((await read(mail!.raw)).cc).toEqual([{ name: 'Stays', address: stays }])
  expect(arrived('second@late.example')[0]!.to).toEqual(['second@late.example'])
  await house.templates.save('Later', { subject: 'x', content_html: CONFIRM })
  house.clock.advance(3_600_000)
  await house.reaches(becomesConfirmation.id!, 'sent')
  expect(arrived('third@late.example')[0]!.to).toEqual(['third@late.example'])
})
