import { generateKeyPairSync } from 'node:crypto'
import PostalMime from 'postal-mime'
import { describe, expect, test } from 'vitest'
import type { Relay } from '../../src/config.ts'
import { checkDkim, type ResolveTxt } from '../../src/delivery/dkim/check.ts'
import { type DkimKey, dkimRecord, readDkimKey } from '../../src/delivery/dkim/key.ts'
import type { Finding } from '../../src/delivery/finding.ts'
import { checkRelay, type RelayCheck } from '../../src/delivery/relay-check.ts'
import { AUTHORITY, CERTIFICATES, scripted } from './smtp/support.ts'

const FROM = { name: 'The Shop', address: 'shop@example.org' }
const NOW = new Date('2026-11-24T12:00:00Z')

function relayAt(port: number, more: Partial<Relay> = {}): Relay {
  return { host: '127.0.0.1', port, secure: false, user: null, password: null, ...more }
}

async function check(relay: Relay, more: Partial<RelayCheck> = {}): Promise<Finding[]> {
  const given = { relay, from: FROM, to: null, dkim: [], now: NOW, opening: { ca: AUTHORITY }, ...more }
  const findings: Finding[] = []
  for await (const finding of checkRelay(given)) findings.push(finding)
  return findings
}

const about = (findings: Finding[], name: string) => findings.filter((one) => one.about === name)
const wrongs = (findings: Finding[]) => findings.filter(({ verdict }) => verdict === 'wrong')

function keyOf(domain: string, type: 'ed25519' | 'rsa' = 'ed25519'): DkimKey {
  const pair = type === 'rsa' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ed25519')
  const privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const outcome = readDkimKey({ domain, selector: 'mail', privateKey })
  if (!outcome.ok) throw new Error(outcome.problem)
  return outcome.key
}

