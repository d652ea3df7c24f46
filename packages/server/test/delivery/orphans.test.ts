import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { completeFinished, reopen, reopenStranded } from '../../src/campaigns/finish.ts'
import { createDepthGauge } from '../../src/delivery/depth.ts'
import { countOrphans, nextLook, putBack, WATCH_EVERY, watchOver, wholeTable } from '../../src/delivery/orphans.ts'
import { claim } from '../../src/delivery/queue.ts'
import { addWorker } from '../../src/delivery/workers.ts'
import { createLog } from '../../src/platform/log.ts'
import { type MailHouse, mailHouse } from './support.ts'

/* Every unfinished message waits, or is on a list of its worker, or is in doubt; what is not is found and put back. */

let house: MailHouse
const now = () => house.clock.now()
const log = createLog('test', 'silent')

beforeEach(async () => {
  house = await mailHouse()
  await house.templates.save('Hello', { subject: 'Hello', content_text: 'Hello' })
})
afterEach(() => house.end())

const look = () => nextLook(house.db)
const orphans = async () => countOrphans(house.db, await look())

async function campaign(status: string, stopped = false): Promise<number> {
  const { rows } = await sql<{ id: number }>`
    insert into campaign (name, status, content, list_ids, created_at, modified_at, stopped_at)
    values ('News', ${status}, '{}', '{}', ${now()}, ${now()}, ${stopped ? now() : null}) returning id`.execute(
    house.db,
  )
  return rows[0]!.id
}

/** A message as somebody's hands made it. */
async function made(id: number, facts: Record<string, unknown>): Promise<void> {
  const { state = 'leased', campaign = null, worker = null, attempts = 0, due = null } = facts
  await sql`
    insert into message (shard, id, profile_id, campaign_id, revision_id, kind, origin, address, state, worker_id,
      attempts, created_at, due_at)
    values (${id % 64}, ${id}, ${id}, ${campaign}, 1, ${campaign === null ? 'triggered' : 'campaign'}, 'api',
      'ada@example.com', ${state}, ${worker}, ${attempts}, ${now()}, ${due})`.execute(house.db)
}

const list = (worker: number, ids: number[], attempting = false) =>
  sql`insert into delivery_batch (worker_id, message_ids, is_attempting)
    values (${worker}, ${ids}::bigint[], ${attempting})`.execute(house.db)

test('only what is held and on no list of its own worker is an orphan', async () => {
  const [worker, other] = [await addWorker(house.db, now()), await addWorker(house.db, now())]
  await made(64, { worker })
  await made(65, { worker })
  await made(66, { worker: 999 })
  await made(67, {})
  await made(68, { state: 'queued', due: now() })
  await made(69, { state: 'sent' })
  await made(70, { worker })
  await list(worker, [64, 69])
  await list(other, [70])
  // 65, 66, 67 and 70.
  expect(await orphans()).toBe(4)
  expect(await putBack(house.db, await look(), now())).toEqual({ triggered: 4, campaigns: 0 })
  expect(await orphans()).toBe(0)
  expect(await house.row(64)).toMatchObject({ state: 'leased', worker_id: worker })
  expect(await house.row(65)).toMatchObject({ state: 'queued', worker_id: null, due_at: now() })
})

test('one that was tried before is deferred; one of a campaign is in doubt, so that nobody gets it twice', async () => {
  await made(64, { attempts: 2 })
  await made(65, { campaign: await campaign('sending') })
  expect(await putBack(house.db, await look(), now())).toEqual({ triggered: 1, campaigns: 1 })
  expect(await house.row(64)).toMatchObject({ state: 'deferred', attempts: 2 })
  expect(await house.row(65)).toMatchObject({ state: 'in_doubt', settled_at: now(), worker_id: null })
})

test('what is being claimed at that moment is none, however often one looks', async () => {
  const worker = await addWorker(house.db, now())
  for (let n = 0; n < 50; n++) await house.send('Hello', `p${n}@example.com`)
  let isDone = false
  const looking = (async () => {
    let most = 0
    while (!isDone) most = Math.max(most, await orphans())
    return most
  })()
  for (let n = 0; n < 50; n++) await claim(house.db, worker, now(), 1)
  isDone = true
  expect(await looking).toBe(0)
})

