import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadSigningKeys, rotateSigningKey, type SigningKeys } from '../../src/links/keys.ts'
import { createLinks, type Links } from '../../src/links/links.ts'
import { checkManageHash, legacyManageHash, manageHash } from '../../src/links/manage-hash.ts'
import { openToken, seal } from '../../src/links/tokens.ts'
import { movableClock } from '../../src/platform/clock.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

const clock = movableClock('2030-03-05T12:00:00.250Z')
const publicUrl = 'https://mail.example.com'
let database: FreshDatabase
let keys: SigningKeys
let links: Links

beforeAll(async () => {
  database = await freshDatabase()
  keys = await loadSigningKeys(database.db, clock)
  links = createLinks({ keys, publicUrl, clock })
})
afterAll(() => database.drop())

const message = { messageId: 4711, profileId: 1729 }
const address = 'Ada@example.com'
const partsOf = (url: string) => new URL(url).pathname.split('/').slice(2) as [string, string]
const tokenOf = (url: string) => partsOf(url)[0]

/** Every way of changing one character. */
function* tampered(text: string): Generator<string> {
  for (let at = 0; at < text.length; at++) {
    yield text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
    yield text.slice(0, at) + text.slice(at + 1)
  }
}

describe('keys', () => {
  test('several processes that start at once agree on one key', async () => {
    const fresh = await freshDatabase()
    const loaded = await Promise.all(Array.from({ length: 5 }, () => loadSigningKeys(fresh.db, clock)))
    expect(new Set(loaded.map((one) => one.mac(1, 'oc', 'x')!.toString('hex'))).size).toBe(1)
    expect(await fresh.db.selectFrom('signing_key').select('kid').execute()).toEqual([{ kid: 1 }])
    await fresh.drop()
  })

  test('after a rotation new links carry the new key, and old ones open as before', async () => {
    const fresh = await freshDatabase()
    const here = await loadSigningKeys(fresh.db, clock)
    const before = createLinks({ keys: here, publicUrl, clock })
    const old = before.optoutPage(message)
    const oldConfirm = before.confirm({ ...message, address, lists: null, asOf: 7 })
    expect(await rotateSigningKey(fresh.db, clock)).toBe(2)

    const after = createLinks({ keys: await loadSigningKeys(fresh.db, clock), publicUrl, clock })
    const made = after.optoutPage(message)
    expect(partsOf(made)[1]).toMatch(/^2\./)
    expect(after.openOptoutPage(...partsOf(old))).toEqual(message)
    const opened = after.openConfirm(tokenOf(oldConfirm))
    expect(opened.ok && after.isOfAddress(opened.confirm.addressHash, address)).toBe(true)

    // A process that has run since before the rotation learns of the key when it meets it.
    expect(before.openOptoutPage(...partsOf(made))).toBeNull()
    await before.learnKeys(partsOf(made)[1])
    expect(before.openOptoutPage(...partsOf(made))).toEqual(message)
    await fresh.drop()
  })
})

describe('tokens', () => {
  const stamp = { issuedAt: new Date(1_000), expiresAt: new Date(2_000), id: 'one' }

  test('carry their content, and open until they expire', () => {
    const token = seal(keys, 'form', { lists: [1, 2] }, stamp)
    expect(openToken(keys, 'form', token, new Date(1_999))).toEqual({ ok: true, content: { lists: [1, 2] }, ...stamp })
    expect(openToken(keys, 'form', token, new Date(2_000))).toMatchObject({ ok: false, problem: 'expired', id: 'one' })
  })

  test('of one purpose never open for another', () => {
    const token = seal(keys, 'undo', 1, stamp)
    for (const purpose of ['u', 'oc', 'confirm', 'form', 'address'] as const) {
      expect(openToken(keys, purpose, token, new Date(1_500))).toEqual({ ok: false, problem: 'bad' })
    }
  })

  test('are bad after any change', () => {
    const token = seal(keys, 'undo', [1, 'two'], stamp)
    for (const forged of tampered(token)) {
      expect(openToken(keys, 'undo', forged, new Date(1_500)), forged).toEqual({ ok: false, problem: 'bad' })
    }
    for (const nonsense of [
      '',
      '.',
      'v1.1..',
      'v1.1.e30.',
      `${token}.`,
      `v1${token.slice(2)}`,
      `v3${token.slice(2)}`,
      'x'.repeat(100_000),
    ]) {
      expect(openToken(keys, 'undo', nonsense, new Date(1_500))).toEqual({ ok: false, problem: 'bad' })
    }
  })
})