describe('a relay', () => {
  test('that is in order: what it offers, and that sender and recipient are taken, without a message', async () => {
    const server = await scripted()
    const findings = await check(relayAt(server.port))
    expect(wrongs(findings)).toEqual([])
    expect(findings).toEqual([
      { verdict: 'ok', about: 'greeting', text: '220 relay.example.com ready' },
      { verdict: 'ok', about: 'EHLO', text: 'PIPELINING, 8BITMIME, SIZE 1000000, ENHANCEDSTATUSCODES' },
      { verdict: 'ok', about: 'TLS', text: 'none, and none is needed on this machine' },
      { verdict: 'ok', about: 'sign-in', text: expect.stringContaining('it offers no way to sign in') },
      { verdict: 'ok', about: 'sender', text: 'shop@example.org: 250 2.1.0 sender ok' },
      { verdict: 'ok', about: 'recipient', text: 'shop@example.org: 250 2.1.5 recipient ok' },
    ])
    expect(server.commands).toContain('RSET')
    expect(server.commands).not.toContain('DATA')
    expect(server.contents).toEqual([])
  })

  test('gets one real message when there is somebody to get it, signed where there is a key', async () => {
    const server = await scripted()
    const findings = await check(relayAt(server.port), { to: 'ada@example.com', dkim: [keyOf('example.org')] })
    expect(wrongs(findings)).toEqual([])
    expect(about(findings, 'message')[0]?.text).toMatch(/^sent to ada@example.com in \d+ ms: 250 2.0.0 taken as 42$/)
    expect(server.contents).toHaveLength(1)
    const mail = await PostalMime.parse(server.contents[0]!)
    expect(mail.from).toEqual({ name: 'The Shop', address: 'shop@example.org' })
    expect(mail.to).toEqual([{ name: '', address: 'ada@example.com' }])
    expect(mail.headers.map(({ key }) => key)).toContain('dkim-signature')
  })

  test('with TLS: protocol, cipher, whose certificate it is and until when', async () => {
    const server = await scripted({ offers: ['STARTTLS', 'PIPELINING', '8BITMIME'], certificate: CERTIFICATES.server })
    const findings = await check(relayAt(server.port, { tls: 'required' }))
    expect(wrongs(findings)).toEqual([])
    expect(about(findings, 'TLS')[0]?.text).toMatch(/^TLSv1\.3, TLS_\w+, by STARTTLS$/)
    expect(about(findings, 'certificate')[0]).toMatchObject({
      verdict: 'ok',
      text: expect.stringMatching(/^of relay\.example\.com, by .+, until \d{4}-\d\d-\d\d$/),
    })
  })

  test.each([
    ['expired', CERTIFICATES.expired],
    ['made out to another host', CERTIFICATES.elsewhere],
  ])('whose certificate is %s is wrong, and never gets the password', async (_, certificate) => {
    const server = await scripted({ secure: true, certificate, offers: ['AUTH PLAIN'] })
    const findings = await check(relayAt(server.port, { secure: true, user: 'ada', password: 'secret' }))
    expect(wrongs(findings)).toEqual([expect.objectContaining({ about: 'certificate' })])
    expect(server.commands.join('\n')).not.toContain('AUTH')
    const unchecked = await check(relayAt(server.port, { secure: true, verify: false }))
    expect(about(unchecked, 'certificate')[0]).toMatchObject({ verdict: 'note' })
  })

  test('whose certificate ends soon is worth a word', async () => {
    const server = await scripted({ secure: true, certificate: CERTIFICATES.server })
    const good = about(await check(relayAt(server.port, { secure: true })), 'certificate')[0]!
    const end = new Date(/until (\S+)$/.exec(good.text)![1]!)
    const now = new Date(end.getTime() - 3 * 86_400_000)
    const findings = await check(relayAt(server.port, { secure: true }), { now })
    expect(about(findings, 'certificate')[0]).toMatchObject({ verdict: 'note', text: expect.stringContaining('days') })
  })

  test('that refuses the password, or offers no way that keeps it private', async () => {
    const refusing = await scripted({ offers: ['AUTH PLAIN LOGIN'], acts: { AUTH: '535 5.7.8 no' } })
    const findings = await check(relayAt(refusing.port, { user: 'ada', password: 'secret' }))
    expect(wrongs(findings)).toEqual([
      { verdict: 'wrong', about: 'sign-in', text: 'the server refuses the password of "ada": 535 5.7.8 no' },
    ])
    const without = await scripted({ offers: ['PIPELINING'] })
    expect(wrongs(await check(relayAt(without.port, { user: 'ada', password: 'secret' })))).toEqual([
      { verdict: 'wrong', about: 'sign-in', text: 'the server offers no way to sign in' },
    ])
    const taking = await scripted({ offers: ['AUTH PLAIN LOGIN'] })
    const signedIn = await check(relayAt(taking.port, { user: 'ada', password: 'secret' }))
    expect(about(signedIn, 'sign-in')).toEqual([
      { verdict: 'ok', about: 'sign-in', text: 'as ada by PLAIN; it offers PLAIN, LOGIN' },
    ])
    expect(JSON.stringify(signedIn)).not.toContain('secret')
  })

  test('that refuses the sender, the recipient or the message', async () => {
    const sender = await scripted({ acts: { MAIL: '550 5.7.1 sender not verified' } })
    expect(wrongs(await check(relayAt(sender.port), { to: 'ada@example.com' }))).toEqual([
      { verdict: 'wrong', about: 'sender', text: 'shop@example.org: 550 5.7.1 sender not verified' },
    ])
    expect(sender.contents).toEqual([])
    const recipient = await scripted({ acts: { RCPT: ['550 5.7.1 relaying denied', '550 5.7.1 relaying denied'] } })
    expect(wrongs(await check(relayAt(recipient.port), { to: 'ada@example.com' }))).toEqual([
      { verdict: 'wrong', about: 'recipient', text: 'ada@example.com: 550 5.7.1 relaying denied' },
    ])
    const own = await check(relayAt(recipient.port))
    expect(wrongs(own)).toEqual([])
    expect(about(own, 'recipient')[0]).toMatchObject({ verdict: 'note', text: expect.stringContaining('bounces') })
    const message = await scripted({ acts: { content: '554 5.6.0 unacceptable' } })
    expect(wrongs(await check(relayAt(message.port), { to: 'ada@example.com' }))).toEqual([
      { verdict: 'wrong', about: 'message', text: '554 5.6.0 unacceptable' },
    ])
  })

  test('that is not there, does not greet, lacks STARTTLS where it is required, or hangs up in the middle', async () => {
    const gone = await scripted()
    await gone.close()
    expect(await check(relayAt(gone.port))).toEqual([
      { verdict: 'wrong', about: 'connection', text: expect.stringContaining('ECONNREFUSED') },
    ])
    const busy = await scripted({ acts: { greeting: '421 4.3.2 too busy' } })
    expect(await check(relayAt(busy.port))).toEqual([
      { verdict: 'wrong', about: 'greeting', text: expect.stringContaining('421 4.3.2 too busy') },
    ])
    const plain = await scripted()
    expect(wrongs(await check(relayAt(plain.port, { tls: 'required' })))).toEqual([
      { verdict: 'wrong', about: 'TLS', text: expect.stringContaining('does not offer STARTTLS') },
    ])
    const rude = await scripted({ acts: { MAIL: { say: '', finally: 'close' } } })
    expect(wrongs(await check(relayAt(rude.port)))).toMatchObject([{ about: 'sender' }])
  })

  test('that offers little works all the same, and is told of', async () => {
    const server = await scripted({ acts: { EHLO: ['500 what?', '500 what?'] } })
    const findings = await check(relayAt(server.port))
    expect(wrongs(findings)).toEqual([])
    expect(about(findings, 'EHLO')[0]?.text).toContain('only HELO')
    const slow = await scripted({ offers: ['SIZE'] })
    expect(about(await check(relayAt(slow.port)), 'EHLO').map(({ verdict }) => verdict)).toEqual(['ok', 'note', 'note'])
  })
})

