import { generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { dkimVerify } from 'mailauth/lib/dkim/verify.js'
import { describe, expect, test } from 'vitest'
import { type DkimKey, dkimRecord, readDkimKey } from '../../../src/delivery/dkim/key.ts'
import { signDkim } from '../../../src/delivery/dkim/sign.ts'
import type { OutgoingMessage } from '../../../src/delivery/mime/message.ts'
import { EIGHT_BIT, MODERN, SEVEN_BIT, write } from '../mime/support.ts'

const pem = { type: 'pkcs8', format: 'pem' } as const
const rsaPem = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export(pem) as string
const edPem = generateKeyPairSync('ed25519').privateKey.export(pem) as string

function key(selector: string, privateKey: string, domain = 'example.org'): DkimKey {
  const read = readDkimKey({ domain, selector, privateKey })
  if (!read.ok) throw new Error(read.problem)
  return read.key
}

const rsa = key('r1', rsaPem)
const ed = key('e1', edPem)
const NOW = new Date('2026-03-02T10:00:00.500Z')

/** What a receiver finds out, with the keys' records as the whole DNS. */
async function verified(message: Buffer, keys: readonly DkimKey[] = [rsa, ed]) {
  const records = new Map(keys.map(dkimRecord).map(({ name, value }) => [name, value]))
  const resolver = async (name: string) => {
    const value = records.get(name)
    if (value === undefined) throw Object.assign(new Error(`no record of ${name}`), { code: 'ENOTFOUND' })
    return [[value]]
  }
  const { results } = await dkimVerify(message, { resolver, curTime: NOW } as never)
  return results.map(({ status, selector }) => `${selector}: ${status.result}`).toSorted()
}

async function signed(given: Partial<OutgoingMessage>, relay = SEVEN_BIT, keys = [rsa, ed]): Promise<Buffer> {
  const { raw } = write(given, relay)
  return Buffer.concat([await signDkim(raw, keys, NOW), raw])
}

const BOTH = ['e1: pass', 'r1: pass']

describe('RFC 6376: what was signed passes', () => {
  const bodies: Record<string, Partial<OutgoingMessage>> = {
    'a plain text': { text: 'Hello\n' },
    'both parts': { text: 'Grüße\n', html: '<p>Grüße</p>\n' },
    'trailing blanks': { text: 'a  \nb\t\n  c   d \n' },
    'empty lines at both ends': { text: '\n\n\na\n\n\n\n' },
    'nothing but empty lines': { text: '\n\n\n' },
    'nothing but blanks': { text: ' \n\t' },
    'an empty body': { text: '' },
    'no last line end': { text: 'a\nb' },
    'leading dots': { text: '.\n..\n.a\n' },
    'very long lines': { html: 'x'.repeat(5_000), text: undefined },
    'half line ends': { text: 'a\rb\n\rc' },
    'folded and encoded headers': {
      subject: 'Grüße '.repeat(40),
      to: { name: `${'A very long name, '.repeat(12)}Ada`, address: 'ada@example.com' },
      cc: 'a@example.com,  "Sales,  Inc."  <b@example.com>',
      replyTo: 'help@example.org',
    },
    'an empty subject': { subject: '' },
    'one-click unsubscribing': {
      headers: [
        { name: 'List-Unsubscribe', value: `<https://mail.example.com/u/${'x'.repeat(200)}>`, oneLine: true },
        { name: 'List-Unsubscribe-Post', value: 'List-Unsubscribe=One-Click', oneLine: true },
      ],
    },
  }
  for (const [name, given] of Object.entries(bodies)) {
    test(name, async () => {
      expect(await verified(await signed(given, SEVEN_BIT))).toEqual(BOTH)
      expect(await verified(await signed(given, EIGHT_BIT))).toEqual(BOTH)
    })
  }

  test('RFC 6532: headers in UTF-8', async () => {
    const given = { to: { name: '', address: 'grüße@example.com' } }
    expect(await verified(await signed(given, MODERN))).toEqual(BOTH)
  })

  test('RFC 8616: a domain beyond ASCII is signed for under its A-labels', async () => {
    const bold = key('r1', rsaPem, 'Bücher.example')
    const given = { from: { name: '', address: 'shop@bücher.example' } }
    expect(await verified(await signed(given, SEVEN_BIT, [bold]), [bold])).toEqual(['r1: pass'])
  })

  test('any body', async () => {
    const piece = fc.constantFrom('a', 'ä', ' ', '\t', '\n', '\r\n', '\r', '.', '=', '--', 'x'.repeat(999))
    const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''))
    await fc.assert(
      fc.asyncProperty(text, fc.option(text, { nil: undefined }), fc.boolean(), async (one, two, eight) => {
        const message = await signed(
          { text: one, html: two, subject: one.replace(/[\r\n]/g, '') },
          eight ? EIGHT_BIT : SEVEN_BIT,
        )
        expect(await verified(message)).toEqual(BOTH)
      }),
      { numRuns: 150 },
    )
  })
})

