import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { launchBrowser } from '../../../packages/server/test/support/browser.ts'
import { KEY, SECRET, type StartedFairlead, startFairlead } from '../../../packages/server/test/support/fairlead.ts'
import { linkIn, readMail } from '../../../packages/server/test/support/mail.ts'
import { type Sailthru, sailthruClient } from '../../../packages/server/test/support/sailthru.ts'
import { type SmtpSink, startSmtpSink } from '../../../packages/server/test/support/smtp.ts'

const SERVER = fileURLToPath(new URL('../server.ts', import.meta.url))
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const QUESTION = 'You are opted out. Do you wish to opt back in?'

let sink: SmtpSink
let fairlead: StartedFairlead
let client: Sailthru
let website: { url: string; child: ChildProcess }
let browser: Browser
let page: Page
beforeAll(async () => {
  sink = await startSmtpSink()
  fairlead = await startFairlead({ env: { FAIRLEAD_SMTP_URL: sink.url } })
  client = sailthruClient(fairlead)
  website = await startWebsite(fairlead.url)
  browser = await launchBrowser()
})
afterAll(async () => {
  await browser?.close()
  website?.child.kill()
  await fairlead?.remove()
  await sink?.close()
})
beforeEach(async () => {
  page = await browser.newPage({ javaScriptEnabled: false })
  return async () => page.close()
})

async function startWebsite(url: string): Promise<{ url: string; child: ChildProcess }> {
  const { PATH = '' } = process.env
  const child = spawn(process.execPath, [SERVER], {
    env: { PATH, FAIRLEAD_URL: url, KEY, SECRET, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(child.stdout!, 'data')) as [Buffer]
  return { url: /http:\S+/.exec(String(line))![0], child }
}

async function signUp(email: string, list = 'Tide tables'): Promise<void> {
  await page.goto(website.url)
  await page.getByLabel('Email address').fill(email)
  await page.getByLabel(list).check()
  await page.getByRole('button', { name: 'Sign up' }).click()
}

const heading = () => page.getByRole('heading', { level: 1 }).textContent()
const levelOf = async (id: string) => (await client.get('user', { id, key: 'email' })).body.optout_email
const listsOf = async (id: string) =>
  Object.keys(((await client.get('user', { id, key: 'email' })).body.lists as object | null) ?? {})
const optOut = (id: string, level: string) => client.post('user', { id, key: 'email', optout_email: level })

/** The next message to somebody. */
async function mailTo(email: string, from = 0) {
  for (let count = from + 1; ; count++) {
    const all = await sink.waitFor(count)
    const message = all.slice(from).find(({ to }) => to.includes(email))
    if (message) return message
  }
}

test('signs a stranger up, on a page that everybody can use', async () => {
  await page.goto(website.url)
  expect(await violations()).toEqual([])
  await signUp('new@example.com', 'Harbour news')
  expect(await heading()).toBe('Welcome aboard')
  expect(await listsOf('new@example.com')).toEqual(['Harbour news'])
  expect((await readMail(await mailTo('new@example.com'))).html).toContain('<b>Harbour news</b>')
})

test('says what is wrong with an address', async () => {
  await page.goto(website.url)
  await signUp('ada@localhost')
  expect(await page.getByRole('alert').textContent()).toContain('does not look like an email address')
  expect(await page.getByLabel('Email address').inputValue()).toBe('ada@localhost')
})

describe('somebody who opted out', () => {
  test.each(['all', 'basic'])('of %s is asked, says yes, and is back at once', async (level) => {
    const email = `${level}@example.com`
    await optOut(email, level)
    await signUp(email)
    expect(await heading()).toBe(QUESTION)
    expect(await violations()).toEqual([])
    expect(await levelOf(email)).toBe(level)
    expect(await listsOf(email)).toEqual([])

    const from = sink.messages.length
    await page.getByRole('button', { name: 'switch email back on' }).click()
    expect(await heading()).toBe('Welcome aboard')
    expect(await levelOf(email)).toBe('none')
    expect(await listsOf(email)).toEqual(['Tide tables'])
    expect((await readMail(await mailTo(email, from))).subject).toBe('Welcome aboard')
  })

  test('of the welcome mail alone is asked, and gets it again', async () => {
    const email = 'template@example.com'
    await client.post('user', { id: email, key: 'email', optout_templates: { 'Welcome aboard': 0 } })
    await signUp(email)
    expect(await heading()).toBe(QUESTION)
    expect(await page.getByRole('button').count()).toBe(1)
    await page.getByRole('button', { name: 'switch email back on' }).click()
    expect(await heading()).toBe('Welcome aboard')
  })

  test('can have a link mailed, and is back after following it', async () => {
    const email = 'mailed@example.com'
    await optOut(email, 'all')
    await signUp(email)
    const from = sink.messages.length
    await page.getByRole('button', { name: 'Mail me a link' }).click()
    expect(await heading()).toBe('Look into your mailbox')
    expect(await levelOf(email)).toBe('all')

    await page.goto(await linkIn(await mailTo(email, from), '/s/'))
    expect(await levelOf(email)).toBe('all')
    await page.getByRole('button', { name: 'Yes' }).click()
    expect(await levelOf(email)).toBe('none')
    expect(await listsOf(email)).toEqual(['Tide tables'])
    await signUp(email)
    expect(await heading()).toBe('Welcome aboard')
  })

  test('and says no, stays opted out', async () => {
    await optOut('no@example.com', 'all')
    await signUp('no@example.com')
    await page.getByRole('link', { name: 'No' }).click()
    expect(await heading()).toBe('Mail from the harbour')
    expect(await levelOf('no@example.com')).toBe('all')
  })
})

test('somebody whose mailbox refuses mail is not asked', async () => {
  const email = 'gone@example.com'
  sink.refuse({ phase: 'rcpt', recipient: email, code: 550, text: '5.1.1 no such user' })
  await signUp(email)
  await expect.poll(async () => (await client.post('send', { template: 'Welcome aboard', email })).error).toBe(35)
  await signUp(email)
  expect(await page.getByRole('alert').textContent()).toContain('cannot write to this address')
  sink.accept()
})

test('a second start finds its templates and keeps them', async () => {
  await client.post('template', { template: 'Welcome aboard', subject: 'Ahoy' })
  const second = await startWebsite(fairlead.url)
  second.child.kill()
  expect((await client.get('template', { template: 'Welcome aboard' })).body.subject).toBe('Ahoy')
})

test('texts from outside are shown as texts', async () => {
  const answer = await fetch(`${website.url}/signup`, {
    method: 'POST',
    body: new URLSearchParams({ email: '"><script>alert(1)</script>', list: '<b>' }),
  })
  expect(await answer.text()).not.toContain('<script>')
  expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'")
})

/** What an accessibility checker, which is a script, complains about in a copy of the page. */
async function violations(): Promise<string[]> {
  const copy = await browser.newPage()
  try {
    await copy.setContent(await page.content())
    return await copy.evaluate(`${AXE}; axe.run().then(({ violations }) => violations.map(({ id }) => id))`)
  } finally {
    await copy.close()
  }
}
