import { expect, test } from 'vitest'
import { readCapabilities } from '../../../src/delivery/smtp/capabilities.ts'
import { type Envelope, writeCommands } from '../../../src/delivery/smtp/commands.ts'
import type { Traits } from '../../../src/delivery/smtp/content.ts'

const offering = (...lines: string[]) =>
  readCapabilities({ code: 250, lines: ['relay.example.com at your service', ...lines] })
const CONTENT = Buffer.from('Subject: x\r\n\r\nHello\r\n')
const write = (envelope: Partial<Envelope>, offers: string[] = [], content = CONTENT) =>
  writeCommands({ from: 'shop@example.org', to: ['ada@example.com'], ...envelope }, content, offering(...offers))
const problem = (...parts: Parameters<typeof write>) => {
  const outcome = write(...parts)
  return outcome.ok ? null : outcome.problem
}
const commands = (...parts: Parameters<typeof write>) => {
  const outcome = write(...parts)
  if (!outcome.ok) throw new Error(outcome.problem)
  return [outcome.commands.mail, ...outcome.commands.rcpts]
}

test('what is offered is read in any case, in the old form of AUTH too', () => {
  expect(
    offering('pipelining', 'SIZE 1000', '8BITMIME', 'AUTH plain LOGIN', 'AUTH=CRAM-MD5', 'DSN', 'smtputf8'),
  ).toMatchObject({
    name: 'relay.example.com',
    pipelining: true,
    eightBit: true,
    utf8: true,
    dsn: true,
    enhancedCodes: false,
    startTls: false,
    size: 1000,
    auth: ['PLAIN', 'LOGIN', 'CRAM-MD5'],
  })
  expect([offering().size, offering('SIZE').size, offering('SIZE many').size]).toEqual([null, 0, 0])
})

test('a server that offers nothing gets plain commands', () => {
  expect(commands({})).toEqual(['MAIL FROM:<shop@example.org>\r\n', 'RCPT TO:<ada@example.com>\r\n'])
  expect(commands({ from: '' })[0]).toBe('MAIL FROM:<>\r\n')
})

test('the size is declared, and a message that is too large is not tried', () => {
  expect(commands({}, ['SIZE 1000'])[0]).toBe(`MAIL FROM:<shop@example.org> SIZE=${CONTENT.length}\r\n`)
  expect(commands({}, ['SIZE 0'])[0]).toContain(' SIZE=')
  expect(problem({}, ['SIZE 10'])).toBe(`a message of ${CONTENT.length} bytes, and the server takes 10 at most`)
})

test('8-bit content needs 8BITMIME', () => {
  const content = Buffer.from('Grüße')
  expect(commands({}, ['8BITMIME'], content)[0]).toBe('MAIL FROM:<shop@example.org> BODY=8BITMIME\r\n')
  expect(commands({}, ['8BITMIME'])[0]).not.toContain('BODY')
  expect(problem({}, [], content)).toContain('8BITMIME')
})

test('addresses in other scripts need SMTPUTF8; without it a domain goes in ASCII', () => {
  expect(commands({ to: ['grüße@bücher.example'] }, ['SMTPUTF8'])).toEqual([
    'MAIL FROM:<shop@example.org> SMTPUTF8\r\n',
    'RCPT TO:<grüße@bücher.example>\r\n',
  ])
  expect(commands({}, ['SMTPUTF8'])[0]).not.toContain('SMTPUTF8')
  expect(commands({ to: ['ada@bücher.example'] })[1]).toBe('RCPT TO:<ada@xn--bcher-kva.example>\r\n')
  expect(problem({ to: ['grüße@example.com'] })).toBe(
    'the address "grüße@example.com" needs SMTPUTF8, which the server does not offer',
  )
})

test('what the writer of a content knows of it is believed', () => {
  const offers = offering('8BITMIME', 'SMTPUTF8')
  const envelope = { from: 'shop@example.org', to: ['ada@example.com'] }
  const told = (traits: Partial<Traits>, offered = offers) =>
    writeCommands(envelope, CONTENT, offered, { eightBit: false, smtpUtf8: false, leadingDot: false, ...traits })
  expect(told({ eightBit: true })).toMatchObject({ commands: { mail: expect.stringContaining(' BODY=8BITMIME\r\n') } })
  expect(told({ smtpUtf8: true })).toMatchObject({ commands: { mail: expect.stringContaining(' SMTPUTF8\r\n') } })
  expect(told({ eightBit: true }, offering())).toMatchObject({
    ok: false,
    problem: expect.stringContaining('8BITMIME'),
  })
  expect(told({ smtpUtf8: true }, offering())).toMatchObject({
    ok: false,
    problem: expect.stringContaining('SMTPUTF8'),
  })
})

test('reports are asked for by servers that know DSN, for messages that have a name', () => {
  expect(commands({ envelopeId: 'a+b=c d' }, ['DSN'])).toEqual([
    'MAIL FROM:<shop@example.org> RET=HDRS ENVID=a+2Bb+3Dc+20d\r\n',
    'RCPT TO:<ada@example.com> NOTIFY=FAILURE,DELAY ORCPT=rfc822;ada@example.com\r\n',
  ])
  expect(commands({}, ['DSN']).join('')).not.toMatch(/NOTIFY|RET/)
  expect(commands({ envelopeId: 'x' }).join('')).not.toMatch(/NOTIFY|ENVID/)
})

test.each([
  'ada@example.com>\r\nRCPT TO:<evil@example.net',
  'ada@example.com\nDATA',
  'ada@example.com\r',
  'a\0b@example.com',
  'ada@example.com> SIZE=1',
  '<ada@example.com>',
  'a\x7fb@example.com',
  '\ud800@example.com',
  `${'a'.repeat(600)}@example.com`,
])('no address can carry a second command: %j', (address) => {
  for (const offers of [[], ['SMTPUTF8']]) {
    expect(problem({ to: [address] }, offers)).toContain('the address')
    expect(problem({ from: address }, offers)).toContain('the address')
    expect(problem({ to: ['ada@example.com', address] }, offers)).toContain('the address')
  }
})

test('a domain in another script cannot smuggle one in either', () => {
  expect(problem({ to: ['ada@exａmple.com\r\nDATA'] })).toContain('no command can carry')
  expect(problem({ to: ['ada@bü\u3002<x>'] })).toContain('no command can carry')
})

test('a message has a recipient', () => {
  expect(problem({ to: [] })).toBe('a message without recipients')
  expect(problem({ to: [''] })).toBe('a recipient without an address')
})