describe('what was changed fails', () => {
  const given = {
    headers: [{ name: 'List-Unsubscribe-Post', value: 'List-Unsubscribe=One-Click' }],
    text: 'Hello Ada\n',
  }

  test('in the body, whose hash is another then, or in a signed field', async () => {
    const message = (await signed(given)).toString()
    for (const [from, to] of [
      ['Hello Ada', 'Hello Eve'],
      ['Subject: Hello', 'Subject: Bye'],
      ['To: ada@', 'To: eve@'],
      ['One-Click', 'Two-Click'],
      ['MIME-Version: 1.0', 'MIME-Version: 1.1'],
    ] as const) {
      const changed = message.replace(from, to)
      expect(changed).not.toBe(message)
      const word = from.startsWith('Hello') ? 'neutral' : 'fail'
      expect(await verified(Buffer.from(changed)), from).toEqual([`e1: ${word}`, `r1: ${word}`])
    }
  })

  test('RFC 6376 §8.15: by adding a field that is there, or one that is missing', async () => {
    const message = (await signed(given)).toString()
    for (const name of ['From', 'Subject', 'To', 'Cc', 'Reply-To', 'Sender', 'Content-Type', 'List-Unsubscribe-Post']) {
      for (const changed of [`${name}: x\r\n${message}`, message.replace('\r\n\r\n', `\r\n${name}: x\r\n\r\n`)]) {
        expect(await verified(Buffer.from(changed)), name).toEqual(['e1: fail', 'r1: fail'])
      }
    }
  })

  test('fields that relays add are theirs to add', async () => {
    const message = `Received: from a by b\r\nX-Relay: 1\r\n${await signed({ text: 'Hello' })}`
    expect(await verified(Buffer.from(message))).toEqual(BOTH)
  })
})

test('the signature field: one for each key, in lines of 78 characters', async () => {
  const fields = (await signDkim(write({}).raw, [rsa, ed], NOW)).toString()
  expect(fields.endsWith('\r\n')).toBe(true)
  expect(fields.match(/^DKIM-Signature: v=1; a=(?:rsa|ed25519)-sha256; c=relaxed\/relaxed;\r\n/gm)).toHaveLength(2)
  for (const line of fields.split('\r\n')) expect(line.length).toBeLessThanOrEqual(78)
  expect(fields).toContain(' d=example.org; s=r1;\r\n t=1772445600; bh=')
  expect(fields).toMatch(/ h=From:From:Sender:Reply-To:To:To:Cc:Subject:Subject:/)
  expect(fields).not.toContain('List-Unsubscribe')
  expect(await signDkim(write({}).raw, [], NOW)).toHaveLength(0)
})

describe('keys', () => {
  test('RFC 6376 §3.6.1, RFC 8463 §4: the records to publish', () => {
    expect(dkimRecord(rsa).name).toBe('r1._domainkey.example.org')
    expect(dkimRecord(rsa).value).toMatch(/^v=DKIM1; k=rsa; p=MIIB[\w+/=]+$/)
    expect(dkimRecord(ed).value).toMatch(/^v=DKIM1; k=ed25519; p=[\w+/]{43}=$/)
  })

  test('PKCS #1 is read as well', () => {
    const pkcs1 = rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }) as string
    expect(dkimRecord(key('r1', pkcs1))).toEqual(dkimRecord(rsa))
  })

  test('what is no key is refused, without quoting it', () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 512 }).privateKey.export(pem) as string
    const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(pem) as string
    const given = { domain: 'example.org', selector: 's1', privateKey: rsaPem }
    const problemOf = (changed: Partial<typeof given>) => {
      const read = readDkimKey({ ...given, ...changed })
      return read.ok ? 'none' : read.problem
    }
    expect(problemOf({})).toBe('none')
    expect(problemOf({ privateKey: weak })).toContain('512 bits')
    expect(problemOf({ privateKey: curve })).toContain('neither an RSA nor an Ed25519 key')
    expect(problemOf({ privateKey: 'secret' })).toMatch(/not a private key/)
    expect(problemOf({ privateKey: 'secret' })).not.toContain('secret')
    for (const domain of ['', 'a b', 'example.org; x', 'example..org'])
      expect(problemOf({ domain })).toMatch(/not a domain/)
    for (const selector of ['', 'a b', 's;1', 'ä', '.s']) expect(problemOf({ selector })).toMatch(/not a DKIM selector/)
  })
})
