import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { markAttempting } from '../../src/delivery/batches.ts'
import { createDepthGauge, depthQuery, readDepth } from '../../src/delivery/depth.ts'
import { addWorker } from '../../src/delivery/workers.ts'
import { movableClock } from '../../src/platform/clock.ts'
import { type Database, openDatabase } from '../../src/platform/database.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

let fresh: FreshDatabase
let db: Database
const clock = movableClock('2030-03-05T12:00:00Z')
const ago = (seconds: number) => new Date(clock.now().getTime() - seconds * 1_000)

beforeAll(async () => {
  fresh = await freshDatabase()
  db = fresh.db
  await sql`
    insert into campaign (name, status, content, list_ids, created_at, modified_at)
    select status, status, '{}', '{}', ${ago(0)}, ${ago(0)} from unnest(array['sending', 'paused']) status
    order by status desc`.execute(db)
})
afterAll(() => fresh.drop())

let number = 0
async function message(facts: {
  state: string
  campaign?: number
  createdAt: Date
  dueAt?: Date
  scheduledFor?: Date
  reason?: string
  worker?: number
}): Promise<number> {
  number += 1
  const id = number * 64 + 1
  const {
    state,
    campaign = null,
    createdAt,
    dueAt = createdAt,
    scheduledFor = null,
    reason = null,
    worker = null,
  } = facts
  const waits = state === 'queued' || state === 'deferred'
  const due = state === 'in_doubt' ? 'infinity' : waits ? dueAt : null
  await sql`
    insert into message (shard, id, profile_id, template_id, campaign_id, revision_id, kind, origin, address, state,
      created_at, due_at, worker_id, scheduled_for, reason)
    values (1, ${id}, ${id}, ${campaign === null ? 1 : null}, ${campaign}, 1,
      ${campaign === null ? 'triggered' : 'campaign'}, 'api', 'ada@example.com', ${state}, ${createdAt}, ${due}, ${worker},
      ${scheduledFor}, ${reason})`.execute(db)
  return id
}

test('counts what has not come to an end, by where it stands', async () => {
  expect(await readDepth(db, clock.now())).toEqual([])
  await message({ state: 'queued', createdAt: ago(30) })
  await message({ state: 'queued', createdAt: ago(10) })
  await message({ state: 'queued', createdAt: ago(500), dueAt: ago(-60), scheduledFor: ago(-60) })
  await message({ state: 'queued', createdAt: ago(500), dueAt: ago(20), scheduledFor: ago(20) })
  await message({ state: 'deferred', createdAt: ago(900), dueAt: ago(-60) })
  await message({ state: 'deferred', createdAt: ago(800), dueAt: ago(-60), reason: 'held' })
  const worker = await addWorker(db, clock.now())
  const held = [
    await message({ state: 'leased', worker, createdAt: ago(1) }),
    await message({ state: 'leased', worker, createdAt: ago(2) }),
    // Settled already, and on the list still.
    await message({ state: 'sent', createdAt: ago(3) }),
  ]
  await markAttempting(db, worker, held.slice(0, 1))
  await sql`insert into delivery_batch (worker_id, message_ids, is_attempting)
    values (${worker}, ${held}::bigint[], false)`.execute(db)
  await message({ state: 'sent', createdAt: ago(5_000) })
  await message({ state: 'queued', createdAt: ago(100), campaign: 1 })
  await message({ state: 'queued', createdAt: ago(100), campaign: 2 })
  await message({ state: 'deferred', createdAt: ago(200), campaign: 2 })
  await message({ state: 'in_doubt', createdAt: ago(300), campaign: 2 })
  const row = (standing: string, kind: string, count: number, seconds: number) => ({
    standing,
    kind,
    count,
    oldest: ago(seconds),
  })
  expect(await readDepth(db, clock.now())).toEqual([
    row('scheduled', 'triggered', 1, -60),
    row('queued', 'triggered', 3, 30),
    row('queued', 'campaign', 1, 100),
    row('paused', 'campaign', 2, 200),
    row('held', 'triggered', 1, 800),
    row('deferred', 'triggered', 1, 900),
    row('leased', 'triggered', 1, 2),
    row('attempting', 'triggered', 1, 1),
    row('in_doubt', 'campaign', 1, 300),
  ])
})

test('what was sent long ago costs nothing', async () => {
  await sql`
    insert into message (shard, id, profile_id, template_id, revision_id, kind, origin, address, state, created_at)
    select n % 64, (1000 + n) * 64 + n % 64, n, 1, 1, 'triggered', 'api', 'ada@example.com', 'sent', ${ago(9_000)}
    from generate_series(1, 100000) n`.execute(db)
  await sql`analyze message`.execute(db)
  const plans: string[] = []
  const { connection } = fresh
  const client = new pg.Client(connection)
  await client.connect()
  const { sql: text, parameters } = depthQuery(clock.now()).compile(db)
  const { rows } = await client.query(`explain ${text}`, [...parameters])
  await client.end()
  for (const row of rows) plans.push(row['QUERY PLAN'])
  expect(plans.join('\n')).toContain('message_due')
  expect(plans.join('\n')).not.toMatch(/Seq Scan on message\b/)
})

test('is counted once for many who look at the same time, and said to be unknown while the database is away', async () => {
  let counts = 0
  const handle = openDatabase(fresh.connection, 2)
  const counting = handle.withPlugin({
    transformQuery: ({ node }) => {
      counts += 1
      return node
    },
    transformResult: async ({ result }) => result,
  })
  const gauge = createDepthGauge(counting, clock)
  const [families] = await Promise.all([gauge.families(), gauge.families(), gauge.families()])
  await gauge.families()
  // What waits, how large the table is, and what nobody holds.
  expect(counts).toBe(3)
  expect(families!.map(({ name }) => name)).toEqual([
    'fairlead_database_up',
    'fairlead_queue_messages',
    'fairlead_queue_oldest_seconds',
    'fairlead_queue_counted_timestamp_seconds',
    'fairlead_queue_orphans',
  ])
  await handle.destroy()
  const away = createDepthGauge(counting, clock)
  expect(await away.families()).toMatchObject([{ name: 'fairlead_database_up', samples: [{ value: 0 }] }])
})
