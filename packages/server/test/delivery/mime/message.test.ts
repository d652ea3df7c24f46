import { expect, test } from 'vitest'
import { createMimeWriter } from '../../../src/delivery/mime/writer.ts'
import { attempt, bodyOf, EIGHT_BIT, field, letter, SEVEN_BIT, write } from './support.ts'

test('a whole message', () => {
  const written = write(
    {
      from: { name: 'Grüße', address: 'shop@example.org' },
      to: { name: 'Ada', address: 'ada@example.com' },
      replyTo: 'help@example.org',
      subject: 'Schön, dass du da bist',
      headers: [
        { name: 'X-Fairlead-Ref', value: '1.abc' },
        { name: 'List-Unsubscribe', value: '<https://mail.example.com/u/1>', oneLine: true },
        { name: 'List-Unsubscribe-Post', value: 'List-Unsubscribe=One-Click' },
      ],
      text: 'Hello Ada\n',
      html: '<p>Grüße</p>',
    },
    EIGHT_BIT,
  )
  const boundary = /boundary="(.*)"/.exec(written.raw.toString())![1]!
  expect(written.raw.toString('utf8').split('\r\n')).toEqual([
    'Date: Mon, 02 Mar 2026 10:00:00 +0000',
    'From: =?UTF-8?B?R3LDvMOfZQ==?= <shop@example.org>',
    'Reply-To: help@example.org',
    'To: Ada <ada@example.com>',
    'Message-ID: <1.abc@example.org>',
    'Subject: =?UTF-8?B?U2Now7ZuLA==?= dass du da bist',
    'X-Fairlead-Ref: 1.abc',
    'List-Unsubscribe: <https://mail.example.com/u/1>',
    'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
    'MIME-Version: 1.0',
    'Content-Type: multipart/alternative;',
    ` boundary="${boundary}"`,
    'Content-Transfer-Encoding: 8bit',
    '',
    `--${boundary}`,
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 7bit',
    '',
    'Hello Ada',
    '',
    `--${boundary}`,
    'Content-Type: text/html; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    '<p>Grüße</p>',
    `--${boundary}--`,
    '',
  ])
})

test('text alone and HTML alone are messages of one part', () => {
  expect(field(write({ text: 'a' }), 'Content-Type')).toEqual(['Content-Type: text/plain; charset=utf-8'])
  const html = write({ text: undefined, html: '<p>' })
  expect(field(html, 'Content-Type')).toEqual(['Content-Type: text/html; charset=utf-8'])
  expect(bodyOf(html)).toBe('<p>\r\n')
})

test('a message without either is refused', () => {
  expect(attempt({ text: undefined })).toMatchObject({ ok: false, reason: 'no-content', field: 'body' })
})

test('empty parts are parts', () => {
  expect(bodyOf(write({ text: '' }))).toBe('')
  expect(bodyOf(write({ text: '', html: '' })).match(/^Content-Type/gm)).toHaveLength(2)
})

test('RFC 2045 §6.4: the whole is 8bit if one part is', () => {
  const whole = (html: string, relay = EIGHT_BIT) =>
    field(write({ text: 'a', html }, relay), 'Content-Transfer-Encoding')
  expect(whole('ä')).toEqual(['Content-Transfer-Encoding: 8bit'])
  expect(whole('a')).toEqual(['Content-Transfer-Encoding: 7bit'])
  expect(whole('ä', SEVEN_BIT)).toEqual(['Content-Transfer-Encoding: 7bit'])
})

test('RFC 2046 §5.1.1: the delimiter is in no part, though somebody knew it', () => {
  const boundaryOf = (text: string) => /boundary="(.*)"/.exec(write({ text, html: '<p>' }).raw.toString())![1]!
  const known = boundaryOf('a')
  expect(boundaryOf('b')).toBe(known)
  const next = boundaryOf(`a\n--${known}\n`)
  expect(next).not.toBe(known)
  expect([known, next]).not.toContain(boundaryOf(`--${known}--\r--${next}`))
})

test('a message keeps its octets while others are written', () => {
  const writer = createMimeWriter()
  const kept = Array.from({ length: 200 }, (_, i) => {
    const written = writer.write(letter({ subject: `Number ${i}`, text: `${i} ä\n`.repeat(i * 40) }), SEVEN_BIT)
    return written.ok ? { raw: written.raw, copy: written.raw.toString('latin1') } : expect.fail()
  })
  for (const { raw, copy } of kept) expect(raw.toString('latin1')).toBe(copy)
})

test('large texts', () => {
  for (const unit of ['Hello world\n', 'Grüße\r\n', 'Grüße\n', '世界\n', '\ud800世\n']) {
    for (const relay of [EIGHT_BIT, SEVEN_BIT]) {
      const text = unit.repeat(200_000)
      expect(write({ text, html: text }, relay).raw.length).toBeGreaterThan(text.length * 2)
    }
  }
})
