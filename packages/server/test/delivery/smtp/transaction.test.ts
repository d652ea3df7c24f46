import { expect, test } from 'vitest'
import { CONTENT, COPIED, ENVELOPE, open, scripted } from './support.ts'

const PLAIN = ['8BITMIME', 'SIZE 1000000']
const END = '.\r\n'

test('with pipelining a message is two writes', async () => {
  const server = await scripted()
  const session = await open(server.port)
  expect(await session.transmit(ENVELOPE, CONTENT)).toEqual({
    kind: 'accepted',
    reply: '250 2.0.0 taken as 42',
    ms: expect.any(Number),
  })
  await session.transmit(ENVELOPE, CONTENT)
  const envelope = `MAIL FROM:<shop@example.org> SIZE=${CONTENT.length}\r\nRCPT TO:<ada@example.com>\r\nDATA\r\n`
  expect(server.arrivals).toEqual(['EHLO test.example.com\r\n', envelope, envelope])
  expect(server.contents).toEqual([CONTENT + END, CONTENT + END])
  expect(session.isUsable()).toBe(true)
})

test('dots are doubled unless the writer of the content says that none begins a line', async () => {
  const server = await scripted()
  const session = await open(server.port)
  const traits = { eightBit: false, smtpUtf8: false }
  const content = Buffer.from('.a\r\n')
  await session.transmit(ENVELOPE, content)
  await session.transmit(ENVELOPE, content, { ...traits, leadingDot: true })
  await session.transmit(ENVELOPE, CONTENT, { ...traits, leadingDot: false })
  expect(server.contents).toEqual(['..a\r\n.\r\n', '..a\r\n.\r\n', CONTENT + END])
})

test('without pipelining every command waits for the answer to the one before', async () => {
  const server = await scripted({ offers: PLAIN })
  const session = await open(server.port)
  expect((await session.transmit(COPIED, CONTENT)).kind).toBe('accepted')
  expect(server.arrivals).toEqual([
    'EHLO test.example.com\r\n',
    `MAIL FROM:<shop@example.org> SIZE=${CONTENT.length}\r\n`,
    'RCPT TO:<ada@example.com>\r\n',
    'RCPT TO:<cc@example.com>\r\n',
    'RCPT TO:<bcc@example.com>\r\n',
    'DATA\r\n',
  ])
})

test.each([
  ['one byte a write', 1],
  ['seven bytes a write', 7],
])('answers are understood however they are cut: %s', async (_name, piece) => {
  const acts = {
    MAIL: { say: '250-2.1.0 yes\n250 2.1.0 ok', piece },
    content: { say: '250-2.0.0 well\n250 2.0.0 taken', piece },
  }
  const server = await scripted({ acts })
  const session = await open(server.port)
  expect(await session.transmit(ENVELOPE, CONTENT)).toMatchObject({ kind: 'accepted', reply: '250 2.0.0 well taken' })
})

for (const [kind, offers] of [
  ['pipelining', undefined],
  ['no pipelining', PLAIN],
] as const) {
  test.each([
    ['MAIL', '450 4.1.8 greylisted', { phase: 'mail', code: 450, enhanced: '4.1.8' }],
    ['MAIL', '550 5.7.1 not from you', { phase: 'mail', code: 550, enhanced: '5.7.1' }],
    ['RCPT', '452 4.2.2 mailbox full', { phase: 'rcpt', code: 452, enhanced: '4.2.2' }],
    [
      'RCPT',
      '550-5.1.1 no\n550 5.1.1 such user',
      { phase: 'rcpt', code: 550, enhanced: '5.1.1', text: '550 5.1.1 no such user' },
    ],
    ['DATA', '554 no valid recipients', { phase: 'data', code: 554, enhanced: null }],
    ['content', '552 5.3.4 too large', { phase: 'data', code: 552, enhanced: '5.3.4' }],
    ['content', '451 4.3.0 try later', { phase: 'data', code: 451, enhanced: '4.3.0' }],
  ] as const)(`${kind}: %s answered %s is a refusal, and the next message goes through`, async (place, say, reply) => {
    const server = await scripted({ offers, acts: { [place]: say } })
    const session = await open(server.port)
    expect(await session.transmit(ENVELOPE, CONTENT)).toMatchObject({ kind: 'refused', reply })
    expect(await session.transmit(ENVELOPE, CONTENT)).toMatchObject({ kind: 'accepted' })
    expect(server.connections).toBe(1)
    expect(server.commands).toContain('RSET')
    expect(server.contents.at(-1)).toBe(CONTENT + END)
    expect(server.contents.filter((content) => content.includes('Hello'))).toHaveLength(place === 'content' ? 2 : 1)
  })
}

test('MAIL or RCPT refused and DATA answered all the same: the server is given nothing', async () => {
  for (const acts of [{ MAIL: '550 5.7.1 no' }, { RCPT: '550 5.1.1 no' }]) {
    const server = await scripted({ acts: { ...acts, content: '554 5.5.1 no valid recipients' } })
    const session = await open(server.port)
    expect(await session.transmit(ENVELOPE, CONTENT)).toMatchObject({ kind: 'refused', reply: { code: 550 } })
    expect(server.contents).toEqual([END])
  }
})

