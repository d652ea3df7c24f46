import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { messageIdOf, returnPathOf } from '../../src/delivery/return-path.ts'
import { loadSigningKeys, rotateSigningKey, type SigningKeys } from '../../src/links/keys.ts'
import { createLinks, type Links } from '../../src/links/links.ts'
import { idInside, publicIdOf } from '../../src/links/public-id.ts'
import { openToken, seal } from '../../src/links/tokens.ts'
import { targetOf } from '../../src/links/tracked.ts'
import { movableClock } from '../../src/platform/clock.ts'
import { shardOfId } from '../../src/platform/shard.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

/* What a number of a message or a person tells in what leaves the house: nothing. */

const clock = movableClock('2026-01-02T03:04:05.678Z')
const publicUrl = 'https://mail.example.com'
/** Made before numbers were concealed, with the key below, for message 4711 of person 1729. */
const OLD = JSON.parse(readFileSync(new URL('fixtures/links-before-0024.json', import.meta.url), 'utf8'))

let database: FreshDatabase
let keys: SigningKeys
let links: Links
beforeAll(async () => {
  database = await freshDatabase()
  await database.db
    .insertInto('signing_key')
    .values({ kid: 1, secret: Buffer.alloc(32, 7), created_at: clock.now(), retired_at: null })
    .execute()
  keys = await loadSigningKeys(database.db, clock)
  links = createLinks({ keys, publicUrl, clock })
})
afterAll(() => database.drop())

const partsOf = (url: string) => new URL(url).pathname.split('/').slice(2) as [string, string]
const tokenOf = (url: string) => partsOf(url)[0].replace(/\.gif$/, '')
const ids = { messageId: 4711, profileId: 1729 }
const address = 'ada@example.com'

/** Everything with a number in it that somebody outside gets to see. */
function everything(messageId: number, profileId: number): string[] {
  const tracked = links.tracked.ofMessage({ id: messageId, isTest: false })
  return [
    links.optoutPage({ messageId, profileId }),
    links.oneClick({ messageId, profileId, address }),
    links.confirm({ messageId, profileId, address, lists: null, asOf: 1 }),
    tracked.click(1, targetOf('https://a.example/', null)!),
    tracked.pixel(),
    tracked.view(),
    returnPathOf(keys, messageId, 'example.org'),
    seal(keys, 'undo', [profileId], { issuedAt: clock.now(), expiresAt: null, id: '' }),
  ]
}

test('links that were made before open as ever', () => {
  expect(links.openOptoutPage(...partsOf(OLD.optoutPage))).toEqual(ids)
  expect(links.openOneClick(tokenOf(OLD.oneClick))).toMatchObject(ids)
  expect(links.openConfirm(tokenOf(OLD.confirm))).toMatchObject({
    ok: true,
    confirm: { ...ids, lists: [3], page: 'thanks' },
  })
  const message = { id: 4711, isTest: false }
  expect(links.tracked.openClick(tokenOf(OLD.click))).toMatchObject({ message, link: 2, url: 'https://a.example/x' })
  expect(links.tracked.openPixel(tokenOf(OLD.pixel))).toEqual(message)
  expect(links.tracked.openView(tokenOf(OLD.view))).toBe(4711)
  expect(messageIdOf(keys, OLD.returnPath)).toBe(4711)
  expect(openToken(keys, 'undo', OLD.undo, clock.now())).toMatchObject({ ok: true, content: [1729, 'saved'] })
})

test('links of messages in a row have nothing in common but the key, and none shows a number', () => {
  const [one, next] = [everything(4711, 1729), everything(4711 + 64, 1729 + 64)]
  for (const [i, link] of one.entries()) {
    for (const number of [4711, 1729]) {
      for (const base of [10, 16, 32, 36])
        expect(link).not.toMatch(new RegExp(`(?<![a-z0-9])0*${number.toString(base)}(?![a-z0-9])`))
    }
    const inside = Buffer.from(link.split('.').at(-2) ?? '', 'base64url').toString('latin1')
    expect(inside).not.toContain('4711')
    expect(inside).not.toContain('1729')
    expect(next[i]).not.toBe(link)
  }
})

test('numbers come back from their public ids, and with them the shard; each has its own', () => {
  const number = fc.maxSafeNat()
  fc.assert(
    fc.property(number, number, (first, second) => {
      const id = publicIdOf(keys, 1, first)
      expect(idInside(keys, 1, id)).toBe(first)
      expect(shardOfId(idInside(keys, 1, id)!)).toBe(shardOfId(first))
      expect(publicIdOf(keys, 1, first)).toBe(id)
      expect(publicIdOf(keys, 1, second) === id).toBe(first === second)
      expect(keys.reveal(1, keys.conceal(1, first, second)!)).toEqual([first, second])
      expect(messageIdOf(keys, returnPathOf(keys, first, 'example.org').toUpperCase())).toBe(first)
      const made = links.optoutPage({ messageId: first, profileId: second })
      expect(links.openOptoutPage(...partsOf(made))).toEqual({ messageId: first, profileId: second })
    }),
  )
})

test('what nobody made means nothing, and other keys give other ids', async () => {
  expect(idInside(keys, 1, `M${'A'.repeat(22)}`)).toBeNull()
  expect(idInside(keys, 9, publicIdOf(keys, 1, 5))).toBeNull()
  expect(keys.reveal(1, Buffer.alloc(15))).toBeNull()
  await rotateSigningKey(database.db, clock)
  await keys.refresh()
  expect(publicIdOf(keys, 2, 5)).not.toBe(publicIdOf(keys, 1, 5))
  const old = { ...keys, currentKid: () => 1 }
  const made = createLinks({ keys: old, publicUrl, clock }).optoutPage(ids)
  expect(links.openOptoutPage(...partsOf(made))).toEqual(ids)
})

test('an address without a proof of our own is refused before anything is revealed', () => {
  const [message, hash] = partsOf(links.optoutPage(ids))
  const other = links.optoutPage({ messageId: 4775, profileId: 1729 })
  expect(links.openOptoutPage(partsOf(other)[0], hash)).toBeNull()
  expect(links.openOptoutPage('3mv-1c1', hash)).toBeNull()
  expect(links.openOptoutPage(message, hash)).toEqual(ids)
})
