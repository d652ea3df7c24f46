import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { answerWithin, TooLate } from '../../src/platform/callers.ts'
import { coalesce } from '../../src/platform/coalesce.ts'
import type { Tx } from '../../src/platform/database.ts'
import { inOneTrip } from '../../src/platform/together.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

/* A lock that somebody else holds stands for a database that does not answer. */

let fresh: FreshDatabase
beforeAll(async () => {
  fresh = await freshDatabase(6)
  await sql`create table note (id int primary key)`.execute(fresh.db)
})
beforeEach(() => sql`truncate note`.execute(fresh.db))
afterAll(() => fresh.drop())

const ids = async () =>
  (await sql<{ id: number }>`select id from note order by id`.execute(fresh.db)).rows.map((r) => r.id)
const insert = (id: number) => sql`insert into note (id) values (${id})`

/** Holds the table while `work` runs, then lets go and waits until nothing is under way any more. */
async function whileLocked(work: () => Promise<void>): Promise<void> {
  await fresh.db.transaction().execute(async (tx: Tx) => {
    await sql`lock table note`.execute(tx)
    await work()
  })
  for (;;) {
    const { rows } = await sql<{ n: number }>`
      select count(*)::int as n from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'`.execute(fresh.db)
    if (rows[0]!.n === 0) return
  }
}

const effectOf = (call: Promise<unknown>) =>
  call.then(
    () => 'answered',
    (error) => (error instanceof TooLate ? error.effect : error),
  )

test.each<[string, () => Promise<unknown>]>([
  ['a single statement', () => insert(1).execute(fresh.db)],
  ['statements of one trip', () => inOneTrip(fresh.db, sql`select 1`, insert(1))],
  ['a transaction', () => fresh.db.transaction().execute((tx) => insert(1).execute(tx))],
  [
    'a query of the builder',
    () =>
      fresh.db
        .insertInto('note' as never)
        .values({ id: 1 } as never)
        .execute(),
  ],
])('%s of somebody who was answered is not applied', async (_what, write) => {
  await whileLocked(async () => {
    expect(await effectOf(answerWithin(30, write))).toBe('none')
  })
  expect(await ids()).toEqual([])
  await write()
  expect(await ids()).toEqual([1])
})

test('what would begin after the answer does not begin', async () => {
  let go: (value: null) => void = () => {}
  const until = new Promise<null>((resolve) => {
    go = resolve
  })
  let ended: Promise<unknown> | null = null
  const call = answerWithin(20, () => {
    ended = until.then(() => insert(1).execute(fresh.db))
    return ended
  })
  expect(await effectOf(call)).toBe('none')
  go(null)
  await expect(ended).rejects.toThrow('the caller was answered')
  expect(await ids()).toEqual([])
})

test('what was saved before is told apart', async () => {
  await whileLocked(async () => {})
  const call = answerWithin(200, async () => {
    await insert(1).execute(fresh.db)
    await new Promise(() => {})
  })
  expect(await effectOf(call)).toBe('committed')
  expect(await ids()).toEqual([1])
})

test('a batch goes on without those of its callers who were answered', async () => {
  const add = coalesce((items: number[]) =>
    fresh.db.transaction().execute(async (tx) => {
      for (const item of items) await insert(item).execute(tx)
      return items
    }),
  )
  let patient: Array<Promise<unknown>> = []
  await whileLocked(async () => {
    const hasty = [1, 2, 3].map((n) => answerWithin(30, () => add(n)))
    patient = [add(4), answerWithin(60_000, () => add(5))]
    for (const call of hasty) expect(await effectOf(call)).toBe('none')
  })
  expect(await Promise.all(patient)).toEqual([4, 5])
  expect(await ids()).toEqual([4, 5])
})

test('nobody waits longer for a connection than for an answer', async () => {
  const sleepers: Array<Promise<unknown>> = []
  await whileLocked(async () => {
    for (let n = 0; n < 20; n++) sleepers.push(effectOf(answerWithin(50, () => insert(n).execute(fresh.db))))
    expect(new Set(await Promise.all(sleepers))).toEqual(new Set(['none']))
  })
  expect(await ids()).toEqual([])
  expect(await answerWithin(60_000, async () => (await insert(1).execute(fresh.db)).numAffectedRows)).toBe(1n)
})