describe('DKIM', () => {
  const key = keyOf('example.org')
  const { name, value } = dkimRecord(key)
  const answering =
    (...records: string[]): ResolveTxt =>
    async (asked) => {
      expect(asked).toBe(name)
      return records.map((record) => record.match(/.{1,40}/g) ?? [''])
    }
  const failing =
    (code: string): ResolveTxt =>
    async () => {
      throw Object.assign(new Error(`queryTxt ${code}`), { code })
    }
  const one = async (resolve: ResolveTxt) => (await checkDkim([key], FROM.address, resolve))[0]!

  test('without keys is left to the relay', async () => {
    expect(await checkDkim([], FROM.address, failing('ENOTFOUND'))).toEqual([
      { verdict: 'note', about: 'DKIM', text: 'FAIRLEAD_DKIM names no key: signing is left to the relay' },
    ])
  })

  test('a record that fits, in pieces, with other tags and spaces, beside other records', async () => {
    expect(name).toBe('mail._domainkey.example.org')
    expect(await one(answering('some other text', value))).toMatchObject({ verdict: 'ok' })
    expect(await one(answering(value.replace('; p=', ' ; s=email;\tp= ').replace(/=$/, '=;')))).toMatchObject({
      verdict: 'ok',
    })
    const rsa = keyOf('example.org', 'rsa')
    const record = dkimRecord(rsa)
    // `k` may be left out for RSA (RFC 6376 §3.6.1).
    const bare = record.value.replace(' k=rsa;', '').replace('v=DKIM1;', '')
    expect(await checkDkim([rsa], FROM.address, async () => [[bare]])).toMatchObject([{ verdict: 'ok' }])
  })

  test('a record that is missing, another key’s, revoked, there twice, or only a test', async () => {
    for (const code of ['ENOTFOUND', 'ENODATA']) {
      expect(await one(failing(code))).toMatchObject({ verdict: 'wrong', text: expect.stringContaining(value) })
    }
    expect(await one(answering('v=spf1 -all'))).toMatchObject({ verdict: 'wrong' })
    expect(await one(answering(dkimRecord(keyOf('example.org')).value))).toMatchObject({
      verdict: 'wrong',
      text: expect.stringContaining('another key'),
    })
    expect(await one(answering('v=DKIM1; k=ed25519; p='))).toMatchObject({
      verdict: 'wrong',
      text: expect.stringContaining('revoked'),
    })
    expect(await one(answering(value, value))).toMatchObject({ verdict: 'wrong', text: expect.stringContaining('2') })
    expect(await one(answering(`${value}; t=y`))).toMatchObject({ verdict: 'note' })
  })

  test('where the DNS cannot be asked, it says what to look for', async () => {
    for (const code of ['ETIMEOUT', 'ESERVFAIL', 'ECONNREFUSED']) {
      const finding = await one(failing(code))
      expect(finding.verdict).toBe('note')
      expect(finding.text).toContain(`could not be asked (${code})`)
      expect(finding.text).toContain(value)
    }
  })

  test('a key of another domain signs nothing of this sender', async () => {
    const findings = await checkDkim([key], 'shop@example.net', answering(value))
    expect(findings.map(({ verdict }) => verdict)).toEqual(['note', 'ok'])
    expect(findings[0]?.text).toContain('no key is of example.net')
  })
})
