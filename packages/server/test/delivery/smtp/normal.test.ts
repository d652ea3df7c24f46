import { createHmac } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import { expect, onTestFinished, test } from 'vitest'
import { openConnection } from '../../../src/delivery/transport.ts'
import { AUTHORITY, CERTIFICATES, COPIED, ENVELOPE, open } from './support.ts'

const CREDENTIALS = { user: 'ada', password: 'hunter2, "grün"' }

/** The server of the npm package `smtp-server`, which knows nothing of us, and keeps what it gets. */
async function ordinary(options: SMTPServerOptions = {}) {
  const messages: Array<{ from: string; to: string[]; raw: string; user: string | undefined }> = []
  const server = new SMTPServer({
    ...CERTIFICATES.server,
    authOptional: true,
    disableReverseLookup: true,
    onAuth({ method, username, password, accessToken, validatePassword }, _session, done) {
      const isRight =
        method === 'CRAM-MD5'
          ? validatePassword(CREDENTIALS.password)
          : (password ?? accessToken) === CREDENTIALS.password
      if (username === CREDENTIALS.user && isRight) return done(null, { user: username })
      done(null, { message: 'wrong', data: { status: '401', schemes: 'bearer' } } as never)
    },
    onData(stream, { envelope, user }, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        messages.push({
          from: envelope.mailFrom ? envelope.mailFrom.address : '',
          to: envelope.rcptTo.map(({ address }) => address),
          raw: Buffer.concat(chunks).toString(),
          user: user as string | undefined,
        })
        done(stream.sizeExceeded ? Object.assign(new Error('too large'), { responseCode: 552 }) : null)
      })
    },
    ...options,
  })
  server.on('error', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => new Promise((resolve) => server.close(resolve)))
  return { port: (server.server.address() as AddressInfo).port, messages }
}

test('messages arrive byte by byte as they were, dots and all', async () => {
  const { port, messages } = await ordinary()
  const session = await open(port)
  const contents = [
    'a\r\n',
    '.\r\n',
    '..\r\n.x\r\nx.\r\n',
    `${'long line '.repeat(5_000)}\r\n`,
    'Grüße ☀\r\n',
    '\r\n\r\n.\r\n\r\n',
  ]
  for (const content of contents) {
    expect(await session.transmit(ENVELOPE, Buffer.from(content))).toMatchObject({ kind: 'accepted' })
  }
  expect(messages.map(({ raw }) => raw)).toEqual(contents)
  expect(messages[0]).toMatchObject(ENVELOPE)
})

test('a large message, over TLS and without', async () => {
  const { port, messages } = await ordinary()
  const content = Buffer.from('.A line that begins with a dot, and another one\r\n'.repeat(60_000))
  for (const tls of ['off', 'required'] as const) {
    const session = await open(port, { tls, ca: AUTHORITY })
    expect(await session.transmit(ENVELOPE, content)).toMatchObject({ kind: 'accepted' })
    expect(messages.at(-1)!.raw === content.toString()).toBe(true)
  }
})

test('copies are recipients like the person', async () => {
  const { port, messages } = await ordinary()
  const session = await open(port)
  expect(await session.transmit(COPIED, Buffer.from('x\r\n'))).toMatchObject({ kind: 'accepted' })
  expect(messages[0]!.to).toEqual(COPIED.to)
})

test('addresses in other scripts', async () => {
  const { port, messages } = await ordinary()
  const session = await open(port)
  expect(session.offers.utf8).toBe(true)
  expect(await session.transmit({ from: '', to: ['grüße@bücher.example'] }, Buffer.from('x\r\n'))).toMatchObject({
    kind: 'accepted',
  })
  expect(messages[0]!.to).toEqual(['grüße@bücher.example'])
})

test('what the server declares too large is not tried', async () => {
  const { port } = await ordinary({ size: 10 })
  const session = await open(port)
  expect(await session.transmit(ENVELOPE, Buffer.from('x'.repeat(20)))).toMatchObject({ kind: 'unsendable' })
  expect(await session.transmit(ENVELOPE, Buffer.from('x'))).toMatchObject({ kind: 'accepted' })
})

for (const mechanism of ['PLAIN', 'LOGIN', 'CRAM-MD5', 'XOAUTH2'] as const) {
  test(`signing in by ${mechanism}, after STARTTLS`, async () => {
    const { port, messages } = await ordinary({
      authMethods: ['PLAIN', 'LOGIN', 'CRAM-MD5', 'XOAUTH2'],
      authOptional: false,
    })
    const session = await open(port, { tls: 'required', ca: AUTHORITY, mechanism, credentials: CREDENTIALS })
    expect(session.offers).toMatchObject({ signedIn: mechanism, tls: { distrust: null } })
    expect(await session.transmit(ENVELOPE, Buffer.from('x\r\n'))).toMatchObject({ kind: 'accepted' })
    expect(messages[0]!.user).toBe('ada')
    const wrong = open(port, { tls: 'required', ca: AUTHORITY, mechanism, credentials: { user: 'ada', password: 'x' } })
    await expect(wrong).rejects.toThrow('auth: the server refuses the password of "ada": 535')
  })
}

test('CRAM-MD5 hashes as RFC 2195 §2 shows', () => {
  const challenge = '<1896.697170952@postoffice.reston.mci.net>'
  expect(createHmac('md5', 'tanstaaftanstaaf').update(challenge).digest('hex')).toBe('b913a602c7eda7a495b4e6e7334d3890')
})

test('a relay as the settings name it, twenty messages at once over four connections', async () => {
  const { port, messages } = await ordinary()
  const relay = { host: 'localhost', port, secure: false, user: null, password: null, tls: 'required' } as const
  const connections = await Promise.all([1, 2, 3, 4].map(() => openConnection(relay, { ca: AUTHORITY })))
  await Promise.all(
    connections.map(async (connection, lane) => {
      for (let n = 0; n < 5; n++) {
        const envelope = { from: 'shop@example.org', to: [`p${lane}-${n}@example.com`] }
        expect(await connection.transmit({ envelope, raw: Buffer.from('x\r\n') })).toMatchObject({ kind: 'accepted' })
      }
      connection.close()
    }),
  )
  expect(new Set(messages.map(({ to }) => to[0])).size).toBe(20)
})
