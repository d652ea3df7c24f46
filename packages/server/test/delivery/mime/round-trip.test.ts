import fc from 'fast-check'
import { type AddressObject, simpleParser } from 'mailparser'
import PostalMime, { decodeWords } from 'postal-mime'
import { expect, test } from 'vitest'
import type { ExtraHeader, Mailbox, OutgoingMessage } from '../../../src/delivery/mime/message.ts'
import { EIGHT_BIT, SEVEN_BIT, write } from './support.ts'

/** What was said, in the form in which it must arrive. */
interface Read {
  from: Mailbox
  to: Mailbox[]
  cc: Mailbox[]
  replyTo: Mailbox[]
  subject: string
  messageId: string
  date: string
  headers: Record<string, string>
  text: string | null
  html: string | null
}

const RUNS = 150

const character = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyzABC0123456789') },
  { weight: 3, arbitrary: fc.constant(' ') },
  { weight: 2, arbitrary: fc.constantFrom(...'=?_.,;:<>@()[]\\"\'!#%&*+-/|~^`{}$') },
  { weight: 2, arbitrary: fc.constantFrom(...'äöüßéàñøÿ€„“–…') },
  { weight: 1, arbitrary: fc.constantFrom('世', '界', '🎉', '👩‍👩‍👧', 'ا', 'ש', '\u0301', '\u00a0', '\ud83d') },
)
const phrase = fc.oneof(
  fc.array(character, { maxLength: 40 }).map((all) => all.join('')),
  fc.array(character, { minLength: 100, maxLength: 400 }).map((all) => all.join('')),
  fc
    .tuple(fc.constantFrom('x', 'ü', '世', '🎉', 'x '), fc.integer({ min: 60, max: 1_200 }))
    .map(([c, n]) => c.repeat(n)),
  fc.constantFrom('=?UTF-8?Q?a?=', '=?utf-8?B?YQ==?= b', '"', '\\', '""', 'a "b" c', '=?', '?='),
)
const line = fc.oneof(
  phrase,
  fc.constantFrom('', '.', '..', '. x', 'From here', '--', '--=_', '=', '=20', ' ', '\t', 'a ', 'a\t', '\u0001'),
  fc.tuple(fc.constantFrom('x', 'ü', '世', '='), fc.integer({ min: 330, max: 1_100 })).map(([c, n]) => c.repeat(n)),
)
const body = fc
  .array(fc.tuple(line, fc.constantFrom('\n', '\n', '\r\n', '\r\n', '\r', '')), { maxLength: 12 })
  .map((lines) => lines.map(([text, end]) => text + end).join(''))
const address = fc
  .tuple(
    fc.stringMatching(/^[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,30}(?:\.[a-z0-9]{1,20})?$/),
    fc.constantFrom('example.com', 'mail.example.org', 'localhost', 'bücher.example', `${'x'.repeat(60)}.example.com`),
  )
  .map(([local, domain]) => `${local}@${domain}`)
const mailbox = fc.record({ name: phrase, address })
const header = fc.record({ name: fc.stringMatching(/^X-[A-Za-z0-9-]{1,40}$/), value: phrase })

const message: fc.Arbitrary<OutgoingMessage> = fc
  .record({
    from: mailbox,
    to: fc.array(mailbox, { minLength: 1, maxLength: 4 }),
    cc: fc.array(mailbox, { maxLength: 3 }),
    replyTo: fc.array(mailbox, { maxLength: 2 }),
    subject: phrase,
    messageId: fc.stringMatching(/^<[a-z0-9.]{1,40}@example\.com>$/),
    date: fc.date({ min: new Date('1970-01-01'), max: new Date('2099-12-31'), noInvalidDate: true }),
    headers: fc.array(header, { maxLength: 4 }),
    text: fc.option(body, { nil: undefined }),
    html: fc.option(body, { nil: undefined }),
  })
  .filter(({ text, html }) => text !== undefined || html !== undefined)

