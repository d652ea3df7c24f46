import { describe, expect, test } from 'vitest'
import { mostQuotedPrintable, writeQuotedPrintable } from '../../../src/delivery/mime/quoted-printable.ts'

function quoted(text: string, most = Number.MAX_SAFE_INTEGER): string | null {
  const octets = Buffer.from(text)
  const target = Buffer.alloc(mostQuotedPrintable(octets.length))
  const length = writeQuotedPrintable(octets, target, most)
  return length === -1 ? null : target.toString('latin1', 0, length)
}

/** What a reader makes of it. */
function reading(lines: string): string {
  const octets = lines
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(octets, 'latin1').toString('utf8')
}

describe('RFC 2045 §6.7: quoted-printable', () => {
  test('(1) octets that are not plain, and =', () => {
    expect(quoted('2 = zwö\u0001\u007f~!\0')).toBe('2 =3D zw=C3=B6=01=7F~!=00')
    expect(quoted('')).toBe('')
  })

  test('(3) blanks at the end of a line', () => {
    expect(quoted('ä \nb\t\n \n\t ')).toBe('=C3=A4=20\r\nb=09\r\n=20\r\n\t=20')
    // The code does not fit where the blank was.
    expect(quoted(`${'x'.repeat(74)} \n`)).toBe(`${'x'.repeat(74)}=\r\n=20\r\n`)
  })

  test('(4) line ends of any kind are CRLF', () => {
    expect(quoted('a\nb\r\nc\rd\n\re')).toBe('a\r\nb\r\nc\r\nd\r\n\r\ne')
  })

  test('(5) lines of 76 characters at most', () => {
    expect(quoted('x'.repeat(75))).toBe('x'.repeat(75))
    expect(quoted('x'.repeat(76))).toBe(`${'x'.repeat(75)}=\r\nx`)
    expect(quoted(`${'x'.repeat(73)}=`)).toBe(`${'x'.repeat(73)}=\r\n=3D`)
  })

  test('no character is split, whatever comes before it', () => {
    for (const unit of ['x', 'ö ', '  ', 'a=', '世aaaaaaa', '🎉bbbbbbbbbbbb', '.', 'From ', ' \n', '\r', '\ud800']) {
      for (let shift = 0; shift < 80; shift++) {
        const text = `${'y'.repeat(shift)}${unit.repeat(60)}`
        const lines = quoted(text)!.split('\r\n')
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(76)
        expect(lines.filter((line) => /[ \t]$|^\.|^From /.test(line))).toEqual([])
        if (unit !== '\ud800') {
          expect(lines.map((line) => reading(`${line}\r\n`)).join('')).not.toContain('\ufffd')
        }
        expect(reading(lines.join('\r\n'))).toBe(text.toWellFormed().replace(/\r\n?|\n/g, '\r\n'))
      }
    }
  })

  test('RFC 2049 §3: no line begins with a dot or with "From "', () => {
    expect(quoted('ä\n.\n..\nFrom here\nFrom\nFromage\n')).toBe(
      '=C3=A4\r\n=2E\r\n=2E.\r\n=46rom here\r\nFrom\r\nFromage\r\n',
    )
    expect(quoted(`${'x'.repeat(75)}.y`)).toBe(`${'x'.repeat(75)}=\r\n=2Ey`)
  })

  test('gives up where it would get longer than it may', () => {
    const text = 'Grüße\n'.repeat(100)
    const { length } = quoted(text)!
    expect(quoted(text, length)).toHaveLength(length)
    expect(quoted(text, length - 1)).toBeNull()
    expect(quoted('ü', 5)).toBeNull()
  })
})
