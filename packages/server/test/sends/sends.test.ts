import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { enqueue } from '../../src/sends/enqueue.ts'
import { changeSetting } from '../../src/settings/settings.ts'
import { type MailHouse, mailHouse, sendOf } from '../delivery/support.ts'

let house: MailHouse
beforeAll(async () => {
  house = await mailHouse()
  await house.templates.save('Plain', { subject: 'x', content_text: 'x' })
  await house.templates.save('Basic', { subject: 'x', content_text: 'x', is_basic: true })
  await house.templates.save('Opt-in Confirm', { subject: 'x', content_html: '<a href="{signup_confirm()}">y</a>' })
})
afterAll(() => house.end())

const leave = (email: string, level: 'blast' | 'basic' | 'all') =>
  house.profiles.change({
    person: { kind: 'email', value: email },
    act: { via: 'hosted_page', evidence: 2 },
    level: { to: level, mode: 'set' },
  })

const answer = async (template: string, email: string, more = {}) => {
  const outcome = await house.sends.send(sendOf(template, email, more))
  if (!outcome.ok) return outcome.code
  const [first] = outcome.sends
  return first!.ok ? 'sent' : first!.code
}

test('an unknown address gets a profile on no list, and keeps its spelling', async () => {
  const id = await house.send('Plain', ' New.Person@Example.com ')
  expect(await house.row(id)).toMatchObject({ address: 'New.Person@Example.com', state: 'queued', kind: 'triggered' })
  expect(await house.sends.get(house.sends.sendIdOf(id))).toMatchObject({
    address: 'New.Person@Example.com',
    template: 'Plain',
  })
})

test('each level is answered as documented', async () => {
  await leave('blast@example.com', 'blast')
  await leave('basic@example.com', 'basic')
  await leave('all@example.com', 'all')
  expect(await answer('Plain', 'blast@example.com')).toBe('sent')
  expect(await answer('Plain', 'basic@example.com')).toBe(37)
  expect(await answer('Basic', 'basic@example.com')).toBe('sent')
  expect(await answer('Basic', 'all@example.com')).toBe(32)
  expect(await answer('Opt-in Confirm', 'all@example.com')).toBe('sent')
  expect(await answer('Nothing', 'all@example.com')).toBe(14)
  expect(await answer('Plain', 'no address')).toBe(11)
})

test('a disabled template sends nothing', async () => {
  await house.templates.save('Off', { subject: 'x', content_text: 'x', is_disabled: true })
  expect(await answer('Off', 'anybody@example.com')).toBe(99)
})

test('many addresses: each its own answer, and its own vars over those of the call', async () => {
  const emails = ['one@example.com', 'all@example.com', 'two@example.com']
  const vars = { a: 1, b: 2 }
  const outcome = await house.sends.send(sendOf('Plain', emails, { vars, evars: { 'two@example.com': { b: 3 } } }))
  expect(outcome).toMatchObject({ ok: true, sends: [{ ok: true }, { ok: false, code: 32 }, { ok: true }] })
  if (!outcome.ok || !outcome.sends[0]?.ok || !outcome.sends[2]?.ok) throw new Error('refused')
  expect((await house.row(outcome.sends[0].messageId)).vars).toEqual({ a: 1, b: 2 })
  expect((await house.row(outcome.sends[2].messageId)).vars).toEqual({ a: 1, b: 3 })
})

test('calls at the same time each get their own message', async () => {
  const ids = await Promise.all(Array.from({ length: 200 }, (_, n) => house.send('Plain', `c${n}@example.com`)))
  expect(new Set(ids).size).toBe(200)
  const addresses = await Promise.all(ids.map(async (id) => (await house.row(id)).address))
  expect(addresses).toEqual(ids.map((_, n) => `c${n}@example.com`))
})

test('five confirmations a day reach somebody who opted out; then the ordinary rule answers', async () => {
  await leave('often@example.com', 'basic')
  const answers = []
  for (let n = 0; n < 7; n++)
    answers.push(await answer('Opt-in Confirm', n % 2 ? 'Often@example.com' : 'often@example.com'))
  expect(answers).toEqual(['sent', 'sent', 'sent', 'sent', 'sent', 37, 37])
  house.clock.advance(24 * 3_600_000 + 1)
  expect(await answer('Opt-in Confirm', 'often@example.com')).toBe('sent')
})

test('the limit of confirmations holds for calls at the same time', async () => {
  await leave('crowd@example.com', 'all')
  const answers = await Promise.all(Array.from({ length: 20 }, () => answer('Opt-in Confirm', 'crowd@example.com')))
  expect(answers.filter((one) => one === 'sent')).toHaveLength(5)
  await leave('crowd2@example.com', 'all')
  const many = await house.sends.send(sendOf('Opt-in Confirm', Array(9).fill('crowd2@example.com')))
  expect(many.ok && many.sends.filter((one) => one.ok)).toHaveLength(5)
})

test('somebody who did not opt out is not counted', async () => {
  for (let n = 0; n < 8; n++) expect(await answer('Opt-in Confirm', 'in@example.com')).toBe('sent')
})

