import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createKey, ensureAccount, listKeys, revokeKey } from '../../src/account/keys.ts'
import { movableClock } from '../../src/platform/clock.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

const clock = movableClock('2026-01-01T00:00:00Z')
let fresh: FreshDatabase
beforeAll(async () => {
  fresh = await freshDatabase()
})
afterAll(() => fresh.drop())
beforeEach(() => fresh.db.deleteFrom('api_key').execute())

test('the first start creates one pair, however many processes start at once', async () => {
  const outcomes = await Promise.all(Array.from({ length: 5 }, () => ensureAccount(fresh.db, clock, null)))
  expect(outcomes.filter((outcome) => outcome.created)).toHaveLength(1)
  expect(new Set(outcomes.map((outcome) => outcome.key)).size).toBe(1)
  expect(outcomes[0]).toMatchObject({
    key: expect.stringMatching(/^[0-9a-f]{32}$/),
    secret: expect.stringMatching(/^[0-9a-f]{32}$/),
  })
})

test('a pair that is asked for is created, kept, and given its new secret', async () => {
  const wanted = { key: 'mine', secret: 'one' }
  expect(await ensureAccount(fresh.db, clock, wanted)).toEqual({ ...wanted, created: true })
  expect(await ensureAccount(fresh.db, clock, wanted)).toEqual({ ...wanted, created: false })
  await ensureAccount(fresh.db, clock, { key: 'mine', secret: 'two' })
  expect(await listKeys(fresh.db)).toEqual([{ key: 'mine', secret: 'two', created_at: clock.now() }])
})

test('a revoked key is gone, and only once', async () => {
  const { key } = await createKey(fresh.db, clock)
  expect(await revokeKey(fresh.db, key)).toBe(true)
  expect(await revokeKey(fresh.db, key)).toBe(false)
})
