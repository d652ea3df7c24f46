import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { fillChunk } from '../../src/campaigns/fill.ts'
import { completeFinished } from '../../src/campaigns/finish.ts'
import { startDue } from '../../src/campaigns/start.ts'
import { heldBy } from '../../src/delivery/batches.ts'
import { settlement } from '../../src/delivery/queue.ts'
import { addWorker } from '../../src/delivery/workers.ts'
import { until } from '../support/until.ts'
import { type CampaignHouse, campaignHouse } from './support.ts'

const PEOPLE = 20_000
const FILLER = fileURLToPath(new URL('filler.ts', import.meta.url))

let house: CampaignHouse
beforeAll(async () => {
  house = await campaignHouse()
  await house.must('list', { list: 'Weekly' })
  // Every tenth has opted out.
  await sql`
    with person as (
      insert into profile (shard, id, email, level, created_at, salt)
      select n % 64, nextval('profile_number') * 64 + n % 64, 'person' || n || '@example.com',
        case when n % 10 = 0 then 2 else 0 end, now(), '\\x00'
      from generate_series(1, ${PEOPLE}) n returning shard, id)
    insert into list_member select shard, id, (select id from list where name = 'Weekly'), now() from person`.execute(
    house.db,
  )
  await sql`analyze`.execute(house.db)
})
afterAll(() => house.close())

async function begin(): Promise<number> {
  const id = await house.campaign()
  expect(await startDue(house.services, house.clock.now())).toBe(true)
  return id
}

function fillElsewhere(size: number): ChildProcess {
  return spawn(process.execPath, [FILLER, JSON.stringify(house.connection), String(size)], { stdio: 'ignore' })
}

/** Rows of a campaign: all, of different people, and by state. */
async function counts(id: number) {
  const { rows } = await sql<{ rows: number; people: number; queued: number; suppressed: number; filled: boolean }>`
    select count(*)::int as rows, count(distinct profile_id)::int as people,
      count(*) filter (where state = 'queued')::int as queued,
      count(*) filter (where state = 'suppressed')::int as suppressed,
      not exists (select from campaign_fill where campaign_id = ${id}) as filled
    from message where campaign_id = ${id}`.execute(house.db)
  return rows[0]!
}

const WHOLE = { rows: PEOPLE, people: PEOPLE, queued: PEOPLE * 0.9, suppressed: PEOPLE * 0.1, filled: true }

it('writes everybody once when workers that compete for it are killed again and again', async () => {
  const id = await begin()
  for (let kills = 0; kills < 6; kills++) {
    const workers = [fillElsewhere(50), fillElsewhere(50)]
    const before = await counts(id)
    const goal = before.rows + 1_000 + Math.floor(Math.random() * 500)
    await until(`${goal} recipients are written`, async () => (await counts(id)).rows >= goal)
    for (const worker of workers) {
      worker.kill('SIGKILL')
      await once(worker, 'exit')
    }
    expect((await counts(id)).filled).toBe(false)
  }
  const last = [fillElsewhere(500), fillElsewhere(500)]
  await Promise.all(last.map((worker) => once(worker, 'exit')))
  expect(await counts(id)).toEqual(WHOLE)
})

it('goes on where it was after a pause, and stops for it at once', async () => {
  const id = await begin()
  for (let chunk = 0; chunk < 4; chunk++) await fillChunk(house.services, null, house.clock.now(), 1_000)
  await house.must('blast', { blast_id: id, paused: true })
  expect(await fillChunk(house.services, null, house.clock.now(), 1_000)).toBeNull()
  expect(await counts(id)).toMatchObject({ rows: 4_000, filled: false })
  await house.must('blast', { blast_id: id, paused: false })
  while (await fillChunk(house.services, null, house.clock.now()));
  expect(await counts(id)).toEqual(WHOLE)
})

it('can be paused while it is being written: that waits for no chunk', async () => {
  const id = await begin()
  await house.db.transaction().execute(async (chunk) => {
    await sql`select from campaign_fill where campaign_id = ${id} for update`.execute(chunk)
    await house.must('blast', { blast_id: id, paused: true })
  })
  await house.must('blast', { blast_id: id, status: 'sent' })
  await house.settle()
})

it('a worker that writes recipients holds those who get it now, and the campaign waits for them', async () => {
  await sql`delete from campaign_fill`.execute(house.db)
  const id = await begin()
  const worker = await addWorker(house.db, house.clock.now())
  const { batch, messages, people } = (await fillChunk(house.services, worker, house.clock.now(), 100))!
  expect(await counts(id)).toMatchObject({ rows: 100, queued: 0 })
  const held = await heldBy(house.db, worker)
  expect(held.toSorted()).toEqual(messages.map((message) => message.id).toSorted())
  expect([...batch!.messageIds].toSorted()).toEqual(held.toSorted())
  expect((await counts(id)).suppressed).toBe(100 - held.length)
  for (const { profile_id, address } of messages) expect(people.get(profile_id)?.email).toBe(address)
  await sql`delete from campaign_fill`.execute(house.db)
  expect(await completeFinished(house.db, house.clock.now())).toEqual([])
  const ends = messages.map(({ id }) => ({
    id,
    state: 'sent' as const,
    reason: null,
    reply: '250 ok',
    dueAt: null,
    revisionId: null,
    attempted: true,
  }))
  await settlement(worker, ends, house.clock.now()).execute(house.db)
  expect(await completeFinished(house.db, house.clock.now())).toEqual([id])
})

it('takes turns among campaigns', async () => {
  await sql`delete from campaign_fill`.execute(house.db)
  const ids = [await begin(), await begin(), await begin()]
  for (let chunk = 0; chunk < 6; chunk++) {
    house.clock.advance(1)
    await fillChunk(house.services, null, house.clock.now(), 1_000)
  }
  for (const id of ids) expect((await counts(id)).rows).toBe(2_000)
})

it('a second row for the same person is impossible', async () => {
  const { rows } = await sql<{ id: number }>`
    select campaign_id as id from message where campaign_id is not null limit 1`.execute(house.db)
  await expect(
    sql`insert into message (shard, id, profile_id, campaign_id, revision_id, kind, origin, address, state, due_at, created_at)
      select shard, 1, profile_id, campaign_id, revision_id, kind, origin, address, state, due_at, created_at
      from message where campaign_id = ${rows[0]!.id} limit 1`.execute(house.db),
  ).rejects.toThrow(/message_by_profile/)
})
