import fc from 'fast-check'
import { expect, test } from 'vitest'
import { attempt, checkWire, EIGHT_BIT, MODERN, SEVEN_BIT } from './support.ts'

/** Rounds of each kind; whoever changes the writer runs it with more. */
const ROUNDS = 1_500

/** Strings made of octets, of UTF-16 units, and of what has a meaning to mail. */
const anything = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((octets) => Buffer.from(octets).toString('latin1')),
  fc.uint8Array({ maxLength: 200 }).map((octets) => Buffer.from(octets).toString('utf8')),
  fc.uint8Array({ maxLength: 400 }).map((octets) => Buffer.from(octets).toString('utf16le')),
  fc
    .array(
      fc.constantFrom(
        ...[
          '\r',
          '\n',
          '\r\n',
          '\0',
          '.',
          '--',
          '=',
          '=_',
          ' ',
          '\t',
          '"',
          '\\',
          '<',
          '>',
          '@',
          ',',
          ';',
          ':',
          '(',
          ')',
        ],
        ...[
          '=?UTF-8?B?',
          '=?UTF-8?Q?',
          '?=',
          'a',
          'B',
          'ä',
          '世',
          '🎉',
          '\ud83c',
          '\udf89',
          '\u2028',
          '\ufeff',
          '\u007f',
        ],
        ...['x'.repeat(70), 'x'.repeat(1_000), 'ü'.repeat(500), ' '.repeat(100), 'a@b.c', 'Bcc: eve@example.com'],
      ),
      { maxLength: 30 },
    )
    .map((pieces) => pieces.join('')),
)
const address = fc.oneof({ weight: 3, arbitrary: fc.constant('ada@example.com') }, { weight: 1, arbitrary: anything })
const mailbox = fc.record({ name: anything, address })
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const relays = fc.constantFrom(EIGHT_BIT, SEVEN_BIT, MODERN)

const OURS = [
  ['date', 'from', 'sender', 'reply-to', 'to', 'cc', 'message-id', 'subject'],
  ['mime-version', 'content-type', 'content-transfer-encoding'],
].flat()

/** Header fields by name, in lower case. */
function fieldNames(header: string): string[] {
  return header.split(/\r\n(?![\t ])/).map((one) => one.slice(0, one.indexOf(':')).toLowerCase())
}

test('whatever is in the header, it is refused, or every field is one that was meant', () => {
  const given = fc.record({
    from: mailbox,
    to: fc.oneof(mailbox, fc.array(mailbox, { maxLength: 3 }), anything),
    cc: optional(fc.oneof(fc.array(mailbox, { maxLength: 3 }), anything)),
    bcc: optional(anything),
    sender: optional(anything),
    replyTo: optional(fc.oneof(mailbox, anything)),
    subject: anything,
    messageId: fc.oneof(fc.constant('<1@example.com>'), anything),
    headers: fc.array(
      fc.record({ name: fc.oneof(fc.constantFrom('X-A', 'X-B'), anything), value: anything, oneLine: fc.boolean() }),
      { maxLength: 3 },
    ),
  })
  fc.assert(
    fc.property(given, relays, (message, relay) => {
      const written = attempt(message, relay)
      if (!written.ok) {
        expect(written.problem).toBeTruthy()
        return
      }
      checkWire(
        written,
        message.headers.some(({ oneLine }) => oneLine),
      )
      const extra = message.headers.map(({ name }) => name.toLowerCase())
      const names = fieldNames(written.raw.toString('latin1', 0, written.bodyAt - 4))
      expect(new Set(names).size).toBe(names.length)
      for (const name of names) expect([...OURS, ...extra]).toContain(name)
      expect(written.recipients.length).toBeGreaterThan(0)
      for (const one of written.recipients) expect(one).toMatch(/^[^\s<>,@]+@[!-~]+$/)
    }),
    { numRuns: ROUNDS },
  )
})

test('whatever one field holds, it is refused or keeps to itself', () => {
  const inOneField = fc.oneof(
    anything.map((subject) => ({ subject })),
    anything.map((name) => ({ to: { name, address: 'ada@example.com' } })),
    anything.map((value) => ({ headers: [{ name: 'X-A', value }] })),
    anything.map((value) => ({ headers: [{ name: 'X-A', value, oneLine: true }] })),
    anything.map((cc) => ({ cc })),
  )
  fc.assert(
    fc.property(inOneField, relays, (message, relay) => {
      const written = attempt(message, relay)
      if (written.ok) checkWire(written, 'headers' in message && 'oneLine' in message.headers[0]!)
      else expect(['line-break', 'address', 'needs-smtputf8', 'value']).toContain(written.reason)
    }),
    { numRuns: ROUNDS },
  )
})

test('whatever is in the parts, it arrives to the octet', () => {
  fc.assert(
    fc.property(optional(anything), optional(anything), relays, (text, html, relay) => {
      const written = attempt({ text, html }, relay)
      if (!written.ok) {
        expect(written.reason).toBe('no-content')
        return
      }
      checkWire(written)
      const wanted = [text, html].filter((part) => part !== undefined).map(canonical)
      const got = partsOf(written.raw)
      // A message ends in a line end, though its only part may not.
      if (wanted.length === 1 && got[0] === `${wanted[0]}\r\n`) got[0] = wanted[0]!
      expect(got).toEqual(wanted)
    }),
    { numRuns: ROUNDS * 2 },
  )
})

const canonical = (text: string) => text.toWellFormed().replace(/\r\n?|\n/g, '\r\n')

/** The texts of a message, by the letter of RFC 2046 §5.1.1. */
function partsOf(raw: Buffer): string[] {
  const message = raw.toString('latin1')
  const boundary = /^ boundary="([^"]+)"/m.exec(message.slice(0, message.indexOf('\r\n\r\n')))?.[1]
  if (boundary === undefined) return [decoded(message)]
  const [, ...rest] = message.split(`\r\n--${boundary}`)
  expect(rest.pop()).toBe('--\r\n')
  return rest.map((part) => decoded(part.replace(/^\r\n/, '')))
}

function decoded(entity: string): string {
  const end = entity.indexOf('\r\n\r\n')
  const body = entity.slice(end + 4)
  const encoding = /^Content-Transfer-Encoding: (.*)$/m.exec(entity.slice(0, end))?.[1]
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString()
  if (encoding !== 'quoted-printable') return Buffer.from(body, 'latin1').toString()
  expect(body).not.toMatch(/[\t ]\r\n|=(?!\r\n|[0-9A-F]{2})/)
  const octets = body
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(octets, 'latin1').toString()
}
