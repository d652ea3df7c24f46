import { sql } from 'kysely'
import nodemailer from 'nodemailer'
import { expect, test } from 'vitest'
import { listKeys } from '../../src/account/keys.ts'
import { launchBrowser } from '../support/browser.ts'
import { freshDatabase } from '../support/database.ts'
import { startSmtpSink } from '../support/smtp.ts'

test('each fresh database is migrated, empty and by itself', async () => {
  const [one, other] = await Promise.all([freshDatabase(), freshDatabase()])
  await sql`insert into api_key (key, secret, created_at) values ('k', 's', now())`.execute(one.db)
  expect(await listKeys(one.db)).toHaveLength(1)
  expect(await listKeys(other.db)).toHaveLength(0)
  await Promise.all([one.drop(), other.drop()])
})

test('the mail sink keeps what it gets and answers as it is told', async () => {
  const sink = await startSmtpSink()
  const transport = nodemailer.createTransport({ host: '127.0.0.1', port: sink.port })
  const send = (to: string) => transport.sendMail({ from: 'shop@example.com', to, subject: 'Hello', text: '.dot' })

  await send('ada@example.com')
  sink.refuse({ phase: 'rcpt', recipient: 'gone@example.com', code: 550, text: '5.1.1 no such user' })
  sink.refuse({ phase: 'data', code: 451, text: '4.3.0 try later', times: 1 })
  await expect(send('gone@example.com')).rejects.toMatchObject({ responseCode: 550 })
  await expect(send('ada@example.com')).rejects.toMatchObject({ responseCode: 451 })
  await send('ada@example.com')

  const messages = await sink.waitFor(2)
  expect(messages[0]).toMatchObject({ from: 'shop@example.com', to: ['ada@example.com'] })
  expect(messages[0]?.raw).toContain('\r\n.dot')
  transport.close()
  await sink.close()
})

test('the browser draws text', async () => {
  const browser = await launchBrowser()
  const page = await browser.newPage()
  await page.setContent('<span id="text">Would you like to come back?</span>')
  // Without fonts everything would have no width, and screenshots would be blank.
  expect(await page.locator('#text').evaluate((span) => span.getBoundingClientRect().width)).toBeGreaterThan(100)
  expect((await page.screenshot()).subarray(1, 4).toString()).toBe('PNG')
  await browser.close()
})
