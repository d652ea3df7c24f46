import { expect, test } from 'vitest'
import { chooseMechanism } from '../../../src/delivery/smtp/auth.ts'
import { isLoopback } from '../../../src/delivery/smtp/encryption.ts'
import { openSmtp, type SmtpOptions } from '../../../src/delivery/smtp/open.ts'
import type { Script } from '../../support/scripted-smtp.ts'
import { AUTHORITY, CERTIFICATES, CONTENT, ENVELOPE, open, scripted, to } from './support.ts'

const CREDENTIALS = { user: 'ada', password: 'hunter2' }

/** Opens a session that must not come about. */
async function failing(script: Script, more: Partial<SmtpOptions> = {}) {
  const server = await scripted(script)
  const opened = await openSmtp(to(server.port, more))
  if (opened.ok) throw new Error('the session was opened')
  return { server, stage: opened.stage, problem: opened.problem }
}

test('what the relay says of itself is there to look at', async () => {
  const server = await scripted()
  const { offers } = await open(server.port)
  expect(offers).toMatchObject({
    greeting: '220 relay.example.com ready',
    name: 'relay.example.com',
    isExtended: true,
    lines: ['PIPELINING', '8BITMIME', 'SIZE 1000000', 'ENHANCEDSTATUSCODES'],
    pipelining: true,
    size: 1_000_000,
    tls: null,
    signedIn: null,
  })
})

test('a server that does not know EHLO is greeted with HELO, and mail goes step by step', async () => {
  const server = await scripted({ acts: { EHLO: '502 5.5.1 what?' } })
  const session = await open(server.port)
  expect(session.offers).toMatchObject({ isExtended: false, pipelining: false, size: null })
  expect(await session.transmit(ENVELOPE, CONTENT)).toMatchObject({ kind: 'accepted' })
  expect(server.arrivals).toContain('MAIL FROM:<shop@example.org>\r\n')
})

test.each<[string, Script['acts'], string, string]>([
  ['too busy', { greeting: '421 4.3.2 too busy' }, 'greeting', 'too busy'],
  ['not for us', { greeting: '554 5.7.1 go away' }, 'greeting', 'the server does not take mail now: 554 5.7.1 go away'],
  ['another protocol', { greeting: 'SSH-2.0-OpenSSH_9.9' }, 'greeting', 'this is not SMTP: "SSH-2.0-OpenSSH_9.9"'],
  ['a web server', { greeting: 'HTTP/1.1 400 Bad Request\n\n<html>' }, 'greeting', 'this is not SMTP'],
  ['hangs up', { greeting: { finally: 'close' } }, 'greeting', 'closed by the server'],
  ['says nothing', { greeting: { finally: 'hang' } }, 'greeting', 'no greeting within 80 ms'],
  ['half a greeting', { greeting: { say: '220-wait', finally: 'hang' } }, 'greeting', 'no greeting within 80 ms'],
  ['no EHLO now', { EHLO: '451 later' }, 'hello', 'the server refuses EHLO: 451 later'],
  ['neither EHLO nor HELO', { EHLO: '550 no', HELO: '550 no' }, 'hello', 'refuses EHLO and HELO: 550 no'],
  ['closing at EHLO', { EHLO: { say: '421 bye', finally: 'close' } }, 'hello', 'closes the connection: 421 bye'],
  ['silent at EHLO', { EHLO: { finally: 'hang' } }, 'hello', 'no answer to EHLO within 80 ms'],
])('a server that cannot be used: %s', async (_name, acts, stage, problem) => {
  const failed = await failing({ acts }, problem.includes('within') ? { timeouts: { [stage]: 80 } } : {})
  expect(failed.stage).toBe(stage)
  expect(failed.problem).toContain(problem)
})

test('a server that hangs up hard', async () => {
  // Whether the connection stood for a moment is a matter of luck.
  const { problem } = await failing({ acts: { greeting: { finally: 'reset' } } })
  expect(problem).toContain('ECONNRESET')
})

test('nobody there', async () => {
  const server = await scripted()
  await server.close()
  expect(await openSmtp(to(server.port))).toMatchObject({ ok: false, stage: 'connect', problem: /ECONNREFUSED/ })
})

test('connecting can be given up', async () => {
  const server = await scripted({ acts: { greeting: { finally: 'hang' } } })
  const stop = new AbortController()
  const opening = openSmtp(to(server.port, { signal: stop.signal }))
  await expect.poll(() => server.connections).toBe(1)
  stop.abort()
  expect(await opening).toMatchObject({ ok: false, problem: 'given up' })
  expect(await openSmtp(to(server.port, { signal: AbortSignal.abort() }))).toMatchObject({ ok: false })
})

