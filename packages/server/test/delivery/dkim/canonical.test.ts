import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { relaxedBody, relaxedField } from '../../../src/delivery/dkim/canonical.ts'

const body = (text: string) => relaxedBody(Buffer.from(text, 'latin1')).toString('latin1')

describe('RFC 6376 §3.4.5: the examples', () => {
  test('header', () => {
    expect(relaxedField('A: X')).toBe('a:X')
    expect(relaxedField('B : Y\t\r\n\tZ  ')).toBe('b:Y Z')
  })

  test('body', () => {
    expect(body(' C \r\nD \t E\r\n\r\n\r\n')).toBe(' C\r\nD E\r\n')
  })
})

describe('RFC 6376 §3.4.4: relaxed bodies', () => {
  test('nothing is nothing, and so are empty lines', () => {
    for (const nothing of ['', '\r\n', '\r\n\r\n', ' \r\n\t\r\n', ' ', '\t \t']) expect(body(nothing)).toBe('')
  })

  test('the last line has an end', () => {
    expect(body('a')).toBe('a\r\n')
    expect(body('a ')).toBe('a\r\n')
    expect(body('a\r\nb')).toBe('a\r\nb\r\n')
  })

  test('empty lines within are kept, those at the end are not, even if they held blanks', () => {
    expect(body('\r\n \r\n')).toBe('')
    expect(body('a\r\n\r\n\t\r\n')).toBe('a\r\n')
    expect(body('\r\n\r\na\r\n \r\nb\r\n\r\n')).toBe('\r\n\r\na\r\n\r\nb\r\n')
  })

  test('blanks are one space, at the start of a line too', () => {
    expect(body('\t a\t\tb  c\r\n')).toBe(' a b c\r\n')
  })

  test('half a line end is text', () => {
    expect(body('a \rb \n c\r\n')).toBe('a \rb \n c\r\n')
    expect(body('a\r')).toBe('a\r\r\n')
  })

  test('a body that is relaxed is handed back, not copied', () => {
    const relaxed = Buffer.from('a b\r\n\r\nc\r\n')
    expect(relaxedBody(relaxed)).toBe(relaxed)
  })

  test('any body comes out as by the rules, read as patterns', () => {
    const piece = fc.constantFrom('a', 'b', ' ', '\t', '\r\n', '\r', '\n', '.', 'ä')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const given = pieces.join('')
        const lines = given
          .replace(/[\t ]+(?=\r\n|$)/g, '')
          .replace(/[\t ]+/g, ' ')
          .replace(/(?:\r\n)*$/, '')
        expect(body(given)).toBe(lines === '' ? '' : `${lines}\r\n`)
        expect(body(body(given))).toBe(body(given))
      }),
      { numRuns: 3_000 },
    )
  })
})