/** Readers drop white space around names and headers, and some within; where lines were folded it may differ. */
const words = (text: string) => text.toWellFormed().replace(/\s+/g, ' ').trim()
/** Line ends are unified; readers add some at the very end. */
const lines = (text: string) => text.toWellFormed().replace(/\r\n?/g, '\n').replace(/\n+$/, '')
/** Of the extra headers those that say something; of one name the last counts, even if it says nothing. */
const withText = (headers: (readonly [name: string, value: string])[]) =>
  Object.fromEntries([...new Map(headers)].filter(([name, value]) => name.startsWith('x-') && value !== ''))
const domainsInAscii = (address: string) => address.replace('bücher', 'xn--bcher-kva')
const people = (all: readonly Mailbox[]) =>
  all.map(({ name, address }) => ({ name: words(name), address: domainsInAscii(address) }))

function meant(said: OutgoingMessage): Read {
  const headers = (said.headers ?? []).map(
    ({ name, value }: ExtraHeader) => [name.toLowerCase(), words(value)] as const,
  )
  return {
    from: people([said.from])[0]!,
    to: people(said.to as Mailbox[]),
    cc: people(said.cc as Mailbox[]),
    replyTo: people(said.replyTo as Mailbox[]),
    subject: words(said.subject),
    messageId: said.messageId,
    date: new Date(Math.floor(said.date.getTime() / 1000) * 1000).toISOString(),
    headers: withText(headers),
    text: said.text === undefined ? null : lines(said.text),
    html: said.html === undefined ? null : lines(said.html),
  }
}

async function byPostalMime(raw: Buffer, said: OutgoingMessage): Promise<Read> {
  const mail = await PostalMime.parse(raw)
  const boxes = (all: typeof mail.to) => people((all ?? []).map(({ name, address }) => ({ name, address: address! })))
  return {
    from: boxes([mail.from!])[0]!,
    to: boxes(mail.to),
    cc: boxes(mail.cc),
    replyTo: boxes(mail.replyTo),
    subject: words(mail.subject ?? ''),
    messageId: mail.messageId!,
    date: new Date(mail.date!).toISOString(),
    headers: withText(mail.headers.map(({ key, value }) => [key, words(decodeWords(value))])),
    text: said.text === undefined ? null : lines(mail.text ?? ''),
    html: said.html === undefined ? null : lines(mail.html ?? ''),
  }
}

async function byMailparser(raw: Buffer, said: OutgoingMessage): Promise<Read> {
  const mail = await simpleParser(raw, { skipHtmlToText: true, skipTextToHtml: true, skipImageLinks: true })
  const boxes = (given: AddressObject | AddressObject[] | undefined) =>
    people([given ?? []].flat().flatMap(({ value }) => value.map(({ name, address }) => ({ name, address: address! }))))
  return {
    from: boxes(mail.from)[0]!,
    to: boxes(mail.to),
    cc: boxes(mail.cc),
    replyTo: boxes(mail.replyTo),
    subject: words(mail.subject ?? ''),
    messageId: mail.messageId!,
    date: mail.date!.toISOString(),
    headers: withText([...mail.headers].map(([key, value]) => [key, words(decodeWords(String(value)))])),
    text: said.text === undefined ? null : lines(mail.text ?? ''),
    html: said.html === undefined ? null : lines(mail.html || ''),
  }
}

for (const [relayName, relay] of [
  ['a relay for eight bits', EIGHT_BIT],
  ['a relay for seven bits', SEVEN_BIT],
] as const) {
  for (const [reader, read] of [
    ['postal-mime', byPostalMime],
    ['mailparser', byMailparser],
  ] as const) {
    test(`${reader} reads what was written, by ${relayName}`, async () => {
      await fc.assert(
        fc.asyncProperty(message, async (said) => {
          const written = write(said, relay)
          expect(await read(written.raw, said)).toEqual(meant(said))
        }),
        { numRuns: RUNS },
      )
    })
  }
}