test('a worker finds it, sends it, and the figure says 0 again', async () => {
  const id = await house.send('Hello', 'ada@example.com')
  await sql`update message set state = 'leased', due_at = null, worker_id = 12345 where id = ${id}`.execute(house.db)
  const figure = async () => {
    const families = await createDepthGauge(house.db, house.clock).families()
    return families.find(({ name }) => name === 'fairlead_queue_orphans')?.samples[0]?.value
  }
  expect(await figure()).toBe(1)
  house.deliver()
  await house.reaches(id, 'sent')
  expect(await figure()).toBe(0)
})

test('workers take turns: one looks, and nobody else for a while', async () => {
  await made(64, {})
  expect(await watchOver(house.db, now(), log)).toBe(1)
  await made(65, {})
  expect(await watchOver(house.db, now(), log)).toBe(0)
  house.clock.advance(WATCH_EVERY)
  const found = await Promise.all([1, 2, 3].map(() => watchOver(house.db, now(), log)))
  expect(found.toSorted()).toEqual([0, 0, 1])
})

test('a table too large for one look is gone through by and by', async () => {
  await sql`
    insert into message (shard, id, profile_id, template_id, revision_id, kind, origin, address, vars, state, created_at)
    select n % 64, n::bigint * 64 + n % 64, n, 1, 1, 'triggered', 'api', 'ada@example.com',
      json_build_object('text', repeat('x', 1800)), 'sent', ${now()} from generate_series(1, 10000) n`.execute(house.db)
  // Among the oldest third, and so in none of the newest pages.
  await sql`update message set state = 'leased' where id / 64 = 3000`.execute(house.db)
  const { pages, of } = await look()
  expect(pages).toBeLessThan(of)
  let found = 0
  let looks = 0
  while (found === 0 && looks < 20) {
    found = await watchOver(house.db, now(), log)
    house.clock.advance(WATCH_EVERY)
    looks += 1
  }
  expect(found).toBe(1)
  await sql`update message set state = 'leased', due_at = null where id / 64 = 5000`.execute(house.db)
  let all = 0
  for await (const part of wholeTable(house.db)) all += await countOrphans(house.db, part)
  expect(all).toBe(1)
})

test('a campaign does not end while one of its messages is an orphan', async () => {
  const id = await campaign('sending')
  await made(64, { campaign: id })
  await made(65, { campaign: id, state: 'sent' })
  const found: object[] = []
  expect(await completeFinished(house.db, now(), (some) => found.push(some))).toEqual([])
  expect(found).toEqual([{ triggered: 0, campaigns: 1 }])
  expect(await house.row(64)).toMatchObject({ state: 'in_doubt' })
  expect(await completeFinished(house.db, now())).toEqual([id])
})

test('a campaign that is just about to end sees what an operator puts back in that moment', async () => {
  const id = await campaign('sending')
  await made(64, { campaign: id, state: 'in_doubt', due: 'infinity' })
  await house.db.transaction().execute(async (tx) => {
    await sql`update message set state = 'queued', due_at = ${now()} where id = 64`.execute(tx)
    await reopen(tx, [id])
    // It does not see yet that the message waits.
    expect(await completeFinished(house.db, now())).toEqual([])
  })
  const { rows } = await sql<{ status: string }>`select status from campaign where id = ${id}`.execute(house.db)
  expect(rows).toEqual([{ status: 'sending' }])
})

test('messages that wait in a campaign that has ended are looked after again', async () => {
  const [sent, cancelled, quiet] = [
    await campaign('sent', true),
    await campaign('cancelled', true),
    await campaign('sent', true),
  ]
  await made(64, { campaign: sent, state: 'queued', due: now() })
  await made(65, { campaign: cancelled, state: 'queued', due: now() })
  await made(66, { campaign: quiet, state: 'in_doubt', due: 'infinity' })
  expect((await reopenStranded(house.db)).toSorted()).toEqual([sent, cancelled])
  const { rows } = await sql<{ status: string }>`
    select status from campaign where stopped_at is null order by id`.execute(house.db)
  expect(rows).toEqual([{ status: 'sending' }, { status: 'cancelled' }])
  expect(await reopenStranded(house.db)).toEqual([])
})
