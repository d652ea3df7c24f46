import { describe, expect, test } from 'vitest'
import { bodyOf, EIGHT_BIT, field, SEVEN_BIT, write } from './support.ts'

const encodingOf = (text: string, relay = EIGHT_BIT) =>
  field(write({ text }, relay), 'Content-Transfer-Encoding')[0]!.replace('Content-Transfer-Encoding: ', '')
const sevenBit = (text: string) => bodyOf(write({ text }, SEVEN_BIT))

describe('RFC 2045 §6: which encoding', () => {
  test('none for ASCII, whatever the relay takes', () => {
    expect(encodingOf('Hello\r\n', EIGHT_BIT)).toBe('7bit')
    expect(encodingOf('Hello\r\n', SEVEN_BIT)).toBe('7bit')
    expect(encodingOf('')).toBe('7bit')
  })

  test('RFC 6152: none for UTF-8 where the relay takes eight bits', () => {
    expect(encodingOf('Grüße')).toBe('8bit')
    expect(encodingOf('世界')).toBe('8bit')
    expect(write({ text: 'Grüße' }).eightBit).toBe(true)
    expect(write({ text: 'Grusse' }).eightBit).toBe(false)
  })

  test('elsewhere the shorter of quoted-printable and base64', () => {
    expect(encodingOf('Viele Grüße, wie immer von uns allen', SEVEN_BIT)).toBe('quoted-printable')
    expect(encodingOf('Приве́т, мир', SEVEN_BIT)).toBe('base64')
    expect(encodingOf('世界'.repeat(100), SEVEN_BIT)).toBe('base64')
  })

  test('RFC 5322 §2.1.1: 998 octets are a line, 999 are not', () => {
    expect(encodingOf(`a\n${'x'.repeat(998)}\nb`)).toBe('7bit')
    expect(encodingOf(`a\n${'x'.repeat(999)}\nb`)).toBe('quoted-printable')
    expect(encodingOf('ü'.repeat(499))).toBe('8bit')
    expect(encodingOf(`${'ü'.repeat(499)}x`)).not.toBe('8bit')
    expect(encodingOf(`${'世'.repeat(332)}xx\r\n`)).toBe('8bit')
    expect(encodingOf(`${'世'.repeat(332)}xxx\r\n`)).not.toBe('8bit')
  })

  test('§2.8: NUL is never sent as it is', () => {
    expect(sevenBit('some bytes \0 and more of them')).toBe('some bytes =00 and more of them\r\n')
  })
})

describe('RFC 5321 §2.3.8: lines end in CRLF', () => {
  test('whatever they ended in', () => {
    expect(bodyOf(write({ text: 'a\nb\r\nc\rd\n\re' }))).toBe('a\r\nb\r\nc\r\nd\r\n\r\ne\r\n')
    expect(bodyOf(write({ text: 'ä\nb\n' }))).toBe('ä\r\nb\r\n')
    expect(bodyOf(write({ text: 'a\r' }))).toBe('a\r\n')
    expect(sevenBit('ä has\na\r\nlong\rway')).toBe('=C3=A4 has\r\na\r\nlong\r\nway\r\n')
  })

  test('in base64 as well', () => {
    const body = sevenBit('世\n界\r好')
    expect(Buffer.from(body, 'base64').toString()).toBe('世\r\n界\r\n好')
  })
})

describe('RFC 5321 §4.5.2: whether there are dots to stuff', () => {
  test('in lines that begin with one', () => {
    expect(write({ text: 'a\n.b\n' }).leadingDot).toBe(true)
    expect(write({ text: '.' }).leadingDot).toBe(true)
    expect(write({ text: 'a\r.b' }).leadingDot).toBe(true)
    expect(write({ text: 'a.b\n' }).leadingDot).toBe(false)
    expect(write({ text: 'a', html: '.b' }).leadingDot).toBe(true)
  })

  test('not where the encoding hides them', () => {
    expect(write({ text: '.ä and more\n..\n' }, SEVEN_BIT).leadingDot).toBe(false)
  })
})

describe('RFC 2045 §6.8: base64', () => {
  test('in lines of 76 characters', () => {
    for (const length of [1, 2, 18, 19, 20, 37, 38, 39, 1_000]) {
      const lines = sevenBit('世'.repeat(length)).trimEnd().split('\r\n')
      expect(lines.slice(0, -1).every((line) => line.length === 76)).toBe(true)
      expect(lines.at(-1)!.length).toBeLessThanOrEqual(76)
      expect(Buffer.from(lines.join(''), 'base64').toString()).toBe('世'.repeat(length))
    }
  })
})
