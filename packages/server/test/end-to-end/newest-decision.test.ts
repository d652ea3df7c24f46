import { afterAll, beforeAll, expect, test } from 'vitest'
import { linkIn } from '../support/mail.ts'
import { startWorld, type World } from './support.ts'

/* Whatever links, forms and mails are about: what the person decided last counts, and no link works twice. */

let world: World
beforeAll(async () => {
  world = await startWorld({ browser: true })
})
afterAll(() => world?.close())

async function mailedConfirmation(email: string) {
  await world.setLevel(email, 'all')
  return world.nextMail(email, () => world.sendError('Opt-in Confirm', email))
}

test('a confirmation from before an opt-out does not undo it; a fresh one does', async () => {
  const email = 'stale@example.com'
  const old = await mailedConfirmation(email)
  await world.setLevel(email, 'none')
  await world.setLevel(email, 'all')
  await world.open(old, '/s/')
  expect(await world.heading()).toBe('This link can no longer be used')
  const fresh = await world.nextMail(email, () => world.press(/fresh/i))
  expect(await world.levelOf(email)).toBe('all')

  await world.open(fresh, '/s/')
  await world.press(/Yes/)
  expect(await world.levelOf(email)).toBe('none')
})

test('an opt-out while the confirmation lies open on the screen wins', async () => {
  const email = 'race@example.com'
  await world.open(await mailedConfirmation(email), '/s/')
  await world.setLevel(email, 'basic')
  await world.press(/Yes/)
  expect(await world.levelOf(email)).toBe('basic')
})

test('a confirmation works once, also when it comes back after another opt-out', async () => {
  const email = 'replay@example.com'
  const mail = await mailedConfirmation(email)
  const link = await linkIn(mail, '/s/')
  const press = () => fetch(link, { method: 'POST', body: new URLSearchParams({ confirm: '1' }), redirect: 'manual' })
  expect((await press()).status).toBe(303)
  expect(await world.levelOf(email)).toBe('none')
  await world.setLevel(email, 'all')
  expect((await press()).status).toBe(200)
  expect(await world.levelOf(email)).toBe('all')
})

test('two presses at the same time are one confirmation', async () => {
  const email = 'twice@example.com'
  const link = await linkIn(await mailedConfirmation(email), '/s/')
  const press = () => fetch(link, { method: 'POST', redirect: 'manual' })
  const answers = await Promise.all([press(), press(), press()])
  expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 200, 303])
  expect(await world.levelOf(email)).toBe('none')
})

test('an opt-out while the opt-out page lies open wins over its way back', async () => {
  const email = 'form@example.com'
  const mail = await world.nextMail(email, () => world.sendError('News', email))
  await world.setLevel(email, 'basic')
  await world.open(mail, '/oc/')
  await world.setLevel(email, 'all')
  await world.press('Turn email back on')
  expect(await world.heading()).toBe('Email is still off')
  expect(await world.levelOf(email)).toBe('all')
})

test('an opt-out by page after a yes by API wins, whatever is confirmed later from before', async () => {
  const email = 'order@example.com'
  const mail = await world.nextMail(email, () => world.sendError('News', email))
  const confirmation = await mailedConfirmation(email)
  await world.setLevel(email, 'none')
  await world.open(mail, '/oc/')
  await world.page.getByLabel(/Stop marketing/).check()
  await world.press('Save')
  expect(await world.levelOf(email)).toBe('basic')
  await world.open(confirmation, '/s/')
  expect(await world.heading()).toBe('This link can no longer be used')
  expect(await world.levelOf(email)).toBe('basic')
})
