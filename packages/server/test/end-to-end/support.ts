import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { expect } from 'vitest'
import { type Database, openDatabase } from '../../src/platform/database.ts'
import { locateEmbedded } from '../../src/platform/postgres/index.ts'
import { launchBrowser } from '../support/browser.ts'
import { runFairlead, type StartedFairlead, startFairlead } from '../support/fairlead.ts'
import { linkIn } from '../support/mail.ts'
import { type Called, type Sailthru, sailthruClient } from '../support/sailthru.ts'
import { type ReceivedMessage, type SmtpSink, startSmtpSink } from '../support/smtp.ts'
import { isQuiet } from '../support/tables.ts'
import { until } from '../support/until.ts'

/** A running Fairlead with everything around it that people and programs use: its relay, the public client, a browser. */
export interface World {
  fairlead: StartedFairlead
  sink: SmtpSink
  client: Sailthru
  /** The running one's, to look into. */
  db: Database
  /** Scripts are off: nothing here may need them. */
  page: Page
  /** `fairlead …` beside the running one; a file's content is put in for `FILE`. */
  command(args: string[], file?: string): Promise<string>
  /** Calls, and expects success. */
  post(endpoint: string, params: object): Promise<Called['body']>
  /** The code with which a send is refused; null when it is accepted. */
  sendError(template: string, email: string): Promise<number | null>
  levelOf(email: string): Promise<string>
  setLevel(email: string, level: string): Promise<void>
  /** The next message to somebody after those that `during` found there. */
  nextMail(email: string, during: () => Promise<unknown>): Promise<ReceivedMessage>
  /** Opens a link of a message in the browser. */
  open(message: ReceivedMessage, path: string): Promise<void>
  /** Main heading of the page in the browser. */
  heading(): Promise<string>
  press(button: string | RegExp): Promise<void>
  /** Waits until nothing is under way: what was not stopped by then has arrived. */
  quiet(): Promise<void>
  close(): Promise<void>
}

/** Templates that every test may use. Links are printed as customers' templates print them. */
export const TEMPLATES: { [name: string]: object } = {
  News: {
    subject: 'News for {name}',
    content_html: '<p>Hello {name}</p><p><a href="{optout_confirm_url}">Unsubscribe</a></p>',
  },
  Receipt: {
    subject: 'Your receipt',
    content_html: '<p>Thank you. <a href="{optout_confirm_url}">Preferences</a></p>',
  },
  Notice: { subject: 'Your account', content_html: '<p>A notice.</p>', is_basic: 1 },
  'Opt-in Confirm': {
    subject: 'Do you want our mail again?',
    content_html: '<p><a href="{signup_confirm()}">Yes, write to me again</a></p>',
  },
}

/** Starts the world; browsers cost a second, so only where one is asked for. */
export async function startWorld(options: { browser?: boolean } = {}): Promise<World> {
  const sink = await startSmtpSink()
  const fairlead = await startFairlead({
    env: { FAIRLEAD_SMTP_URL: sink.url, FAIRLEAD_FROM: 'Harbour <harbour@example.com>' },
  })
  const client = sailthruClient(fairlead)
  const db = openDatabase(locateEmbedded(fairlead.dataDir)!, 2)
  const browser: Browser | null = options.browser ? await launchBrowser() : null
  const page = (await browser?.newPage({ javaScriptEnabled: false })) as Page

  const world: World = {
    fairlead,
    sink,
    client,
    db,
    page,
    async command(args, file) {
      const folder = mkdtempSync(join(tmpdir(), 'fairlead-e2e-file-'))
      const path = join(folder, 'file')
      try {
        if (file !== undefined) writeFileSync(path, file)
        const given = args.map((arg) => (arg === 'FILE' ? path : arg))
        const { code, stdout, stderr } = await runFairlead(given, { FAIRLEAD_DATA_DIR: fairlead.dataDir })
        expect(code, `fairlead ${args.join(' ')}: ${stderr}`).toBe(0)
        return stdout
      } finally {
        rmSync(folder, { recursive: true })
      }
    },
    async post(endpoint, params) {
      const { error, body } = await client.post(endpoint, params)
      expect(error, `POST ${endpoint}: ${JSON.stringify(body)}`).toBeNull()
      return body
    },
    sendError: async (template, email) => (await client.post('send', { template, email, vars: { name: 'Ada' } })).error,
    levelOf: async (email) => String((await client.get('user', { id: email, key: 'email' })).body.optout_email),
    async setLevel(email, level) {
      await world.post('user', { id: email, key: 'email', optout_email: level })
    },
    async nextMail(email, during) {
      const before = sink.messages.length
      await during()
      return until(`a message to ${email} came`, () => sink.messages.slice(before).find(({ to }) => to.includes(email)))
    },
    async open(message, path) {
      await page.goto(await linkIn(message, path))
    },
    heading: async () => (await page.getByRole('heading', { level: 1 }).textContent()) ?? '',
    press: (button) => page.getByRole('button', { name: button }).click(),
    async quiet() {
      await until('nothing is under way', () => isQuiet(db))
    },
    async close() {
      await browser?.close()
      await db.destroy()
      await fairlead.remove()
      await sink.close()
    },
  }
  for (const [template, fields] of Object.entries(TEMPLATES)) await world.post('template', { template, ...fields })
  return world
}

/** A completed order with a receipt. */
export const order = (email: string) => ({
  email,
  items: [{ id: '1', title: 'Rope', price: 1_000, qty: 1, url: 'https://shop.example.com/rope' }],
  send_template: 'Receipt',
})
