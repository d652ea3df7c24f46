import { describe, expect, test } from 'vitest'
import { attempt, field, write } from './support.ts'

const subject = (text: string) => field(write({ subject: text }), 'Subject')
const tag = (value: string) => field(write({ headers: [{ name: 'X-Tag', value }] }), 'X-Tag')

describe('RFC 5322: fields of text', () => {
  test('plain text stays as it is', () => {
    expect(subject('Your order: 3 + 4 = 7?')).toEqual(['Subject: Your order: 3 + 4 = 7?'])
    expect(subject('')).toEqual(['Subject:'])
  })

  test('§2.2.3: a long text is folded before its spaces, at 76 characters', () => {
    const lines = subject(`${'every good word counts '.repeat(8)}twice  over`)
    expect(lines.length).toBe(3)
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(76)
    expect(lines.join('')).toBe(`Subject: ${'every good word counts '.repeat(8)}twice  over`)
  })

  test('§2.1.1: a word longer than a line stays whole, one longer than any line is encoded', () => {
    const url = `https://example.com/${'x'.repeat(200)}`
    expect(tag(`see ${url} there`)).toEqual(['X-Tag: see', ` ${url}`, ' there'])
    const lines = tag('x'.repeat(2_000))
    expect(lines.length).toBeGreaterThan(30)
    expect(lines[0]).toMatch(/^X-Tag: =\?UTF-8\?Q\?x+\?=$/)
  })

  test('white space around a text is dropped, inside it is kept', () => {
    expect(subject('  two  spaces  ')).toEqual(['Subject: two  spaces'])
    expect(subject('a\tb')).toEqual(['Subject: =?UTF-8?B?YQli?='])
  })

  test('§3.3: dates in universal time', () => {
    expect(field(write({ date: new Date('2026-03-02T10:00:00.999Z') }), 'Date')).toEqual([
      'Date: Mon, 02 Mar 2026 10:00:00 +0000',
    ])
    expect(attempt({ date: new Date(Number.NaN) })).toMatchObject({ ok: false, reason: 'value', field: 'Date' })
  })

  test('§3.6.4: message ids', () => {
    expect(field(write({ messageId: '<a.b@bücher.example>' }), 'Message-ID')).toEqual([
      'Message-ID: <a.b@xn--bcher-kva.example>',
    ])
    for (const messageId of ['', 'a@b', '<a b@c>', '<a@b> <c@d>', '<ä@example.com>', '<@>', '<a@>']) {
      expect(attempt({ messageId })).toMatchObject({ ok: false, reason: 'value', field: 'Message-ID' })
    }
  })
})

describe('RFC 2047: encoded words', () => {
  test('§4: Q or B, whichever is shorter', () => {
    expect(subject('Grüße, Leserschaft')).toEqual(['Subject: =?UTF-8?B?R3LDvMOfZSw=?= Leserschaft'])
    expect(subject('Überraschung')).toEqual(['Subject: =?UTF-8?Q?=C3=9Cberraschung?='])
    expect(subject('世界')).toEqual(['Subject: =?UTF-8?B?5LiW55WM?='])
  })

  test('§6.2: only words that need it are encoded, with the spaces between them', () => {
    expect(subject('Eine für Änderungen offene Frage')).toEqual([
      'Subject: Eine =?UTF-8?Q?f=C3=BCr_=C3=84nderungen?= offene Frage',
    ])
  })

  test('§2: 75 characters a word, 76 a line, no character split', () => {
    const lines = subject('世界🎉'.repeat(60))
    expect(lines.length).toBeGreaterThan(5)
    const words = lines.map((line) => line.replace(/^Subject:/, '').trim())
    const texts = words.map((word) => Buffer.from(/\?B\?(.*)\?=/.exec(word)![1]!, 'base64').toString())
    expect(texts.join('')).toBe('世界🎉'.repeat(60))
    for (const text of texts) expect(text).not.toContain('\ufffd')
  })

  test('text that looks like an encoded word arrives as it was typed', () => {
    expect(subject('=?UTF-8?Q?no?=')).toEqual(['Subject: =?UTF-8?B?PT9VVEYtOD9RP25vPz0=?='])
  })

  test('a lone surrogate becomes the replacement character', () => {
    expect(subject('a lone\ud800surrogate')).toEqual(['Subject: a =?UTF-8?Q?lone=EF=BF=BDsurrogate?='])
  })
})

describe('extra headers', () => {
  test('one line, where some receivers read no further', () => {
    const url = `<https://mail.example.com/u/${'x'.repeat(200)}>, <mailto:u@example.com?subject=unsubscribe>`
    const headers = [{ name: 'List-Unsubscribe', value: url, oneLine: true }]
    expect(field(write({ headers }), 'List-Unsubscribe')).toEqual([`List-Unsubscribe: ${url}`])
    for (const value of ['<https://bücher.example>', 'x'.repeat(1_000)]) {
      expect(attempt({ headers: [{ name: 'List-Unsubscribe', value, oneLine: true }] })).toMatchObject({
        ok: false,
        reason: 'value',
        field: 'List-Unsubscribe',
      })
    }
  })

  test('of two with one name the later one counts', () => {
    const headers = [
      { name: 'X-Tag', value: 'one' },
      { name: 'x-tag', value: 'two' },
    ]
    expect(field(write({ headers }), 'X-Tag')).toEqual(['x-tag: two'])
  })

  test('§2.2: names are printable and hold no colon', () => {
    for (const name of ['', ' ', 'X Tag', 'X-Tag:', 'Ä', 'X\r\nBcc', '-', '.X', 'x'.repeat(77), 'X\0']) {
      expect(attempt({ headers: [{ name, value: 'a' }] })).toMatchObject({
        ok: false,
        reason: 'header-name',
        field: name,
      })
    }
  })

  test('what the writer writes itself cannot be given', () => {
    for (const name of ['From', 'BCC', 'content-type', 'Content-Foo', 'DKIM-Signature', 'Message-Id', 'mime-version']) {
      expect(attempt({ headers: [{ name, value: 'a' }] })).toMatchObject({
        ok: false,
        reason: 'header-name',
        field: name,
      })
    }
  })
})

describe('line breaks and NUL are refused by the name of the field', () => {
  for (const evil of ['a\r\nBcc: eve@example.com', 'a\nb', 'a\rb', 'a\0b', 'a\r\n', '\n']) {
    test(JSON.stringify(evil), () => {
      const mailbox = { name: '', address: 'ada@example.com' }
      const refused = [
        ['Subject', { subject: evil }],
        ['From', { from: { ...mailbox, name: evil } }],
        ['From', { from: { ...mailbox, address: evil } }],
        ['To', { to: { ...mailbox, name: evil } }],
        ['To', { to: [mailbox, { ...mailbox, address: `ada@example.com${evil}` }] }],
        ['Cc', { cc: `ada@example.com, ${evil}` }],
        ['Bcc', { bcc: evil }],
        ['Sender', { sender: evil }],
        ['Reply-To', { replyTo: evil }],
        ['Message-ID', { messageId: `<${evil}@example.com>` }],
        ['X-Tag', { headers: [{ name: 'X-Tag', value: evil }] }],
        ['X-Tag', { headers: [{ name: 'X-Tag', value: evil, oneLine: true }] }],
      ] as const
      for (const [name, given] of refused) {
        expect(attempt(given)).toMatchObject({ ok: false, reason: 'line-break', field: name })
      }
    })
  }
})
