import fc from 'fast-check'
import { expect, test } from 'vitest'
import { endOf, stuffed } from '../../../src/delivery/smtp/content.ts'

const onTheWire = (content: string) => {
  const bytes = Buffer.from(content)
  return Buffer.concat([stuffed(bytes), endOf(bytes)]).toString()
}

test.each([
  ['a\r\nb\r\n', 'a\r\nb\r\n.\r\n'],
  ['a\r\nb', 'a\r\nb\r\n.\r\n'],
  ['', '.\r\n'],
  ['.', '..\r\n.\r\n'],
  ['.\r\n', '..\r\n.\r\n'],
  ['a\r\n.\r\nb\r\n', 'a\r\n..\r\nb\r\n.\r\n'],
  ['a\r\n..b\r\n.c', 'a\r\n...b\r\n..c\r\n.\r\n'],
  ['a.b. c\r\n', 'a.b. c\r\n.\r\n'],
  ['a\n', 'a\n\r\n.\r\n'],
  ['a\r', 'a\r\r\n.\r\n'],
])('%j goes out as %j', (content, wire) => expect(onTheWire(content)).toBe(wire))

test('a content that needs no dot is not copied', () => {
  const content = Buffer.from('no dots at the beginning.\r\n of any line...\r\n')
  expect(stuffed(content)).toBe(content)
})

const pieces = fc.array(fc.constantFrom('\r\n', '\n', '\r', '.', '..', 'a', 'MAIL FROM:<x@example.com>', ' '), {
  maxLength: 30,
})

test('no content ends the message early, whatever a server takes for a line end', () => {
  fc.assert(
    fc.property(pieces, (parts) => {
      const wire = onTheWire(parts.join(''))
      for (const lineEnd of [/\r\n/, /\r\n|\n/, /\r\n|\n|\r/]) {
        const lines = wire.split(lineEnd)
        expect(lines.indexOf('.')).toBe(lines.length - 2)
        expect(lines.at(-1)).toBe('')
      }
    }),
    { seed: 5321, numRuns: 2_000 },
  )
})

test('a server gets back what was written', () => {
  const proper = fc.array(fc.stringMatching(/^\.{0,3}[ -~]{0,5}$/), { maxLength: 20 })
  fc.assert(
    fc.property(proper, (lines) => {
      const content = lines.map((line) => `${line}\r\n`).join('')
      const wire = onTheWire(content)
      expect(wire.slice(0, -3).replace(/^\./gm, '')).toBe(content)
    }),
    { seed: 5321, numRuns: 2_000 },
  )
})
