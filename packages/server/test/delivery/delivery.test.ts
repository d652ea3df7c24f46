import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type MailHouse, mailHouse, PUBLIC_URL, read } from './support.ts'

let house: MailHouse

beforeAll(async () => {
  house = await mailHouse()
  const { templates } = house
  await templates.save('Welcome', {
    from_name: 'Grüße',
    subject: 'Schön, dass du da bist, {first_name}',
    content_html: '<html><body><p>Hello {first_name}</p></body></html>',
  })
  await templates.save('Receipt', { subject: 'Your order', content_html: '<p>Thanks</p>', is_basic: true })
  const confirm = { subject: 'Please confirm', content_html: '<a href="{signup_confirm()}">Yes</a>' }
  await templates.save('Opt-in Confirm', confirm)
  house.deliver()
})
afterAll(() => house.end())
beforeEach(() => house.sink.accept())

const arrivedFor = (address: string) => house.sink.messages.filter((message) => message.to.includes(address))
const only = async (address: string) => {
  const arrived = arrivedFor(address)
  expect(arrived).toHaveLength(1)
  return read(arrived[0]!.raw)
}

test('a message arrives, once, with both parts, encoded headers and the ways to unsubscribe', async () => {
  const id = await house.send('Welcome', 'Ada@example.com', { vars: { first_name: 'Ada', name: 'Ada Ö.' } })
  const row = await house.reaches(id, 'sent')
  expect(row).toMatchObject({ attempts: 1, worker_id: null, sent_at: house.clock.now() })
  const mail = await only('Ada@example.com')
  expect(mail.subject).toBe('Schön, dass du da bist, Ada')
  expect(mail.from).toEqual({ name: 'Grüße', address: 'shop@example.org' })
  expect(mail.to).toEqual([{ name: 'Ada Ö.', address: 'Ada@example.com' }])
  expect(mail.messageId).toBe(`<${house.sends.sendIdOf(id)}@example.org>`)
  expect(mail.html).toContain('<p>Hello Ada</p>')
  const url = house.links.optoutPage({ messageId: id, profileId: row.profile_id })
  expect(mail.html).toContain(`<a href="${url}"`)
  expect(mail.text).toContain('Hello Ada')
  expect(mail.text).toContain(`Unsubscribe: ${url}`)
  expect(mail.header('list-unsubscribe')).toMatch(new RegExp(`^<${PUBLIC_URL}/u/[^>]+>$`))
  expect(mail.header('list-unsubscribe-post')).toBe('List-Unsubscribe=One-Click')
  expect(house.sink.messages[0]!.raw).toMatch(/^[\x00-\x7f]*?\r\n\r\n/)
  expect(await house.sends.get(house.sends.sendIdOf(id))).toMatchObject({ address: 'Ada@example.com', state: 'sent' })
})

test('a transactional message carries neither footer nor unsubscribe headers', async () => {
  await house.reaches(await house.send('Receipt', 'bob@example.com'), 'sent')
  const mail = await only('bob@example.com')
  expect(mail.header('list-unsubscribe')).toBeUndefined()
  expect(mail.html).not.toContain('/oc/')
})

test.each([
  ['mail', 450],
  ['mail', 451],
  ['rcpt', 421],
  ['rcpt', 450],
  ['rcpt', 451],
  ['data', 421],
  ['data', 451],
] as const)('%s answered %i: tried again later, then sent once', async (phase, code) => {
  const address = `later-${phase}-${code}@example.com`
  house.sink.refuse({ phase, code, text: 'not now', times: 1 })
  const id = await house.send('Welcome', address)
  const row = await house.reaches(id, 'deferred')
  expect(row).toMatchObject({ attempts: 1, reply: expect.stringContaining('not now') })
  expect(row.due_at!.getTime()).toBeGreaterThan(house.clock.now().getTime())
  expect(arrivedFor(address)).toHaveLength(0)
  house.clock.advance(15 * 60_000)
  expect(await house.reaches(id, 'sent')).toMatchObject({ attempts: 2 })
  expect(arrivedFor(address)).toHaveLength(1)
  expect(await house.addressState(address)).toBeUndefined()
})

test('a mailbox that does not exist is a hardbounce, and is refused from then on', async () => {
  const address = 'gone@example.com'
  house.sink.refuse({ phase: 'rcpt', recipient: address, code: 550, text: '5.1.1 no such user' })
  const id = await house.send('Welcome', address)
  expect(await house.reaches(id, 'failed')).toMatchObject({ reason: 'hardbounce' })
  expect(await house.addressState(address)).toBe('hardbounce')
  await expect(house.send('Opt-in Confirm', address)).rejects.toThrow('"code":35')
  expect(arrivedFor(address)).toHaveLength(0)
})

test('refusals that are not about the mailbox leave the address alone', async () => {
  for (const [phase, code, text, reason] of [
    ['mail', 550, '5.1.8 bad sender', 'refused'],
    ['rcpt', 554, '5.7.1 blocked by spam policy', 'refused'],
    ['data', 554, '5.6.0 message content rejected', 'refused'],
    ['data', 550, 'no', 'refused'],
  ] as const) {
    const address = `${phase}-${code}-${text.length}@example.com`
    house.sink.refuse({ phase, code, text, times: 1 })
    const id = await house.send('Welcome', address)
    expect(await house.reaches(id, 'failed')).toMatchObject({ reason, reply: expect.stringContaining(text) })
    expect(await house.addressState(address)).toBeUndefined()
  }
})