const STARTTLS = ['PIPELINING', 'STARTTLS']
const trusted = { ca: AUTHORITY, tls: 'opportunistic' } as const

test('STARTTLS: greeted again, and everything after it is encrypted', async () => {
  const server = await scripted({ offers: STARTTLS, certificate: CERTIFICATES.server })
  const session = await open(server.port, trusted)
  expect(await session.transmit(ENVELOPE, CONTENT)).toMatchObject({ kind: 'accepted' })
  expect(server.commands.slice(0, 3)).toEqual(['EHLO test.example.com', 'STARTTLS', 'EHLO test.example.com'])
  expect(session.offers.tls).toEqual({
    protocol: 'TLSv1.3',
    cipher: expect.stringContaining('TLS_'),
    subject: 'relay.example.com',
    issuer: 'Fairlead test authority',
    names: ['DNS:relay.example.com', 'DNS:localhost', 'IP Address:127.0.0.1'],
    expires: new Date('2120-01-01T00:00:00Z'),
    distrust: null,
  })
})

test('smtps: encrypted from the first byte', async () => {
  const server = await scripted({ secure: true, certificate: CERTIFICATES.server })
  const session = await open(server.port, { tls: 'implicit', ca: AUTHORITY })
  expect(session.offers.tls?.protocol).toBe('TLSv1.3')
  expect(await session.transmit(ENVELOPE, Buffer.alloc(3_000_000, 'x'))).toMatchObject({ kind: 'unsendable' })
  expect(await session.transmit(ENVELOPE, Buffer.alloc(900_000, 'x'))).toMatchObject({ kind: 'accepted' })
  expect(server.contents[0]).toHaveLength(900_005)
})

for (const tls of ['opportunistic', 'implicit'] as const) {
  test.each([
    ['nobody we know vouches for it', CERTIFICATES.server, undefined, 'unable to verify'],
    ['it is made out to another', CERTIFICATES.elsewhere, AUTHORITY, "does not match certificate's altnames"],
    ['it is out of date', CERTIFICATES.expired, AUTHORITY, 'certificate has expired'],
  ])(`a certificate is refused (${tls}): %s`, async (_name, certificate, ca, reason) => {
    const script = { offers: STARTTLS, certificate, secure: tls === 'implicit' }
    const { server, stage, problem } = await failing(script, { tls, ca, credentials: CREDENTIALS })
    expect(stage).toBe('tls')
    expect(problem).toContain('no TLS with 127.0.0.1')
    expect(problem).toContain(reason)
    expect(server.commands.join()).not.toMatch(/AUTH|MAIL/)
    const session = await open((await scripted(script)).port, { tls, ca, verify: false })
    expect(session.offers.tls?.distrust).toMatch(/^[A-Z_]+$|altnames/)
  })
}

test('what comes before the handshake is forgotten', async () => {
  const acts = { STARTTLS: '220 go\n250-evil.example.net\n250 AUTH PLAIN' }
  const server = await scripted({ acts, offers: STARTTLS, certificate: CERTIFICATES.server })
  const { offers } = await open(server.port, trusted).catch((error: Error) => ({ offers: error.message }))
  expect(JSON.stringify(offers)).not.toContain('evil')
  const half = await scripted({
    acts: { STARTTLS: '220 go\n250-half a reply that the next one would end' },
    offers: STARTTLS,
    certificate: CERTIFICATES.server,
  })
  const second = await open(half.port, trusted).catch((error: Error) => ({ offers: error.message }))
  expect(JSON.stringify(second.offers)).not.toContain('half')
})

test('required means required: neither a missing nor a refused STARTTLS is passed over', async () => {
  const required = { tls: 'required', credentials: CREDENTIALS } as const
  const missing = await failing({ offers: ['AUTH PLAIN'] }, required)
  expect(missing).toMatchObject({ stage: 'tls', problem: expect.stringContaining('does not offer STARTTLS') })
  const refused = await failing(
    { offers: [...STARTTLS, 'AUTH PLAIN'], acts: { STARTTLS: '454 4.7.0 not now' } },
    required,
  )
  expect(refused).toMatchObject({ stage: 'tls', problem: expect.stringContaining('refuses STARTTLS: 454') })
  expect([...missing.server.commands, ...refused.server.commands].join()).not.toContain('AUTH')
})

test('opportunistic goes on in the clear; off does not even ask', async () => {
  const refusing = await scripted({ offers: STARTTLS, acts: { STARTTLS: '454 4.7.0 not now' } })
  expect((await open(refusing.port, { tls: 'opportunistic' })).offers.tls).toBeNull()
  const offering = await scripted({ offers: STARTTLS })
  expect((await open(offering.port, { tls: 'off' })).offers.tls).toBeNull()
  expect(offering.commands).toEqual(['EHLO test.example.com'])
})

