import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Direct } from '../../../src/config.ts'
import { directSource } from '../../../src/delivery/mx/direct.ts'
import type { Opening } from '../../../src/delivery/transport.ts'
import type { Script } from '../../support/scripted-smtp.ts'
import { CERTIFICATES, CONTENT } from '../smtp/support.ts'
import { type MailHouse, mailHouse } from '../support.ts'
import { serversOnOnePort, type TestWorld, world, type Zone } from './support.ts'

const DIRECT: Direct = { name: 'mail.example.org', tls: 'opportunistic' }
const at = (n: number): Zone[string] => ({ a: [`127.0.0.${n}`] })

async function way(asked: TestWorld, direct: Partial<Direct> = {}, opening: Opening = {}, time?: () => number) {
  const source = directSource({ ...DIRECT, ...direct }, asked, time)
  const connection = await source.open(opening)
  onTestFinished(() => connection.close())
  return connection
}

const message = (...to: string[]) => ({ envelope: { from: 'shop@example.org', to }, raw: CONTENT })

test('a message goes to the first server that answers, under our name', async () => {
  const { port, servers } = await serversOnOnePort({ acts: { greeting: '421 4.3.2 too busy' } }, {})
  const zone: Zone = {
    'example.com': {
      mx: [
        [5, 'none.example.com'],
        [10, 'mx1.example.com'],
        [20, 'mx2.example.com'],
      ],
    },
    'none.example.com': at(9),
    'mx1.example.com': at(2),
    'mx2.example.com': at(3),
  }
  const connection = await way(world(zone, port))
  expect(await connection.transmit(message('ada@example.com'))).toMatchObject({ kind: 'accepted' })
  expect(servers[0]!.commands).toEqual([])
  expect(servers[1]!.commands).toEqual([
    'EHLO mail.example.org',
    expect.stringMatching(/^MAIL FROM:<shop@example\.org>/),
    'RCPT TO:<ada@example.com>',
    'DATA',
  ])
})

test('a connection stays for the next message to the same domain, and ends before one to another', async () => {
  const { port, servers } = await serversOnOnePort({}, {})
  const asked = world({ 'example.com': at(2), 'example.net': at(3) }, port)
  const connection = await way(asked)
  for (const to of ['a@example.com', 'b@Example.com', 'c@example.net', 'd@example.com']) {
    expect(await connection.transmit(message(to))).toMatchObject({ kind: 'accepted' })
  }
  expect(servers.map(({ connections }) => connections)).toEqual([2, 1])
  expect(servers[0]!.commands.filter((line) => line === 'QUIT')).toHaveLength(1)
  expect(asked.asked.filter((question) => question.startsWith('MX'))).toEqual([
    'MX example.com',
    'MX example.net',
    'MX example.com',
  ])
})

test('a server that ends a connection between messages is met again over another', async () => {
  const yes = '250 2.1.0 sender ok'
  const { port, servers } = await serversOnOnePort({
    acts: { MAIL: [yes, '421 4.4.2 enough', yes, '421 4.3.2 closing'] },
  })
  const connection = await way(world({ 'example.com': at(2) }, port))
  expect(await connection.transmit(message('a@example.com'))).toMatchObject({ kind: 'accepted' })
  expect(await connection.transmit(message('b@example.com'))).toMatchObject({ kind: 'accepted' })
  expect(servers[0]!.connections).toBe(2)
})

test('one that ends a new connection so is asked no more than once', async () => {
  const { port, servers } = await serversOnOnePort({ acts: { MAIL: '421 4.3.2 closing down' } })
  const connection = await way(world({ 'example.com': at(2) }, port))
  expect(await connection.transmit(message('a@example.com'))).toMatchObject({ kind: 'refused', reply: { code: 421 } })
  expect(servers[0]!.connections).toBe(1)
})