test('MAIL refused and DATA refused with it: the reason is that of MAIL', async () => {
  const acts = { MAIL: '550 5.7.1 no', RCPT: '503 5.5.1 MAIL first', DATA: '503 5.5.1 RCPT first' }
  const server = await scripted({ acts })
  const session = await open(server.port)
  expect(await session.transmit(ENVELOPE, CONTENT)).toMatchObject({
    kind: 'refused',
    reply: { phase: 'mail', code: 550 },
  })
  expect(server.contents).toEqual([])
})

test('after a refusal RSET goes with the next envelope and costs no wait', async () => {
  const server = await scripted({ acts: { RCPT: '550 5.1.1 no', DATA: '554 no' } })
  const session = await open(server.port)
  await session.transmit(ENVELOPE, CONTENT)
  await session.transmit(ENVELOPE, CONTENT)
  await session.transmit(ENVELOPE, CONTENT)
  expect(server.arrivals[2]).toMatch(/^RSET\r\nMAIL FROM:.*DATA\r\n$/s)
  expect(server.arrivals[3]).toMatch(/^MAIL FROM:/)
})

test('copies go in the same transaction; a copy that is refused does not hold up the person', async () => {
  const server = await scripted({ acts: { RCPT: ['250 ok', '550 5.1.1 no', '250 ok'] } })
  const session = await open(server.port)
  expect(await session.transmit(COPIED, CONTENT)).toMatchObject({ kind: 'accepted' })
  expect(server.arrivals.slice(1)).toEqual([expect.stringMatching(/^MAIL.*RCPT.*RCPT.*RCPT.*>\r\n$/s), 'DATA\r\n'])
})

test('the person refused for good: the copies go out, and the refusal is what counts', async () => {
  const server = await scripted({ acts: { RCPT: '550 5.1.1 no such user' } })
  const session = await open(server.port)
  expect(await session.transmit(COPIED, CONTENT)).toMatchObject({
    kind: 'refused',
    reply: { phase: 'rcpt', code: 550 },
  })
  expect(server.contents).toHaveLength(1)
})

test('the person refused for now: nothing goes out, so that the next attempt repeats no copy', async () => {
  const server = await scripted({ acts: { RCPT: '450 4.2.0 greylisted' } })
  const session = await open(server.port)
  expect(await session.transmit(COPIED, CONTENT)).toMatchObject({
    kind: 'refused',
    reply: { phase: 'rcpt', code: 450 },
  })
  expect(server.commands).not.toContain('DATA')
  expect(await session.transmit(COPIED, CONTENT)).toMatchObject({ kind: 'accepted' })
})

test('a message too large for the server is not tried, and hurts nobody', async () => {
  const server = await scripted({ offers: ['PIPELINING', 'SIZE 5'] })
  const session = await open(server.port)
  expect(await session.transmit(ENVELOPE, CONTENT)).toMatchObject({ kind: 'unsendable' })
  expect(server.commands).toEqual(['EHLO test.example.com'])
  expect(session.isUsable()).toBe(true)
})

for (const place of ['MAIL', 'RCPT', 'DATA', 'content'] as const) {
  test(`421 at ${place} is a refusal for now, and the end of the connection`, async () => {
    const server = await scripted({ acts: { [place]: { say: '421 4.3.2 going down', finally: 'close' } } })
    const session = await open(server.port)
    expect(await session.transmit(ENVELOPE, CONTENT)).toMatchObject({
      kind: 'refused',
      reply: { code: 421, enhanced: '4.3.2' },
    })
    expect(session.isUsable()).toBe(false)
    expect(await session.transmit(ENVELOPE, CONTENT)).toMatchObject({ kind: 'broken', isInDoubt: false })
  })
}

test.each([
  ['MAIL', 'mail', false],
  ['RCPT', 'rcpt', false],
  ['DATA', 'data', false],
  ['content', 'final', true],
] as const)('a connection closed at %s: in doubt only when the content had ended', async (place, phase, isInDoubt) => {
  for (const ending of ['close', 'reset'] as const) {
    const server = await scripted({ acts: { [place]: { finally: ending } } })
    const session = await open(server.port)
    const outcome = await session.transmit(ENVELOPE, CONTENT)
    expect(outcome).toMatchObject({ kind: 'broken', isInDoubt })
    // A reset may overtake answers that were on their way.
    if (ending === 'close') expect(outcome).toMatchObject({ phase })
    expect(session.isUsable()).toBe(false)
  }
})

test.each([
  ['mail', { MAIL: { finally: 'hang' } }, 'no answer to MAIL within 60 ms', false],
  ['rcpt', { RCPT: { finally: 'hang' } }, 'no answer to RCPT within 60 ms', false],
  ['data', { DATA: { finally: 'hang' } }, 'no answer to DATA within 60 ms', false],
  ['final', { content: { finally: 'hang' } }, 'no answer to the content within 60 ms', true],
] as const)('a server that falls silent at %s is given up in time', async (phase, acts, problem, isInDoubt) => {
  const server = await scripted({ acts })
  const session = await open(server.port, { timeouts: { [phase]: 60 } })
  const began = performance.now()
  expect(await session.transmit(ENVELOPE, CONTENT)).toEqual({ kind: 'broken', phase, problem, isInDoubt })
  expect(performance.now() - began).toBeGreaterThanOrEqual(59)
})

