import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createReplyReader, enhancedOf, type Reply, textOf } from '../../../src/delivery/smtp/reply.ts'

function read(...chunks: Array<string | Buffer>) {
  const replies: Reply[] = []
  const reader = createReplyReader((reply) => replies.push(reply))
  let problem: string | null = null
  for (const chunk of chunks) problem = reader.push(Buffer.from(chunk))
  return { replies, problem, texts: replies.map(textOf) }
}

test('one line, several lines, several replies at once', () => {
  expect(read('250 2.1.0 ok\r\n').replies).toEqual([{ code: 250, lines: ['2.1.0 ok'] }])
  expect(read('250-relay\r\n250-SIZE 10\r\n250 HELP\r\n').replies).toEqual([
    { code: 250, lines: ['relay', 'SIZE 10', 'HELP'] },
  ])
  expect(read('250 a\r\n550-b\r\n550 c\r\n354 d\r\n').texts).toEqual(['250 a', '550 b c', '354 d'])
})

test('what servers do although they should not: a code alone, a bare LF, no text', () => {
  expect(read('250\r\n250 \r\n250-\n250 x\n').texts).toEqual(['250', '250', '250 x'])
})

test('an enhanced code is found at the beginning, when it agrees with the reply', () => {
  const enhanced = (line: string) => enhancedOf(read(`${line}\r\n`).replies[0]!)
  expect(enhanced('550 5.1.1 no such user')).toBe('5.1.1')
  expect(enhanced('550 4.1.1 contradiction')).toBeNull()
  expect(enhanced('550 host 5.1.1.1 refused')).toBeNull()
  expect(enhanced('550 5.1.1.1 is an address')).toBeNull()
  expect(enhanced('452 4.2.2')).toBe('4.2.2')
})

test('an enhanced code on every line is said once, so that words that belong together stand together', () => {
  expect(
    read('550-5.1.1 The account that you tried to reach does\r\n550-5.1.1 not exist.\r\n550 5.1.1 Bye\r\n').texts,
  ).toEqual(['550 5.1.1 The account that you tried to reach does not exist. Bye'])
})

test('control characters never reach a log or the database', () => {
  expect(read('550 no\0such\x1b[31muser\r\n').texts).toEqual(['550 no such [31muser'])
})

test.each(['HTTP/1.1 400 Bad Request', 'hello', '25', '2x0 no', '650 no', '150 no', '250_ok', '', '\x16\x03\x01'])(
  'this is not SMTP: %j',
  (line) => expect(read(`${line}\r\n`).problem).toMatch(/^this is not SMTP/),
)

test('a line without end takes no memory, and its reply is still understood', () => {
  const { replies, problem } = read('550 ', ...Array.from({ length: 1_000 }, () => 'x'.repeat(1_000)), '\r\n250 ok\r\n')
  expect(problem).toBeNull()
  expect(replies.map(({ code }) => code)).toEqual([550, 250])
  expect(replies[0]!.lines[0]!.length).toBeLessThan(1_001)
})

test('a reply without end is given up', () => {
  expect(read('250-more\r\n'.repeat(1_000))).toMatchObject({ replies: [], problem: 'a reply of more than 200 lines' })
})

test('nothing is read after something that was not SMTP', () => {
  expect(read('garbage\r\n', '250 ok\r\n').replies).toEqual([])
})

const line = fc.record({
  code: fc.integer({ min: 200, max: 599 }),
  text: fc.stringMatching(/^[\x21-\x7e][\x20-\x7e]{0,60}[\x21-\x7e]$/),
})
const FIXED = { seed: 5321, numRuns: 2_000 }

test('wherever the bytes are cut, the replies are the same', () => {
  fc.assert(
    fc.property(
      fc.array(line, { maxLength: 8 }),
      fc.array(fc.nat(40), { minLength: 1, maxLength: 40 }),
      (lines, cuts) => {
        const bytes = Buffer.from(lines.map(({ code, text }) => `${code} ${text}\r\n`).join(''))
        const chunks: Buffer[] = []
        for (let at = 0, cut = 0; at < bytes.length; cut++) {
          const length = cuts[cut % cuts.length]! + 1
          chunks.push(bytes.subarray(at, at + length))
          at += length
        }
        expect(read(...chunks)).toEqual({
          replies: lines.map(({ code, text }) => ({ code, lines: [text] })),
          texts: lines.map(({ code, text }) => `${code} ${text}`),
          problem: null,
        })
      },
    ),
    FIXED,
  )
})

test('whatever comes, it throws nothing, keeps little, and takes at most one reply a line', () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc
      .constantFrom('250 ok\r\n', '250-', '\r\n', '\n', '550', '\r', '421 4.3.2 bye\r\n', '354', '-', ' ', '\0')
      .map((text) => Buffer.from(text)),
  )
  fc.assert(
    fc.property(fc.array(noise, { maxLength: 60 }), (chunks) => {
      const { replies } = read(...chunks)
      const bytes = Buffer.concat(chunks)
      expect(replies.length).toBeLessThanOrEqual(bytes.filter((byte) => byte === 10).length)
      for (const reply of replies) expect(textOf(reply)).not.toMatch(/[\0-\x1f\x7f]/)
    }),
    FIXED,
  )
})
