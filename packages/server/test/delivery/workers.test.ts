import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createBatchBook, forgetting, heldBy, markAttempting, removeWorker } from '../../src/delivery/batches.ts'
import { claim, giveBack, settlement } from '../../src/delivery/queue.ts'
import { addWorker, LEASE, renewLeases, takeOverExpired } from '../../src/delivery/workers.ts'
import { type MailHouse, mailHouse } from './support.ts'

/* Who holds which messages, as rows of workers and lists say it. */

let house: MailHouse
const now = () => house.clock.now()

beforeEach(async () => {
  house = await mailHouse()
  await house.templates.save('Hello', { subject: 'Hello', content_text: 'Hello' })
})
afterEach(() => house.end())

async function claimed(count: number): Promise<{ worker: number; ids: number[] }> {
  for (let n = 0; n < count; n++) await house.send('Hello', `p${n}@example.com`)
  const worker = await addWorker(house.db, now())
  const taken = await claim(house.db, worker, now(), 100)
  return { worker, ids: [...taken!.batch.messageIds] }
}

test('a worker that was given up for dead cannot begin an attempt, nor say what became of messages', async () => {
  const { worker, ids } = await claimed(2)
  house.clock.advance(LEASE + 1)
  expect(await takeOverExpired(house.db, now())).toEqual({ triggered: 0, campaigns: 0 })
  expect(await renewLeases(house.db, [worker], now())).toEqual(new Set())
  expect(await markAttempting(house.db, worker, ids)).toBeNull()
  const sent = { id: ids[0]!, state: 'sent' as const, reason: null, reply: null, dueAt: null, revisionId: null }
  expect((await settlement(worker, [sent], now()).execute(house.db)).rows).toEqual([])
  expect(await house.row(ids[0]!)).toMatchObject({ state: 'queued', worker_id: null, attempts: 0 })
})

test('a lease that ran out is good again when nobody has taken over', async () => {
  const { worker, ids } = await claimed(1)
  house.clock.advance(LEASE + 1)
  expect(await renewLeases(house.db, [worker], now())).toEqual(new Set([worker]))
  expect(await takeOverExpired(house.db, now())).toEqual({ triggered: 0, campaigns: 0 })
  expect(await heldBy(house.db, worker)).toEqual(ids)
})

test('what is given back is nobody’s, and what is attempted elsewhere is not in doubt here', async () => {
  const { worker, ids } = await claimed(2)
  await markAttempting(house.db, worker, ids)
  await giveBack(worker, ids, null).execute(house.db)
  // The lists still name them; another worker holds them now.
  const other = await addWorker(house.db, new Date(now().getTime() + LEASE))
  expect((await claim(house.db, other, now(), 100))?.batch.messageIds).toEqual(ids)
  house.clock.advance(LEASE + 1)
  expect(await takeOverExpired(house.db, now())).toEqual({ triggered: 0, campaigns: 0 })
  expect(await heldBy(house.db, other)).toEqual(ids)
})

test('a worker leaves no row behind, unless it still holds something', async () => {
  const { worker, ids } = await claimed(1)
  const rows = async () => (await sql`select from delivery_worker where id = ${worker}`.execute(house.db)).rows.length
  await removeWorker(house.db, worker)
  expect(await rows()).toBe(1)
  await giveBack(worker, ids, null).execute(house.db)
  await removeWorker(house.db, worker)
  expect(await rows()).toBe(0)
})

test('what the database gave out without being able to say so goes back and is sent', async () => {
  const said: string[] = []
  const warn = (_: unknown, message: string) => said.push(message)
  house.deliver({ log: Object.assign(Object.create(house.parts.log), { warn }) })
  await house.reaches(await house.send('Hello', 'first@example.com'), 'sent')
  const { rows } = await sql<{ id: number }>`select id from delivery_worker`.execute(house.db)
  const worker = rows[0]!.id
  await house.templates.save('Later', { subject: 'Later', content_text: 'Later' })
  const later = new Date(now().getTime() + 60_000)
  const id = await house.send('Later', 'stray@example.com', { scheduledFor: later })
  await sql`
    with listed as (insert into delivery_batch (worker_id, message_ids, is_attempting)
      values (${worker}, array[${id}::bigint], false))
    update message set state = 'leased', due_at = null, worker_id = ${worker}, scheduled_for = created_at
    where id = ${id}`.execute(house.db)
  // Claims fail for a moment, as when the answers to them are lost.
  await sql`alter table delivery_batch rename to delivery_batch_away`.execute(house.db)
  const next = await house.send('Hello', 'next@example.com')
  await expect.poll(() => said).toContain('delivery waits for the database')
  await sql`alter table delivery_batch_away rename to delivery_batch`.execute(house.db)
  await house.reaches(next, 'sent')
  await house.reaches(id, 'sent')
})

test('lists are told as empty once, when nothing of them is held', () => {
  const book = createBatchBook()
  book.add({ id: 1, messageIds: [10, 11] })
  book.add({ id: 2, messageIds: [11] })
  book.remove(11)
  book.remove(11)
  expect(book.takeEmpty()).toEqual([2])
  book.remove(10)
  expect(book.takeEmpty()).toEqual([1])
  expect(book.takeEmpty()).toEqual([])
})

test('a list stays for as long as one of its messages is held, whatever a worker believes', async () => {
  const { worker, ids } = await claimed(2)
  const lists = async () => (await sql`select id from delivery_batch`.execute(house.db)).rows.length
  const { rows } = await sql<{ id: number }>`select id from delivery_batch`.execute(house.db)
  const batch = rows[0]!.id
  await forgetting([batch]).execute(house.db)
  expect(await lists()).toBe(1)
  await giveBack(worker, [ids[0]!]).execute(house.db)
  await forgetting([batch]).execute(house.db)
  expect(await lists()).toBe(1)
  await giveBack(worker, [ids[1]!]).execute(house.db)
  await forgetting([batch]).execute(house.db)
  expect(await lists()).toBe(0)
})