test('a server that is slow but in time is waited for', async () => {
  const server = await scripted({
    acts: { MAIL: { say: '250 ok', piece: 1 }, content: { say: '250 taken', piece: 1 } },
  })
  const session = await open(server.port, { timeouts: { rset: 15 } })
  expect(await session.transmit(ENVELOPE, CONTENT)).toMatchObject({ kind: 'accepted' })
})

const LARGE = Buffer.alloc(8 * 1024 * 1024, `${'x'.repeat(70)}\r\n`)

test('a large content goes out whole', async () => {
  const server = await scripted({ offers: ['PIPELINING', 'SIZE 0'] })
  const session = await open(server.port)
  expect(await session.transmit(ENVELOPE, LARGE)).toMatchObject({ kind: 'accepted' })
  expect(server.contents[0]!.length).toBe(LARGE.length + 5)
})

test.each(['close', 'reset'] as const)(
  'a connection that ends within a large content (%s): certainly not taken',
  async (ending) => {
    const server = await scripted({ offers: ['PIPELINING'], acts: { inside: { finally: ending } } })
    const session = await open(server.port)
    expect(await session.transmit(ENVELOPE, LARGE)).toMatchObject({
      kind: 'broken',
      phase: 'content',
      isInDoubt: false,
    })
  },
)

test('a large content that nobody reads: given up, and certainly not taken', async () => {
  const { createServer } = await import('node:net')
  const server = createServer((socket) => {
    socket.write('220 ready\r\n')
    socket.once('data', () => {
      socket.write('250-relay\r\n250 PIPELINING\r\n')
      socket.once('data', () => {
        socket.write('250 ok\r\n250 ok\r\n354 go\r\n')
        socket.pause()
      })
    })
    socket.on('error', () => {})
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const session = await open((server.address() as { port: number }).port, { timeouts: { block: 100 } })
  // More than the kernel's buffers of both sides can hold.
  const huge = Buffer.alloc(64 * 1024 * 1024, 'x')
  expect(await session.transmit(ENVELOPE, huge)).toEqual({
    kind: 'broken',
    phase: 'content',
    problem: 'no progress in sending the content within 100 ms',
    isInDoubt: false,
  })
  server.close()
})

test('a content refused halfway is a refusal, and the connection is not used again', async () => {
  const server = await scripted({ offers: ['PIPELINING'], acts: { inside: '552 5.3.4 enough' } })
  const session = await open(server.port)
  expect(await session.transmit(ENVELOPE, LARGE)).toMatchObject({
    kind: 'refused',
    reply: { phase: 'data', code: 552 },
  })
})

test.each([
  ['MAIL', '354 go on'],
  ['RCPT', '334 what'],
  ['DATA', '250 ok'],
  ['content', '354 more'],
  ['RSET', '500 what'],
  ['MAIL', 'HTTP/1.1 200 OK'],
  ['DATA', '999 nonsense'],
] as const)('%s answered %j: out of step, so the connection ends', async (place, say) => {
  const server = await scripted({ acts: { [place]: say, ...(place === 'RSET' && { RCPT: '550 no' }) } })
  const session = await open(server.port)
  if (place === 'RSET') await session.transmit(ENVELOPE, CONTENT)
  expect(await session.transmit(ENVELOPE, CONTENT)).toMatchObject({ kind: 'broken', isInDoubt: place === 'content' })
  expect(session.isUsable()).toBe(false)
})

test('a word of the server between two messages ends the connection: no later answer could be told apart', async () => {
  for (const words of ['421 4.4.2 idle for too long\r\n', '250 ok\r\n']) {
    const server = await scripted()
    const session = await open(server.port)
    await session.transmit(ENVELOPE, CONTENT)
    server.interject(words)
    await expect.poll(() => session.isUsable()).toBe(false)
  }
})

test('a second answer to the content does not become the answer to the next message', async () => {
  const server = await scripted({ acts: { content: '250 taken\n250 taken' } })
  const session = await open(server.port)
  expect(await session.transmit(ENVELOPE, CONTENT)).toMatchObject({ kind: 'accepted' })
  expect(session.isUsable()).toBe(false)
})

test('closing says goodbye; during a message it cuts it off', async () => {
  const server = await scripted({ acts: { content: ['250 taken', { finally: 'hang' }] } })
  const first = await open(server.port)
  await first.transmit(ENVELOPE, CONTENT)
  first.close()
  expect(first.isUsable()).toBe(false)
  await expect.poll(() => server.commands.at(-1)).toBe('QUIT')
  const second = await open(server.port)
  const outcome = second.transmit(ENVELOPE, CONTENT)
  await expect.poll(() => server.contents.length).toBe(2)
  second.close()
  expect(await outcome).toEqual({
    kind: 'broken',
    phase: 'final',
    problem: 'the connection was cut off here',
    isInDoubt: true,
  })
})
