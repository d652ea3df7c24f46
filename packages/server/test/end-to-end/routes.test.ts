import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readMail } from '../support/mail.ts'
import { order, startWorld, type World } from './support.ts'

/*
 * The four ways back for somebody who opted out, each on default settings, with the public client, a real mail server
 * and a browser that runs no scripts.
 */

let world: World
beforeAll(async () => {
  world = await startWorld({ browser: true })
})
afterAll(() => world?.close())

const FLOW = JSON.stringify({
  name: 'Back by joining',
  steps: {
    joined: { kind: 'entry', type: 'list_joined', params: { lists: ['Newsletter'] } },
    back_in: { kind: 'action', type: 'set_optout', params: { value: 'none' } },
    welcome: { kind: 'action', type: 'send_email', params: { template: 'News' } },
  },
  edges: [
    { from: 'joined', port: 'next', to: 'back_in' },
    { from: 'back_in', port: 'next', to: 'welcome' },
  ],
})

/** Back means that ordinary mail arrives again. */
async function expectBack(email: string): Promise<void> {
  expect(await world.levelOf(email)).toBe('none')
  const mail = await world.nextMail(email, () => world.sendError('News', email))
  expect((await readMail(mail)).subject).toBe('News for Ada')
}

/** Presses the button of the page, which also tells the mailbox, whose owner may be somebody else. */
async function turnBackOn(email: string): Promise<void> {
  const notice = await world.nextMail(email, () => world.press('Turn email back on'))
  expect((await readMail(notice)).subject).toMatch(/^Email from .+ is back on$/)
}

test('by the hosted page: leaving and coming back through the link of a mail', async () => {
  const email = 'page@example.com'
  const mail = await world.nextMail(email, () => world.sendError('News', email))
  await world.open(mail, '/oc/')
  await world.page.getByLabel(/Stop everything/).check()
  await world.press('Save')
  expect(await world.heading()).toBe('All email is switched off')
  expect(await world.levelOf(email)).toBe('all')
  expect(await world.sendError('News', email)).toBe(32)

  await world.open(mail, '/oc/')
  expect(await world.heading()).toBe('All email is switched off')
  await turnBackOn(email)
  expect(await world.heading()).toBe('Email is back on')
  await expectBack(email)

  await world.press('Undo')
  expect(await world.levelOf(email)).toBe('all')
})

test('by one click in the mail program, and back by the page', async () => {
  const email = 'oneclick@example.com'
  const mail = await world.nextMail(email, () => world.sendError('News', email))
  const { headers } = await readMail(mail)
  expect(headers.get('list-unsubscribe-post')).toBe('List-Unsubscribe=One-Click')
  const url = /<(http[^>]+)>/.exec(headers.get('list-unsubscribe') ?? '')![1]!
  const answer = await fetch(url, { method: 'POST', body: new URLSearchParams({ 'List-Unsubscribe': 'One-Click' }) })
  expect([answer.status, answer.redirected]).toEqual([200, false])
  expect(await world.sendError('News', email)).toBe(37)
  await world.nextMail(email, () => world.sendError('Notice', email))

  await world.open(mail, '/oc/')
  await turnBackOn(email)
  await expectBack(email)
})

test.each([
  ['all', 32],
  ['basic', 37],
])('by the API from %s, whose sends are refused with %i', async (level, code) => {
  const email = `api-${level}@example.com`
  await world.setLevel(email, level)
  expect(await world.sendError('News', email)).toBe(code)
  await world.setLevel(email, 'none')
  await expectBack(email)
})

test('by the API from a template that was left, which is refused with 33', async () => {
  const email = 'left@example.com'
  const mail = await world.nextMail(email, () => world.sendError('News', email))
  await world.open(mail, '/oc/')
  await world.page.getByRole('checkbox', { name: 'News' }).uncheck()
  await world.press('Save')
  expect(await world.sendError('News', email)).toBe(33)
  expect(await world.levelOf(email)).toBe('none')
  const notice = await world.nextMail(email, () => world.sendError('Notice', email))
  expect((await readMail(notice)).subject).toBe('Your account')

  await world.post('user', { id: email, key: 'email', optout_templates: { News: 1 } })
  await expectBack(email)
})

describe('by the mail that reaches people who opted out', () => {
  test('following its link and pressing the button', async () => {
    const email = 'confirm@example.com'
    await world.setLevel(email, 'all')
    const mail = await world.nextMail(email, () => world.sendError('Opt-in Confirm', email))
    expect((await readMail(mail)).headers.has('list-unsubscribe')).toBe(false)

    await world.open(mail, '/s/')
    expect(await world.levelOf(email)).toBe('all')
    await world.press(/Yes/)
    expect(new URL(world.page.url()).pathname).toBe('/page/signup-confirm')
    await expectBack(email)

    await world.open(mail, '/s/')
    expect(await world.heading()).toBe('Already confirmed')
  })

  test('a copy under another name does not reach them', async () => {
    const email = 'copy@example.com'
    const { body } = await world.client.get('template', { template: 'Opt-in Confirm' })
    const { subject, content_html } = body
    for (const template of ['Opt-in Confirm copy', 'opt-in confirm']) {
      await world.post('template', { template, subject, content_html })
      await world.setLevel(email, 'all')
      expect(await world.sendError(template, email)).toBe(32)
      await world.setLevel(email, 'basic')
      expect(await world.sendError(template, email)).toBe(37)
    }
    const before = world.sink.messages.length
    await world.quiet()
    expect(world.sink.messages.slice(before).filter(({ to }) => to.includes(email))).toEqual([])
  })
})

test('by a flow: joining a list changes the level, with no further code', async () => {
  const email = 'flow@example.com'
  await world.post('list', { list: 'Newsletter' })
  await world.command(['flow', 'publish', 'FILE'], FLOW)
  await world.setLevel(email, 'all')
  const welcome = await world.nextMail(email, () =>
    world.post('user', { id: email, key: 'email', vars: { name: 'Ada' }, lists: { Newsletter: 1 } }),
  )
  expect((await readMail(welcome)).subject).toBe('News for Ada')
  await expectBack(email)
})

describe('beside the four routes', () => {
  test('a receipt reaches somebody who opted out of everything, and changes nothing', async () => {
    const email = 'receipt@example.com'
    await world.setLevel(email, 'all')
    expect(await world.sendError('Receipt', email)).toBe(32)
    const receipt = await world.nextMail(email, () => world.post('purchase', order(email)))
    expect((await readMail(receipt)).subject).toBe('Your receipt')
    expect(await world.levelOf(email)).toBe('all')
    expect(await world.sendError('News', email)).toBe(32)
  })

  test('but not somebody who left the receipts', async () => {
    const email = 'noreceipt@example.com'
    await world.post('user', { id: email, key: 'email', optout_email: 'all', optout_templates: { Receipt: 0 } })
    await world.post('purchase', order(email))
    await world.quiet()
    expect(world.sink.messages.filter(({ to }) => to.includes(email))).toEqual([])
  })
})