describe('links', () => {
  test('hold no address and no character that needs escaping', () => {
    for (const url of [
      links.optoutPage(message),
      links.oneClick({ ...message, address }),
      links.confirm({ ...message, address, lists: [1], page: 'thanks', asOf: 7 }),
    ]) {
      expect(url.toLowerCase()).not.toContain('ada')
      expect(Buffer.from(url.split('.')[2] ?? '', 'base64url').toString()).not.toContain('example')
      expect(url).toMatch(/^https:\/\/mail\.example\.com\/(oc|u|s)\/[\w./-]+(\?v=2)?$/)
    }
  })

  test('the opt-out page opens with parameters appended to the hash, and never expires', () => {
    const [id, hash] = partsOf(links.optoutPage(message))
    expect(links.openOptoutPage(id, hash)).toEqual(message)
    expect(links.openOptoutPage(id, `${hash}&list=Daily&x=1`)).toEqual(message)
    const later = createLinks({ keys, publicUrl, clock: movableClock('2099-01-01T00:00:00Z') })
    expect(later.openOptoutPage(id, hash)).toEqual(message)
    expect(later.openOneClick(tokenOf(links.oneClick({ ...message, address })))).toMatchObject(message)
  })

  test('the opt-out page of another message does not open', () => {
    const [id, hash] = partsOf(links.optoutPage(message))
    const [other] = partsOf(links.optoutPage({ messageId: 4712, profileId: 1729 }))
    expect(links.openOptoutPage(other, hash)).toBeNull()
    for (const forged of tampered(hash)) expect(links.openOptoutPage(id, forged), forged).toBeNull()
    for (const forged of tampered(id)) expect(links.openOptoutPage(forged, hash), forged).toBeNull()
  })

  test('a confirmation opens for 30 days and tells when it was made, to the millisecond', () => {
    const moved = movableClock('2030-03-05T12:00:00.250Z')
    const local = createLinks({ keys, publicUrl, clock: moved })
    const token = tokenOf(local.confirm({ ...message, address, lists: [3, 4], page: 'thanks', asOf: 7 }))
    const opened = local.openConfirm(token)
    expect(opened).toMatchObject({ ok: true, confirm: { ...message, lists: [3, 4], page: 'thanks', asOf: 7 } })
    expect(opened.ok && opened.confirm.issuedAt.toISOString()).toBe('2030-03-05T12:00:00.250Z')
    expect(opened.ok && opened.confirm.tokenId).toHaveLength(22)
    moved.set('2030-04-04T12:00:00.249Z')
    expect(local.openConfirm(token).ok).toBe(true)
    moved.set('2030-04-04T12:00:00.250Z')
    expect(local.openConfirm(token)).toMatchObject({ ok: false, problem: 'expired', confirm: message })
  })

  test('are bound to the address in any letter case', () => {
    const opened = links.openOneClick(tokenOf(links.oneClick({ ...message, address })))!
    expect(links.isOfAddress(opened.addressHash, 'ada@EXAMPLE.com')).toBe(true)
    expect(links.isOfAddress(opened.addressHash, 'ada@example.org')).toBe(false)
  })
})

describe('hashes of manage links', () => {
  const secrets = ['first-secret', 'second-secret']
  const page = 'preferences'
  const now = new Date('2030-03-05T12:00:00Z')
  const check = (email: string, hash: string, legacy = true) =>
    checkManageHash({ page, email, hash }, secrets, { now, legacy })

  test('the old form, of any key, over the address as sent or lower-cased', () => {
    expect(legacyManageHash('ada@example.com', 'first-secret')).toBe('c2f13084f3a56457fd8c0682e6cd5296')
    for (const secret of secrets) {
      expect(check('ada@example.com', legacyManageHash('ada@example.com', secret))).toBe('good')
      expect(check('Ada@example.com', legacyManageHash('Ada@example.com', secret))).toBe('good')
      expect(check('Ada@example.com', legacyManageHash('ada@example.com', secret))).toBe('good')
    }
    expect(check('bob@example.com', legacyManageHash('ada@example.com', 'first-secret'))).toBe('bad')
    expect(check('ada@example.com', legacyManageHash('ada@example.com', 'third-secret'))).toBe('bad')
    expect(check('ada@example.com', legacyManageHash('ada@example.com', 'first-secret'), false)).toBe('bad')
    expect(check('ada@example.com', '')).toBe('bad')
  })

  test('the new form names page and end', () => {
    const soon = now.getTime() / 1000 + 60
    const good = manageHash(page, 'ada@example.com', soon, 'second-secret')
    expect(check('ada@example.com', good, false)).toBe('good')
    expect(check('bob@example.com', good)).toBe('bad')
    expect(check('ada@example.com', manageHash('other', 'ada@example.com', soon, 'second-secret'))).toBe('bad')
    expect(check('ada@example.com', good.replace(String(soon), String(soon + 1)))).toBe('bad')
    expect(check('ada@example.com', manageHash(page, 'ada@example.com', soon - 60, 'second-secret'))).toBe('expired')
  })
})
