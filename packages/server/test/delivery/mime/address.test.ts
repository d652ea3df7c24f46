import { describe, expect, test } from 'vitest'
import { attempt, EIGHT_BIT, field, MODERN, write } from './support.ts'

const to = (name: string, address = 'ada@example.com') => field(write({ to: { name, address } }), 'To')

describe('RFC 5322 §3.4: display names', () => {
  test('none, plain, quoted, encoded', () => {
    expect(to('')).toEqual(['To: ada@example.com'])
    expect(to('Ada from Sales')).toEqual(['To: Ada from Sales <ada@example.com>'])
    expect(to('Sales, Inc.')).toEqual(['To: "Sales, Inc." <ada@example.com>'])
    expect(to('the "real" \\ one')).toEqual(['To: "the \\"real\\" \\\\ one" <ada@example.com>'])
    expect(to('eve@example.com')).toEqual(['To: "eve@example.com" <ada@example.com>'])
    expect(to('Grüße')).toEqual(['To: =?UTF-8?B?R3LDvMOfZQ==?= <ada@example.com>'])
  })

  test('RFC 2047 §5 (3): within a name nothing but letters, digits and !*+-/ stays unencoded', () => {
    expect(to('Café "(x)", y.z <a>')).toEqual(['To: =?UTF-8?B?Q2Fmw6kgIih4KSIsIHkueiA8YT4=?= <ada@example.com>'])
    expect(to('Café, example')).toEqual(['To: =?UTF-8?Q?Caf=C3=A9=2C_example?= <ada@example.com>'])
  })

  test('long names are folded: at their spaces, or by encoding', () => {
    const spaced = to('one, two, three and four, '.repeat(12).trim())
    expect(spaced.length).toBeGreaterThan(3)
    for (const line of spaced) expect(line.length).toBeLessThanOrEqual(76)
    const solid = to('x'.repeat(500))
    expect(solid.length).toBeGreaterThan(6)
    expect(solid.at(-1)).toBe(' <ada@example.com>')
  })

  test('a name that looks like an encoded word is encoded, as readers decode it even in quotes', () => {
    expect(to('=?UTF-8?Q?eve?=')[0]).toMatch(/^To: =\?UTF-8\?B\?/)
  })
})

describe('lists of addresses', () => {
  const three = '"Sales, Inc." <sales@example.com>, bob@example.com,\t<eve@example.com> ,'

  test('as people write them', () => {
    expect(field(write({ cc: three }), 'Cc')).toEqual([
      'Cc: "Sales, Inc." <sales@example.com>, bob@example.com, eve@example.com',
    ])
  })

  test('are folded between addresses', () => {
    const cc = Array.from({ length: 20 }, (_, i) => `person${i}@example.com`).join(',')
    const lines = field(write({ cc }), 'Cc')
    expect(lines.length).toBe(7)
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(76)
  })

  test('recipients are named once each; blind copies are in the envelope alone', () => {
    const written = write({ to: 'ada@example.com', cc: three, bcc: 'Ada <ada@example.com>, blind@example.com' })
    expect(written.recipients).toEqual([
      'ada@example.com',
      'sales@example.com',
      'bob@example.com',
      'eve@example.com',
      'blind@example.com',
    ])
    expect(written.raw.toString()).not.toMatch(/blind|bcc/i)
  })

  test('no field for nobody', () => {
    const written = write({ cc: '', bcc: ' , ', replyTo: [], sender: undefined })
    for (const name of ['Cc', 'Reply-To', 'Sender']) expect(field(written, name)).toEqual([])
  })

  test('§3.6.2: one author, one sender, any number to reply to', () => {
    const written = write({ sender: 'office@example.org', replyTo: 'a@example.org, B <b@example.org>' })
    expect(field(written, 'Sender')).toEqual(['Sender: office@example.org'])
    expect(field(written, 'Reply-To')).toEqual(['Reply-To: a@example.org, B <b@example.org>'])
    expect(attempt({ sender: 'a@example.org, b@example.org' })).toMatchObject({ reason: 'address', field: 'Sender' })
  })

  test('a message for nobody is refused', () => {
    expect(attempt({ to: [] })).toMatchObject({ ok: false, reason: 'address', field: 'To' })
  })
})

describe('addresses', () => {
  test('RFC 5890: domains travel as A-labels', () => {
    const written = write({ to: { name: '', address: 'ada@Bücher.example' } })
    expect(field(written, 'To')).toEqual(['To: ada@xn--bcher-kva.example'])
    expect(written.recipients).toEqual(['ada@xn--bcher-kva.example'])
    expect(written.smtpUtf8).toBe(false)
  })

  test('RFC 6531: a local part beyond ASCII needs SMTPUTF8, and goes out in UTF-8 then', () => {
    const given = { to: { name: '', address: 'grüße@example.com' } }
    expect(attempt(given, EIGHT_BIT)).toMatchObject({ ok: false, reason: 'needs-smtputf8', field: 'To' })
    expect(attempt({ bcc: 'grüße@example.com' })).toMatchObject({ reason: 'needs-smtputf8', field: 'Bcc' })
    const written = write(given, MODERN)
    expect(field(written, 'To')).toEqual(['To: grüße@example.com'])
    expect(written).toMatchObject({ smtpUtf8: true, eightBit: true, recipients: ['grüße@example.com'] })
  })

  test('what is none is refused by name', () => {
    const wrong = [
      'ada',
      '@example.com',
      'ada@',
      'a b@example.com',
      '.ada@example.com',
      'ada..b@example.com',
      'ada.@example.com',
      '"ada"@example.com',
      'ada@exa mple.com',
      'ada@-example.com',
      'ada@example..com',
      'ada@example.com>',
      '<ada@example.com',
      'a@b@example.com',
      'ada\u00a0b@example.com',
      'a\ud800@example.com',
      `${'x'.repeat(65)}@example.com`,
      `${'ü'.repeat(33)}@example.com`,
      `ada@${'x.'.repeat(127)}com`,
    ]
    for (const address of wrong) {
      expect(attempt({ to: { name: '', address } }, MODERN), address).toMatchObject({
        ok: false,
        reason: 'address',
        field: 'To',
      })
    }
  })

  test('what is rare but right is taken', () => {
    for (const address of [
      "o'x!#$%&*+/=?^_`{|}~-@example.com",
      'root@localhost',
      'a@[192.0.2.1]',
      'a@[IPv6:2001:db8::1]',
    ]) {
      expect(to('', address)).toEqual([`To: ${address}`])
    }
  })
})
