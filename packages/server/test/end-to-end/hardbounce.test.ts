import { afterAll, beforeAll, expect, test } from 'vitest'
import { order, startWorld, type World } from './support.ts'

/* A mailbox that refuses mail for good is cured by none of the four ways back: they are about what people want. */

let world: World
beforeAll(async () => {
  world = await startWorld({ browser: true })
})
afterAll(() => world?.close())

/** Somebody who opted out, and whose mailbox then refused a mail with 550 5.1.1. Hands over the mail that did arrive. */
async function bounced(email: string) {
  const mail = await world.nextMail(email, () => world.sendError('News', email))
  world.sink.refuse({ phase: 'rcpt', recipient: email, code: 550, text: '5.1.1 no such user here' })
  expect(await world.sendError('News', email)).toBeNull()
  await expect.poll(() => world.sendError('News', email)).toBe(35)
  expect(await world.levelOf(email)).toBe('none')
  await world.setLevel(email, 'all')
  // What was on its way when the refusal came in is refused as well before the server takes mail again.
  await world.quiet()
  world.sink.accept()
  return mail
}

/** No kind of mail goes out to the address, although its server would take it again. */
async function expectSilence(email: string): Promise<void> {
  const before = world.sink.messages.length
  for (const template of ['News', 'Notice', 'Receipt', 'Opt-in Confirm']) {
    expect(await world.sendError(template, email), template).toBe(35)
  }
  await world.post('purchase', order(email))
  await world.quiet()
  expect(world.sink.messages.slice(before).filter(({ to }) => to.includes(email))).toEqual([])
}

test('the hosted page says so, and offers no way back', async () => {
  const email = 'page@example.com'
  const mail = await bounced(email)
  await world.open(mail, '/oc/')
  expect(await world.heading()).toBe('Your mailbox turned our mail away')
  expect(await world.page.getByRole('button', { name: 'Turn email back on' }).count()).toBe(0)
  await expectSilence(email)
})

test('the API changes the level, and the mailbox stays as it is', async () => {
  const email = 'api@example.com'
  await bounced(email)
  await world.setLevel(email, 'none')
  expect(await world.levelOf(email)).toBe('none')
  await expectSilence(email)
})

test('Opt-in Confirm is refused, and an older link of it does not help', async () => {
  const email = 'mail@example.com'
  await world.setLevel(email, 'all')
  const confirmation = await world.nextMail(email, () => world.sendError('Opt-in Confirm', email))
  await world.setLevel(email, 'none')
  await bounced(email)
  await expectSilence(email)
  await world.open(confirmation, '/s/')
  await expectSilence(email)
  expect(await world.levelOf(email)).toBe('all')
})

test('a flow changes the level, and its mail does not go out', async () => {
  const email = 'flow@example.com'
  await world.post('list', { list: 'Newsletter' })
  const steps = {
    joined: { kind: 'entry', type: 'list_joined', params: { lists: ['Newsletter'] } },
    back_in: { kind: 'action', type: 'set_optout', params: { value: 'none' } },
    welcome: { kind: 'action', type: 'send_email', params: { template: 'News' } },
  }
  const edges = [
    { from: 'joined', port: 'next', to: 'back_in' },
    { from: 'back_in', port: 'next', to: 'welcome' },
  ]
  await world.command(['flow', 'publish', 'FILE'], JSON.stringify({ name: 'Back by joining', steps, edges }))
  await bounced(email)
  await world.post('user', { id: email, key: 'email', lists: { Newsletter: 1 } })
  await expect.poll(() => world.levelOf(email)).toBe('none')
  await expectSilence(email)
})
