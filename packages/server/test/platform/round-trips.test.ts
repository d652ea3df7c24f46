import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { hmacWith } from '../../src/platform/hmac.ts'
import { SHARDS, shardOfKey } from '../../src/platform/shard.ts'
import { asOneStatement, inOneTrip } from '../../src/platform/together.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

let fresh: FreshDatabase

beforeAll(async () => {
  fresh = await freshDatabase(2)
  await sql`create table note (id int primary key, content text)`.execute(fresh.db)
})
afterAll(() => fresh.drop())

const notes = async () => (await sql<{ id: number }>`select id from note order by id`.execute(fresh.db)).rows
const insert = (id: number) => sql`insert into note (id) values (${id})`

test('lists of texts, numbers, dates and bytes come back as they went', async () => {
  const text = fc.string({ unit: 'binary' }).filter((value) => !value.includes('\0') && value.isWellFormed())
  const rows = fc.array(
    fc.record({
      text: fc.option(fc.oneof(text, fc.constantFrom('null', '', '\\', '"', '{},', 'a\nb\tc', '\\u0041'))),
      number: fc.option(fc.maxSafeInteger()),
      date: fc.option(fc.date({ noInvalidDate: true, min: new Date(0), max: new Date('9999-01-01') })),
      bytes: fc.option(fc.uint8Array().map((bytes) => Buffer.from(bytes))),
    }),
  )
  await fc.assert(
    fc.asyncProperty(rows, async (given) => {
      const back = await sql`
        select text, number, date, bytes from unnest(${given.map((row) => row.text)}::text[],
          ${given.map((row) => row.number)}::bigint[], ${given.map((row) => row.date)}::timestamptz[],
          ${given.map((row) => row.bytes)}::bytea[]) with ordinality as r(text, number, date, bytes, n)
        order by n`.execute(fresh.db)
      expect(back.rows).toEqual(given)
    }),
  )
})

test('statements of one trip see what those before them did', async () => {
  await fresh.db.transaction().execute(async (tx) => {
    const [, second] = await inOneTrip(tx, insert(1), sql`select count(*)::int as count from note`)
    expect(second.rows).toEqual([{ count: 1 }])
  })
})

test('when the first of one trip fails its error is told, and nothing is kept', async () => {
  const failing = fresh.db.transaction().execute(async (tx) => {
    await insert(2).execute(tx)
    await inOneTrip(tx, insert(1), insert(3))
  })
  await expect(failing).rejects.toMatchObject({ code: '23505' })
  expect(await notes()).toEqual([{ id: 1 }])
})

test('writes made as one statement happen together or not at all', async () => {
  await asOneStatement(fresh.db, [])
  await asOneStatement(fresh.db, [insert(4)])
  await asOneStatement(fresh.db, [insert(5), sql`delete from note where id = 1`, insert(6)])
  expect(await notes()).toEqual([{ id: 4 }, { id: 5 }, { id: 6 }])
  await expect(asOneStatement(fresh.db, [insert(7), insert(4)])).rejects.toMatchObject({ code: '23505' })
  expect(await notes()).toEqual([{ id: 4 }, { id: 5 }, { id: 6 }])
})

test('keys spread evenly over the shards', () => {
  const counts = new Array<number>(SHARDS).fill(0)
  for (let n = 0; n < 64_000; n++) counts[shardOfKey('email', `person${n}@example.com`)]! += 1
  // Chi-squared with 63 degrees of freedom: beyond 120 in fewer than one of 100,000 fair spreads.
  const chi = counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
  expect(chi).toBeLessThan(120)
})

test('keyed hashes are HMAC-SHA-256', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.string({ unit: 'binary' }), (key, text) => {
      expect(hmacWith(key)(text)).toEqual(createHmac('sha256', key).update(text).digest())
    }),
  )
})