test('a mailbox that refuses for three days is given up as a softbounce', async () => {
  const address = 'full@example.com'
  house.sink.refuse({ phase: 'rcpt', recipient: address, code: 452, text: '4.2.2 mailbox full' })
  const id = await house.send('Welcome', address)
  await house.reaches(id, 'deferred')
  house.clock.advance(73 * 3_600_000)
  expect(await house.reaches(id, 'failed')).toMatchObject({ reason: 'softbounce' })
  expect(await house.addressState(address)).toBe('softbounce')
})

test('who opts out between the call and the hand-over gets nothing', async () => {
  const scheduledFor = new Date(house.clock.now().getTime() + 3_600_000)
  const id = await house.send('Welcome', 'changed@example.com', { scheduledFor })
  const act = { via: 'hosted_page', evidence: 2 } as const
  const person = { kind: 'email', value: 'changed@example.com' } as const
  await house.profiles.change({ person, act, level: { to: 'basic', mode: 'set' } })
  house.clock.advance(3_600_001)
  expect(await house.reaches(id, 'suppressed')).toMatchObject({ reason: 'optout_marketing' })
  expect(arrivedFor('changed@example.com')).toHaveLength(0)
})

test('a scheduled message waits for its time and uses the template of then', async () => {
  const scheduledFor = new Date(house.clock.now().getTime() + 3_600_000)
  await house.templates.save('Later', { subject: 'old', content_text: 'x' })
  const id = await house.send('Later', 'later@example.com', { scheduledFor })
  await house.templates.save('Later', { subject: 'new' })
  expect((await house.row(id)).state).toBe('queued')
  house.clock.advance(3_600_001)
  await house.reaches(id, 'sent')
  expect((await only('later@example.com')).subject).toBe('new')
})

test('Opt-in Confirm reaches who opted out of everything; its copy under another name does not', async () => {
  const person = { kind: 'email', value: 'out@example.com' } as const
  const act = { via: 'hosted_page', evidence: 2 } as const
  await house.profiles.change({ person, act, level: { to: 'all', mode: 'set' } })
  const copy = (await house.templates.byName('Opt-in Confirm'))!.fields
  await house.templates.save('Opt-in Confirm 2', { subject: copy.subject, content_html: copy.content_html })
  await expect(house.send('Opt-in Confirm 2', 'out@example.com')).rejects.toThrow('"code":32')
  await house.reaches(await house.send('Opt-in Confirm', 'out@example.com'), 'sent')
  const mail = await only('out@example.com')
  expect(mail.html).toMatch(/<a href="https:\/\/mail\.example\.com\/s\/[^"]+">Yes/)
  expect(mail.header('list-unsubscribe')).toBeUndefined()
  expect(mail.html).not.toContain('/oc/')
})

test('a template that stops is cancelled, one that breaks has failed, and says why', async () => {
  await house.templates.save('Stops', { subject: 'x', content_html: "{cancel(true, 'nothing to say')}" })
  expect(await house.reaches(await house.send('Stops', 'a@example.com'), 'cancelled')).toMatchObject({
    reason: 'nothing to say',
  })
  await house.templates.save('Breaks', {
    subject: 'x',
    content_html: '{x = range(1,1000)}{foreach x as a}{foreach x as b}{a}{/foreach}{/foreach}',
  })
  const row = await house.reaches(await house.send('Breaks', 'a@example.com'), 'failed')
  expect(row).toMatchObject({ reason: 'render', reply: expect.stringContaining('content_html') })
})

test('no value from outside can add a header', async () => {
  const evil = 'x\r\nBcc: evil@example.net\r\n\r\nbody'
  const id = await house.send('Welcome', 'inject@example.com', { vars: { first_name: evil, name: evil } })
  await house.reaches(id, 'sent')
  const mail = await only('inject@example.com')
  expect(mail.header('bcc')).toBeUndefined()
  expect(mail.subject).toContain('Bcc: evil@example.net')
  expect(arrivedFor('evil@example.net')).toHaveLength(0)
  const options = { headers: { 'X-Order': evil } }
  const refused = await house.reaches(await house.send('Welcome', 'inject@example.com', { options }), 'failed')
  expect(refused).toMatchObject({ reason: 'unsendable', reply: 'line break or NUL in "X-Order"' })
})

test('copies go to Cc and Bcc, and only Cc is seen', async () => {
  const headers = { Cc: 'Boss <boss@example.com>', Bcc: 'archive@example.com', 'X-Order': '7' }
  const options = { replyto: 'help@example.org', behalf_email: 'agent@example.org', headers, test: true }
  const id = await house.send('Receipt', 'copied@example.com', { options })
  await house.reaches(id, 'sent')
  expect(arrivedFor('copied@example.com')[0]!.to).toEqual([
    'copied@example.com',
    'boss@example.com',
    'archive@example.com',
  ])
  const mail = await only('archive@example.com')
  expect(mail.subject).toBe('[TEST] Your order')
  expect(mail.replyTo).toEqual([{ name: '', address: 'help@example.org' }])
  expect(mail.sender).toEqual({ name: '', address: 'agent@example.org' })
  expect(mail.cc).toEqual([{ name: 'Boss', address: 'boss@example.com' }])
  expect(mail.bcc).toBeUndefined()
  expect(mail.header('x-order')).toBe('7')
})
