import { afterAll, beforeAll, expect, test } from 'vitest'
import { startWorld, type World } from './support.ts'

/* An account's own opt-out page, as customers wrote them for Sailthru, takes the place of the built-in one. */

const OWN = `<!DOCTYPE html>
<html lang="en"><head><title>Harbour</title></head><body>
<h1>{if profile.optout=="all"}You get nothing from us{else}You get our mail{/if}</h1>
<form method="post">
{if profile.optout=="all"}
<p>We miss you, {h(profile.vars.name)}.</p>
<button type="submit" name="optin" value="1">Opt back in</button>
{else}
<input type="checkbox" id="weekly" name="lists[Weekly]" value="1"> <label for="weekly">Weekly</label>
<input type="checkbox" id="all" name="optout_all" value="1"> <label for="all">Stop all email</label>
<button type="submit">Save</button>
{/if}
</form>
</body></html>`

const BROKEN = OWN.replace('{h(profile.vars.name)}', '{profile.vars.name / 0}')

let world: World
beforeAll(async () => {
  world = await startWorld({ browser: true })
})
afterAll(() => world?.close())

const listsOf = async (id: string) =>
  Object.keys(((await world.client.get('user', { id, key: 'email' })).body.lists as object | null) ?? {})

test('people leave and come back on it', async () => {
  const email = 'own@example.com'
  await world.post('user', { id: email, key: 'email', vars: { name: 'A<b>da' }, lists: { Weekly: 1, Deck: 1 } })
  const mail = await world.nextMail(email, () => world.sendError('News', email))
  await world.command(['page', 'put', 'optout', 'FILE'], OWN)

  await world.open(mail, '/oc/')
  expect(await world.heading()).toBe('You get our mail')
  expect(await world.page.getByLabel('Weekly').isChecked()).toBe(true)
  await world.page.getByLabel('Stop all email').check()
  await world.press('Save')
  expect(await world.levelOf(email)).toBe('all')
  // Checked and left checked: opting out of everything takes nobody off a list, nor does what the page did not offer.
  expect((await listsOf(email)).toSorted()).toEqual(['Deck', 'Weekly'])

  await world.open(mail, '/oc/')
  expect(await world.heading()).toBe('You get nothing from us')
  expect(await world.page.getByText('We miss you').textContent()).toBe('We miss you, A<b>da.')
  await world.press('Opt back in')
  expect(await world.levelOf(email)).toBe('none')

  await world.open(mail, '/oc/')
  await world.page.getByLabel('Weekly').uncheck()
  await world.press('Save')
  expect(await listsOf(email)).toEqual(['Deck'])
  expect(await world.levelOf(email)).toBe('none')
})

test('a page that leaves no way out is not taken', async () => {
  await expect(world.command(['page', 'put', 'optout', 'FILE'], '<h1>Stay!</h1>')).rejects.toThrow()
  expect(await world.command(['page', 'list'])).toContain('optout')
})

test('a page that breaks while it is shown gives way to the built-in one', async () => {
  const email = 'broken@example.com'
  await world.post('user', { id: email, key: 'email', vars: { name: 'Ada' } })
  const mail = await world.nextMail(email, () => world.sendError('News', email))
  await world.setLevel(email, 'all')
  await world.command(['page', 'put', 'optout', 'FILE'], BROKEN)
  await world.open(mail, '/oc/')
  expect(await world.heading()).not.toBe('')
  await world.page.getByRole('button').first().click()
  expect(await world.levelOf(email)).toBe('none')
  await world.command(['page', 'remove', 'optout'])
  await world.open(mail, '/oc/')
  expect(await world.heading()).toBe('Choose what we send you')
})
