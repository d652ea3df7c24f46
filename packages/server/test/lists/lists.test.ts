import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLists, type Lists } from '../../src/lists/lists.ts'
import { createShortMemory } from '../../src/lists/short-memory.ts'
import { movableClock } from '../../src/platform/clock.ts'
import { openDatabase } from '../../src/platform/database.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

let database: FreshDatabase
let lists: Lists
let elsewhere: Lists
const clock = movableClock('2030-03-05T12:00:00Z')
beforeAll(async () => {
  database = await freshDatabase()
  lists = createLists({ db: database.db, clock })
  elsewhere = createLists({ db: database.db, clock })
})
afterAll(() => database.drop())

test('makes what is missing, once, however many ask at the same time', async () => {
  const names = ['Weekly', 'Monthly', 'weekly']
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, i) => (i % 2 ? lists : elsewhere).ensure(i % 3 ? names : [...names].reverse())),
  )
  const [first] = answers
  expect(new Set(first?.values()).size).toBe(3)
  for (const answer of answers) for (const name of names) expect(answer.get(name)).toBe(first?.get(name))
  expect((await lists.all()).map(({ name }) => name)).toEqual(['Monthly', 'Weekly', 'weekly'])
})

test('names twice in one call', async () => {
  expect((await lists.ensure(['Twice', 'Twice'])).size).toBe(1)
})

test('finding makes nothing', async () => {
  expect([...(await lists.find(['Never', 'Weekly'])).keys()]).toEqual(['Weekly'])
  expect(await lists.get({ name: 'Never' })).toBe(null)
})

test('known names need no database', async () => {
  const handle = openDatabase(database.connection, 1)
  const remembering = createLists({ db: handle, clock })
  const ids = await remembering.ensure(['Known', 'Weekly'])
  await handle.destroy()
  expect(await remembering.ensure(['Weekly', 'Known'])).toEqual(ids)
  await expect(remembering.ensure(['Unknown'])).rejects.toThrow()
})

test('a deleted list is not joined by its old id in the process that deleted it', async () => {
  const before = (await lists.ensure(['Short-lived'])).get('Short-lived')
  await lists.remove({ name: 'Short-lived' }, null)
  expect(await lists.remove({ name: 'Short-lived' }, null)).toBe(null)
  expect((await lists.ensure(['Short-lived'])).get('Short-lived')).not.toBe(before)
})

test('fifty primary lists at most, also when many are made at once', async () => {
  const saves = Array.from({ length: 60 }, (_, i) =>
    (i % 2 ? lists : elsewhere).save({ name: `Primary ${i}` }, { isPrimary: true }),
  )
  const made = (await Promise.all(saves)).filter((outcome) => outcome.ok)
  expect(made).toHaveLength(50)
  expect(await lists.all({ isPrimary: true })).toHaveLength(50)
})

test('memory of two seconds', () => {
  let now = 0
  const memory = createShortMemory<string, number>(() => now)
  memory.set('a', 1)
  now = 1_999
  expect(memory.get('a')).toBe(1)
  now = 2_001
  expect(memory.get('a')).toBe(undefined)
  memory.set('a', 2)
  memory.delete('a')
  expect(memory.get('a')).toBe(undefined)
})