test('send ids are 16 safe characters that cannot be made up', async () => {
  const id = await house.send('Plain', 'ids@example.com')
  const sendId = house.sends.sendIdOf(id)
  expect(sendId).toMatch(/^[\w-]{16}$/)
  expect(house.sends.messageIdOf(sendId)).toBe(id)
  expect(house.sends.messageIdOf(house.sends.sendIdOf(2 ** 53 - 1))).toBe(2 ** 53 - 1)
  for (let at = 0; at < 16; at++) {
    const other = sendId.slice(0, at) + (sendId[at] === 'A' ? 'B' : 'A') + sendId.slice(at + 1)
    expect(house.sends.messageIdOf(other)).toBeNull()
  }
  for (const text of ['', 'x', sendId + 'A', 'ä'.repeat(16)]) expect(house.sends.messageIdOf(text)).toBeNull()
})

test('a send is unknown after 90 days', async () => {
  const sendId = house.sends.sendIdOf(await house.send('Plain', 'old@example.com'))
  house.clock.advance(91 * 86_400_000)
  expect(await house.sends.get(sendId)).toBeNull()
})

test('only a scheduled message that has not left can be cancelled or changed', async () => {
  const { sends } = house
  const scheduledFor = new Date(house.clock.now().getTime() + 3_600_000)
  const scheduled = sends.sendIdOf(await house.send('Plain', 's@example.com', { scheduledFor, vars: { a: 1 } }))
  expect(await sends.update(scheduled, { vars: { a: 2 } })).toMatchObject({ ok: true, record: { state: 'queued' } })
  expect((await house.row(sends.messageIdOf(scheduled)!)).vars).toEqual({ a: 2 })
  expect(await sends.cancel(scheduled)).toBe('cancelled')
  expect(await sends.cancel(scheduled)).toBe('cancelled')
  expect(await sends.update(scheduled, { vars: {} })).toEqual({ ok: false, reason: 'too_late' })
  const immediate = sends.sendIdOf(await house.send('Plain', 's@example.com'))
  expect(await sends.cancel(immediate)).toBe('too_late')
  expect(await sends.cancel('AAAAAAAAAAAAAAAA')).toBe('unknown')
})

test('a guard refuses the second message in its span, or lets it replace the first', async () => {
  const limit = { name: 'cart', within: 86_400_000, conflict: 'fail' } as const
  expect(await answer('Plain', 'guard@example.com', { limit })).toBe('sent')
  expect(await answer('Plain', 'guard@example.com', { limit })).toBe(99)
  expect(await answer('Plain', 'other@example.com', { limit })).toBe('sent')
  expect(await answer('Basic', 'guard@example.com', { limit })).toBe('sent')
  house.clock.advance(86_400_001)
  expect(await answer('Plain', 'guard@example.com', { limit })).toBe('sent')
  const update = { ...limit, conflict: 'update' } as const
  const first = await house.send('Basic', 'update@example.com', { limit: update, vars: { n: 1 } })
  expect(await house.send('Basic', 'update@example.com', { limit: update, vars: { n: 2 } })).toBe(first)
  expect((await house.row(first)).vars).toEqual({ n: 2 })
  const answers = await Promise.all(
    Array.from({ length: 6 }, () => answer('Plain', 'race@example.com', { limit: { ...limit, name: 'race' } })),
  )
  expect(answers.filter((one) => one === 'sent')).toHaveLength(1)
})

test('a dedupe key makes one message of many requests, in one batch and in several', async () => {
  const template = (await house.templates.byName('Plain'))!
  const profileId = (await house.row(await house.send('Plain', 'key@example.com'))).profile_id
  const request = {
    profileId,
    address: 'key@example.com',
    template,
    vars: {},
    options: {},
    origin: 'flow',
    dedupeKey: 'run/1',
  } as const
  const env = { now: house.clock.now(), settings: await house.settings.get() }
  const first = await enqueue(house.db, [request, request], env)
  const second = await enqueue(house.db, [request], env)
  const ids = [...first, ...second].map((outcome) => outcome.ok && outcome.messageId)
  expect(new Set(ids).size).toBe(1)
  expect([...first, ...second].map((outcome) => outcome.ok && outcome.duplicate)).toEqual([false, true, true])
})

test('a receipt reaches who opted out of all, unless the account says otherwise', async () => {
  const template = (await house.templates.byName('Plain'))!
  const changed = await leave('buyer@example.com', 'all')
  if (!changed.ok) throw new Error('no buyer')
  const address = 'buyer@example.com'
  const request = {
    profileId: changed.profileId,
    address,
    template,
    vars: {},
    options: {},
    origin: 'purchase',
  } as const
  const env = { now: house.clock.now(), settings: await house.settings.get() }
  expect(await enqueue(house.db, [{ ...request, force: 'receipt' }], env)).toMatchObject([{ ok: true }])
  await changeSetting(house.db, house.clock, 'force_receipts', 'false')
  house.settings.forget()
  const strict = { ...env, settings: await house.settings.get() }
  expect(await enqueue(house.db, [{ ...request, force: 'receipt' }], strict)).toMatchObject([{ ok: false, code: 32 }])
})

test('a template that scheduled messages need cannot be removed', async () => {
  await house.templates.save('Needed', { subject: 'x', content_text: 'x' })
  const scheduledFor = new Date(house.clock.now().getTime() + 3_600_000)
  const id = await house.send('Needed', 'x@example.com', { scheduledFor })
  expect(await house.templates.remove('Needed')).toEqual({ ok: false, reason: 'in_use' })
  await house.sends.cancel(house.sends.sendIdOf(id))
  expect(await house.templates.remove('Needed')).toEqual({ ok: true })
  const { rows } = await sql<{ n: number }>`select count(*)::int as n from message where id = ${id}`.execute(house.db)
  expect(rows[0]?.n).toBe(1)
})