describe('encryption (RFC 7435)', () => {
  const STARTTLS = ['STARTTLS', 'PIPELINING', '8BITMIME']

  test('is taken where it is offered, whatever the certificate', async () => {
    const { port, servers } = await serversOnOnePort({ offers: STARTTLS, certificate: CERTIFICATES.elsewhere })
    const connection = await way(world({ 'example.com': at(2) }, port))
    expect(await connection.transmit(message('a@example.com'))).toMatchObject({ kind: 'accepted' })
    expect(servers[0]!.commands.slice(0, 3)).toEqual(['EHLO mail.example.org', 'STARTTLS', 'EHLO mail.example.org'])
  })

  test('that a server offers and cannot do is not insisted on', async () => {
    const acts: Script['acts'] = { STARTTLS: { say: '220 go\nnonsense', finally: 'close' } }
    const { port, servers } = await serversOnOnePort({ offers: STARTTLS, certificate: CERTIFICATES.server, acts })
    const connection = await way(world({ 'example.com': at(2) }, port))
    expect(await connection.transmit(message('a@example.com'))).toMatchObject({ kind: 'accepted' })
    expect(servers[0]!.connections).toBe(2)
    expect(servers[0]!.commands.filter((line) => line === 'STARTTLS')).toHaveLength(1)
  })

  test('can be required, or left out', async () => {
    const { port, servers } = await serversOnOnePort({ offers: ['PIPELINING'] }, { offers: STARTTLS })
    const zone = { 'example.com': at(2), 'example.net': at(3) }
    const strict = await way(world(zone, port), { tls: 'required' })
    const outcome = await strict.transmit(message('a@example.com'))
    expect(outcome).toMatchObject({ kind: 'broken', isInDoubt: false, problem: expect.stringContaining('STARTTLS') })
    expect(servers[0]!.taken).toEqual([])
    const plain = await way(world(zone, port), { tls: 'off' })
    expect(await plain.transmit(message('a@example.net'))).toMatchObject({ kind: 'accepted' })
    expect(servers[1]!.commands).not.toContain('STARTTLS')
  })
})

describe('copies', () => {
  const person = 'ada@example.com'
  const copies = ['bob@example.net', 'eve@example.com', 'kim@example.net']
  const zone = { 'example.com': at(2), 'example.net': at(3) }
  const rcpts = (commands: string[]) => commands.filter((line) => line.startsWith('RCPT'))

  test('at other domains go there, one transaction a domain', async () => {
    const { port, servers } = await serversOnOnePort({}, {})
    const connection = await way(world(zone, port))
    expect(await connection.transmit(message(person, ...copies))).toMatchObject({ kind: 'accepted' })
    expect(rcpts(servers[0]!.commands)).toEqual(['RCPT TO:<ada@example.com>', 'RCPT TO:<eve@example.com>'])
    expect(rcpts(servers[1]!.commands)).toEqual(['RCPT TO:<bob@example.net>', 'RCPT TO:<kim@example.net>'])
    expect(servers.map(({ taken }) => taken.length)).toEqual([1, 1])
  })

  test('that cannot be handed over change nothing for the person', async () => {
    const { port } = await serversOnOnePort({}, { acts: { RCPT: ['550 5.1.1 no', '550 5.1.1 no'] } })
    const connection = await way(world({ 'example.com': at(2), 'example.net': at(3) }, port))
    expect(await connection.transmit(message(person, ...copies))).toMatchObject({ kind: 'accepted' })
    const gone = await way(world({ 'example.com': at(2) }, port))
    expect(await gone.transmit(message(person, ...copies))).toMatchObject({ kind: 'accepted' })
  })

  test.each([
    ['refused for now', { RCPT: '450 4.2.0 greylisted' }, 0],
    ['in doubt', { content: { finally: 'close' } }, 0],
    ['refused with the content', { content: '550 5.7.1 spam' }, 0],
    ['refused for good', { RCPT: '550 5.1.1 no such user' }, 1],
  ] as const)('when the person is %s', async (_, acts, sent) => {
    const { port, servers } = await serversOnOnePort({ acts }, {})
    const connection = await way(world(zone, port))
    await connection.transmit(message(person, 'bob@example.net'))
    expect(servers[1]!.taken).toHaveLength(sent)
  })
})

test('a domain that cannot be reached is not tried for every message to it, and again after a while', async () => {
  const { port, servers } = await serversOnOnePort({ acts: { greeting: ['421 busy', '421 busy'] } })
  let now = 0
  const asked = world({ 'example.com': at(2) }, port)
  const connection = await way(asked, {}, {}, () => now)
  for (const to of ['a@example.com', 'b@example.com']) {
    expect(await connection.transmit(message(to))).toMatchObject({
      kind: 'broken',
      problem: expect.stringContaining('busy'),
    })
  }
  expect(servers[0]!.connections).toBe(1)
  now = 21_000
  expect(await connection.transmit(message('a@example.com'))).toMatchObject({ kind: 'broken' })
  now = 42_000
  expect(await connection.transmit(message('a@example.com'))).toMatchObject({ kind: 'accepted' })
  expect(servers[0]!.connections).toBe(3)
})