test('a server that never shakes hands is given up', async () => {
  const acts = { STARTTLS: { say: '220 go', finally: 'hang' } } as const
  const { problem } = await failing({ offers: STARTTLS, acts }, { ...trusted, timeouts: { tls: 80 } })
  expect(problem).toContain('within 80 ms')
})

test('the way to sign in: the strongest that may be used', () => {
  const all = ['LOGIN', 'XOAUTH2', 'PLAIN', 'CRAM-MD5', 'GSSAPI']
  expect(chooseMechanism(all, null, true)).toEqual({ mechanism: 'CRAM-MD5' })
  expect(chooseMechanism(['LOGIN', 'XOAUTH2', 'PLAIN'], null, true)).toEqual({ mechanism: 'PLAIN' })
  expect(chooseMechanism(['XOAUTH2', 'LOGIN'], null, true)).toEqual({ mechanism: 'LOGIN' })
  expect(chooseMechanism(['XOAUTH2'], null, true)).toEqual({ mechanism: 'XOAUTH2' })
  expect(chooseMechanism(all, 'XOAUTH2', true)).toEqual({ mechanism: 'XOAUTH2' })
  expect(chooseMechanism(all, null, false)).toEqual({ mechanism: 'CRAM-MD5' })
  expect(chooseMechanism(['GSSAPI'], null, true)).toEqual({ problem: 'the server offers GSSAPI' })
  expect(chooseMechanism([], null, true)).toEqual({ problem: 'the server offers no way to sign in' })
  expect(chooseMechanism(['PLAIN'], 'CRAM-MD5', true)).toEqual({ problem: 'the server offers PLAIN, not CRAM-MD5' })
})

test('a password in the clear goes to nobody but this machine', () => {
  for (const wanted of [null, 'PLAIN', 'LOGIN', 'XOAUTH2'] as const) {
    expect(chooseMechanism(['PLAIN', 'LOGIN', 'XOAUTH2'], wanted, false)).toEqual({
      problem: expect.stringContaining('without encryption, so the password was not sent'),
    })
  }
  expect(['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1', 'localhost'].map(isLoopback)).not.toContain(false)
  expect(
    ['192.0.2.1', '128.0.0.1', '::', 'relay.example.com', '127.0.0.1.example.com', 'localhost.example.com', ''].map(
      isLoopback,
    ),
  ).not.toContain(true)
})

test.each([
  ['535 5.7.8 wrong', 'the server refuses the password of "ada": 535 5.7.8 wrong'],
  ['454 4.7.0 later', 'the server cannot check the password now of "ada": 454 4.7.0 later'],
  ['421 4.3.2 bye', 'the server cannot check the password now of "ada": 421 4.3.2 bye'],
])('signing in fails with %s, and the password is not repeated', async (say, problem) => {
  const failed = await failing({ offers: ['AUTH PLAIN'], acts: { AUTH: say } }, { credentials: CREDENTIALS })
  expect(failed).toMatchObject({ stage: 'auth', problem })
})

test('signing in fails with a silence or an end', async () => {
  const acting = (ending: 'hang' | 'close'): Script => ({
    offers: ['AUTH LOGIN'],
    acts: { AUTH: ['334 x', { finally: ending }] },
  })
  const silent = await failing(acting('hang'), { credentials: CREDENTIALS, timeouts: { auth: 80 } })
  expect(silent.problem).toBe('no answer to AUTH within 80 ms')
  const gone = await failing(acting('close'), { credentials: CREDENTIALS })
  expect(gone.problem).toContain('closed by the server')
})

test('a server that wants the response of PLAIN by itself gets it', async () => {
  const server = await scripted({ offers: ['AUTH PLAIN'], acts: { AUTH: ['334 ', '235 welcome'] } })
  expect((await open(server.port, { credentials: CREDENTIALS })).offers.signedIn).toBe('PLAIN')
  expect(server.commands.at(-1)).toBe(Buffer.from('\0ada\0hunter2').toString('base64'))
})

test('what separates parts of a response cannot be part of one', async () => {
  for (const credentials of [
    { user: 'a\0b', password: 'x' },
    { user: 'a', password: 'x\x01auth=y' },
  ]) {
    const { server, problem } = await failing({ offers: ['AUTH PLAIN'] }, { credentials })
    expect(problem).toBe('the user name or the password holds a control character')
    expect(server.commands.join()).not.toContain('AUTH')
  }
})
