import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { authenticate } from 'mailauth'
import { expect, test } from 'vitest'
import { dkimRecord, readDkimKey } from '../../src/delivery/dkim/key.ts'
import { startFairlead } from '../support/fairlead.ts'
import { sailthruClient } from '../support/sailthru.ts'
import { startSmtpSink } from '../support/smtp.ts'

test('mail of a domain with keys is signed with all of them, its unsubscribe headers too', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-keys-'))
  const keys = [
    { selector: 'r1', key: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey },
    { selector: 'e1', key: generateKeyPairSync('ed25519').privateKey },
  ].map(({ selector, key }) => {
    return { domain: 'example.org', selector, privateKey: String(key.export({ type: 'pkcs8', format: 'pem' })) }
  })
  for (const { selector, privateKey } of keys) writeFileSync(join(folder, `${selector}.pem`), privateKey)
  const sink = await startSmtpSink()
  const fairlead = await startFairlead({
    env: {
      FAIRLEAD_SMTP_URL: sink.url,
      FAIRLEAD_FROM: 'The Shop <shop@example.org>',
      FAIRLEAD_DKIM: keys.map(({ selector }) => `${selector}@example.org=${join(folder, `${selector}.pem`)}`).join(' '),
    },
  })
  try {
    const client = sailthruClient(fairlead)
    const content_html = '<p>Grüße. <a href="{optout_confirm_url}">Stop</a></p>'
    await client.post('template', { template: 'Greeting', subject: 'Hello', content_html })
    await client.post('send', { template: 'Greeting', email: 'ada@example.com' })
    const [mail] = await sink.waitFor(1)
    const records = new Map<string, string>()
    for (const key of keys) {
      const read = readDkimKey(key)
      if (!read.ok) throw new Error(read.problem)
      const { name, value } = dkimRecord(read.key)
      records.set(name, value)
    }
    const { dkim } = await authenticate(mail!.raw, {
      async resolver(name: string) {
        const value = records.get(name)
        if (value === undefined) throw Object.assign(new Error('no such record'), { code: 'ENOTFOUND' })
        return [[value]]
      },
    })
    const results = dkim.results.map((one) => `${one.selector} ${one.status.result}`)
    expect(results.sort()).toEqual(['e1 pass', 'r1 pass'])
    expect(mail!.raw).toMatch(/h=[^;]*List-Unsubscribe:[^;]*List-Unsubscribe-Post:/i)
  } finally {
    await fairlead.remove()
    await sink.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