test('closing ends what is under way: a server or a DNS that says nothing is not waited for', async () => {
  const { port, servers } = await serversOnOnePort({ acts: { greeting: { finally: 'hang' } } })
  const connection = await way(world({ 'example.com': at(2) }, port))
  const under = connection.transmit(message('a@example.com'))
  await expect.poll(() => servers[0]!.connections).toBe(1)
  connection.close()
  expect(await under).toMatchObject({ kind: 'broken', isInDoubt: false })
  expect(connection.isUsable()).toBe(false)

  const silent = world({ 'example.com': at(2) }, port)
  silent.resolver.resolveMx = () => new Promise(() => {})
  const second = await way(silent)
  const asking = second.transmit(message('a@example.com'))
  second.close()
  expect(await asking).toMatchObject({ kind: 'broken', isInDoubt: false })
})

describe('rows of messages', () => {
  let house: MailHouse
  beforeAll(async () => {
    house = await mailHouse()
    await house.templates.save('Notice', { subject: 'Grüße', content_text: 'Schöne Grüße', is_basic: true })
  })
  afterAll(() => house.end())

  function worker(mxWorld: TestWorld) {
    const delivery = house.deliver({ relays: [], direct: DIRECT, mxWorld })
    onTestFinished(() => delivery.stop())
    return delivery
  }

  test('mail reaches people at several domains, and each domain’s trouble is its own', async () => {
    const { port, servers } = await serversOnOnePort({}, {}, { acts: { RCPT: '550 5.1.1 no such user' } })
    const zone: Zone = {
      'example.com': { mx: [[10, 'mx1.example.com']] },
      'mx1.example.com': at(2),
      'example.net': at(3),
      'strict.example.org': at(4),
      'down.example.org': at(9),
      'null.example.org': { mx: [[0, '']] },
      'unclear.example.org': { mx: 'ESERVFAIL' },
    }
    const domains = ['example.com', 'example.net', ...Object.keys(zone).slice(3), 'gone.example.org']
    const ids = new Map<string, number>()
    for (const domain of domains) ids.set(domain, await house.send('Notice', `ada@${domain}`))
    const more = await Promise.all(Array.from({ length: 20 }, (_, n) => house.send('Notice', `p${n}@example.com`)))
    worker(world(zone, port))
    const fate = async (domain: string, state: 'sent' | 'failed' | 'deferred') => {
      const row = await house.reaches(ids.get(domain)!, state)
      const wait = state === 'deferred' ? row.due_at!.getTime() - house.clock.now().getTime() : null
      return [row.attempts, row.reason, wait, (await house.addressState(`ada@${domain}`)) ?? null]
    }
    expect(await fate('example.com', 'sent')).toEqual([1, null, null, null])
    expect(await fate('example.net', 'sent')).toEqual([1, null, null, null])
    expect(await fate('strict.example.org', 'failed')).toEqual([1, 'hardbounce', null, 'hardbounce'])
    expect(await fate('down.example.org', 'deferred')).toEqual([1, null, 30_000, null])
    expect(await fate('unclear.example.org', 'deferred')).toEqual([1, null, 30_000, null])
    expect(await fate('null.example.org', 'failed')).toEqual([1, 'invalid', null, 'invalid'])
    expect(await fate('gone.example.org', 'failed')).toEqual([1, 'softbounce', null, 'softbounce'])
    for (const id of more) await house.reaches(id, 'sent')
    expect(servers[0]!.taken).toHaveLength(21)
    // Written for servers that may take seven bits only.
    expect(servers[0]!.taken[0]).toMatch(/^[\x00-\x7f]*$/)
  })

  test('a domain that was down gets its mail when it is back', async () => {
    const { port, servers } = await serversOnOnePort({ acts: { greeting: '421 4.3.2 busy' } })
    const mxWorld = world({ 'later.example.com': at(2) }, port)
    const id = await house.send('Notice', 'ada@later.example.com')
    const first = worker(mxWorld)
    const row = await house.reaches(id, 'deferred')
    expect(row.reply).toContain('no server of later.example.com takes mail now')
    await first.stop()
    house.clock.advance(30_000)
    worker(mxWorld)
    expect(await house.reaches(id, 'sent')).toMatchObject({ attempts: 2 })
    expect(servers[0]!.taken).toHaveLength(1)
  })

  test('a stop does not wait for a server that says nothing', async () => {
    const { port, servers } = await serversOnOnePort({ acts: { greeting: { finally: 'hang' } } })
    const id = await house.send('Notice', 'ada@silent.example.com')
    const delivery = worker(world({ 'silent.example.com': at(2) }, port))
    await expect.poll(() => servers[0]!.connections).toBe(1)
    // The server's patience is minutes: a stop that waited for it would outlast this test.
    await delivery.stop()
    expect((await house.row(id)).state).toBe('deferred')
  })
})
