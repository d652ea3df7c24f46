import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'

/*
 * What a worker holds, as rows of lists: one for each batch of messages that it claimed or wrote for itself, and one for
 * each batch whose attempt has begun. To claim or to mark a hundred messages is so one small row, not a hundred rows
 * written anew. A message is held only while its own row says so too; what is left in a list besides means nothing.
 *
 * A list can go only when none of its messages is held any more. The statement that forgets it asks the messages
 * themselves: what a worker remembers is a hint about which lists to ask for, and nothing depends on its being right.
 */

declare module '../platform/database.ts' {
  interface Schema {
    delivery_batch: { id: number; worker_id: number; message_ids: number[]; is_attempting: boolean }
  }
}

/** Messages that one row lists. */
export interface Batch {
  id: number
  messageIds: readonly number[]
}

/** A statement that lists the messages of a table expression with a column `id` as held; nothing for none. */
export function batchOf(worker: number, messages: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    insert into delivery_batch (worker_id, message_ids, is_attempting)
    select ${worker}, array_agg(id), false from ${messages} having count(*) > 0 returning id`
}

/**
 * Says that the attempt of these messages begins. Committed before any of their content goes out.
 *
 * @returns null: another worker has taken over what this one held, so none may go out
 */
export async function markAttempting(q: Queryable, worker: number, ids: readonly number[]): Promise<Batch | null> {
  try {
    const { rows } = await sql<{ id: number }>`
      insert into delivery_batch (worker_id, message_ids, is_attempting) values (${worker}, ${ids}::bigint[], true)
      returning id`.execute(q)
    return { id: rows[0]!.id, messageIds: ids }
  } catch (error) {
    // The row of the worker is gone (SQLSTATE 23503): it was given up for dead.
    if ((error as { code?: string }).code === '23503') return null
    throw error
  }
}

/**
 * A statement that takes messages off the lists because they wait again: whoever claims them next must not be thought to
 * have attempted them.
 */
export function unlisting(worker: number, ids: readonly number[]): RawBuilder<unknown> {
  return sql`
    update delivery_batch set message_ids = array(select unnest(message_ids) except select unnest(${ids}::bigint[]))
    where worker_id = ${worker} and message_ids && ${ids}::bigint[]`
}

/** Whether a message of the list `b` is still held: a look at each by its key. */
const HOLDS = sql<boolean>`exists (
  select from unnest(b.message_ids) as one(id)
  join message m on m.shard = (one.id & 63)::smallint and m.id = one.id
  where m.worker_id = b.worker_id and m.state = 'leased')`

/** A statement that forgets those of these lists of which nothing is held any more. */
export function forgetting(batchIds: readonly number[]): RawBuilder<unknown> {
  return sql`delete from delivery_batch b where b.id = any(${batchIds}::bigint[]) and not ${HOLDS}`
}

/** Forgets the lists of workers of which nothing is held any more, except those that will be told as empty in time. */
export async function forgetFurther(q: Queryable, workers: readonly number[], known: readonly number[]): Promise<void> {
  await sql`
    delete from delivery_batch b where b.worker_id = any(${workers}::int[])
      and b.id not in (select unnest(${known}::bigint[])) and not ${HOLDS}`.execute(q)
}

/** Removes a worker that holds nothing; one that could not give back everything is left for others to take over. */
export async function removeWorker(q: Queryable, worker: number): Promise<void> {
  await sql`
    with mine as (select b.id, ${HOLDS} as holds from delivery_batch b where b.worker_id = ${worker}),
    forgotten as (delete from delivery_batch where id in (select id from mine where not holds))
    delete from delivery_worker where id = ${worker} and not exists (select from mine where holds)`.execute(q)
}

/** Messages that this worker holds as far as the database knows. */
export async function heldBy(q: Queryable, worker: number): Promise<number[]> {
  const { rows } = await sql<{ id: number }>`
    select held.id from ${HELD_MESSAGES} held where held.worker_id = ${worker}`.execute(q)
  return rows.map((row) => row.id)
}

/** A statement part: the messages that workers hold, as `held(shard, id, campaign_id, …, is_attempting)`. */
export const HELD_MESSAGES: RawBuilder<unknown> = sql`(
  select m.*, listed.is_attempting
  from (select b.worker_id, one.id, bool_or(b.is_attempting) as is_attempting
    from delivery_batch b cross join unnest(b.message_ids) as one(id) group by 1, 2) listed
  join message m on m.shard = (listed.id & 63)::smallint and m.id = listed.id and m.worker_id = listed.worker_id
    and m.state = 'leased')`

/**
 * Which lists a worker's messages are in, so that lists of which nothing is left can be forgotten soon. It is a hint: a
 * list that it does not know is found by `forgetFurther`.
 */
export interface BatchBook {
  add(batch: Batch): void
  /** A message is not held any more. */
  remove(messageId: number): void
  /** Lists of which nothing is held any more, each told once. */
  takeEmpty(): number[]
  /** Lists that have not been told as empty yet. */
  known(): number[]
}

export function createBatchBook(): BatchBook {
  /** Most messages are in two lists: the one they were claimed with, and the one of their attempt. */
  const lists = new Map<number, { batch: number; further: number[] }>()
  const left = new Map<number, number>()
  let empty: number[] = []

  function release(batch: number): void {
    const count = left.get(batch)! - 1
    if (count > 0) left.set(batch, count)
    else {
      left.delete(batch)
      empty.push(batch)
    }
  }

  return {
    add({ id, messageIds }) {
      left.set(id, messageIds.length)
      for (const messageId of messageIds) {
        const known = lists.get(messageId)
        if (known) known.further.push(id)
        else lists.set(messageId, { batch: id, further: [] })
      }
    },
    remove(messageId) {
      const known = lists.get(messageId)
      if (!known) return
      lists.delete(messageId)
      release(known.batch)
      for (const batch of known.further) release(batch)
    },
    takeEmpty() {
      const taken = empty
      empty = []
      return taken
    },
    known: () => [...left.keys(), ...empty],
  }
}
