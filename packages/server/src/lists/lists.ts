import { randomBytes } from 'node:crypto'
import { type Generated, sql } from 'kysely'
import type { Clock } from '../platform/clock.ts'
import { keepCostly } from '../platform/costly.ts'
import type { Database, Queryable } from '../platform/database.ts'
import type { Json, JsonObject } from '../platform/json.ts'
import { countAddresses, countMembers, type MemberCount } from './counts.ts'
import { createShortMemory } from './short-memory.ts'

interface ListTable {
  id: Generated<number>
  hex_id: string
  name: string
  public_name: string | null
  type: 'normal' | 'smart'
  is_primary: boolean
  query: Json | null
  vars: JsonObject
  created_at: Date
  sent_at: Date | null
}

declare module '../platform/database.ts' {
  interface Schema {
    list: ListTable
    /** Lists that were deleted and still have members: a worker takes these off, with a row of the ledger each. */
    list_removed: { list_id: number; name: string; actor: string | null; at: Date }
  }
}

/** A list. Natural lists hold members; smart ones (`type` smart) a query. */
export interface List {
  id: number
  /** How callers outside know it: 24 hexadecimal digits. */
  hexId: string
  /** Case-sensitive, unique. */
  name: string
  /** What members see; null: the name. */
  publicName: string | null
  type: 'normal' | 'smart'
  /** Primary lists are the ones that sign-up and preference pages offer. */
  isPrimary: boolean
  query: Json | null
  vars: JsonObject
  createdAt: Date
  /** When the last campaign to it went out. */
  sentAt: Date | null
}

/** What a list is called. */
export interface ListLabel {
  name: string
  publicName: string | null
  type: string
}

/** A list by its name, or by the id that callers know. */
export type ListRef = { name: string } | { hexId: string }

/** What a save changes; what is left out stays as it is. */
export interface ListChange {
  type?: 'normal' | 'smart'
  isPrimary?: boolean
  query?: Json
  publicName?: string
  vars?: JsonObject
}

export type SaveOutcome =
  | { ok: true; list: List; created: boolean }
  | { ok: false; problem: 'too_many_primary' | 'query_missing' | 'unknown_list' }

export interface Lists {
  /** Ids by name; lists that do not exist are made, as natural and not primary. Mostly answered from memory. */
  ensure(names: readonly string[]): Promise<Map<string, number>>
  /** Ids of those that exist, by name. */
  find(names: readonly string[]): Promise<Map<string, number>>
  /** Those that exist, by id. Mostly answered from memory; `q` for callers inside a transaction. */
  byIds(ids: readonly number[], q?: Queryable): Promise<Map<number, ListLabel>>
  get(ref: ListRef): Promise<List | null>
  /** Sorted by name as bytes: upper case before lower case. */
  all(filter?: { type?: 'normal' | 'smart'; isPrimary?: boolean }): Promise<List[]>
  /** Members by list id; exact, but for huge accounts some seconds old. */
  counts(ids: readonly number[]): Promise<Map<number, MemberCount>>
  /** Members with an email address by list id, in a fraction of the time. */
  sizes(ids: readonly number[]): Promise<Map<number, number>>
  save(ref: ListRef, change: ListChange): Promise<SaveOutcome>
  /**
   * Removes a list; people stay. It has no members from this moment on: a worker takes the memberships off one by one
   * (`lists/emptying.ts`). Who had left it is remembered under its name. Null when there is none.
   */
  remove(ref: ListRef, by: string | null): Promise<List | null>
}

/** Most lists that sign-up and preference pages may offer. */
export const MAX_PRIMARY_LISTS = 50
/** Characters in the name of a list. */
export const LONGEST_LIST_NAME = 255

const PRIMARY_LOCK = 7_145_010

export function createLists({ db, clock }: { db: Database; clock: Clock }): Lists {
  const idsByName = createShortMemory<string, number>()
  const labelsById = createShortMemory<number, ListLabel>()
  const counts = keepCostly((ids) => countMembers(db, ids))
  const sizes = keepCostly((ids) => countAddresses(db, ids))

  async function find(names: readonly string[]): Promise<Map<string, number>> {
    const found = new Map<string, number>()
    const missing: string[] = []
    for (const name of names) {
      const id = idsByName.get(name)
      if (id === undefined) missing.push(name)
      else found.set(name, id)
    }
    if (missing.length === 0) return found
    const rows = await sql<{ id: number; name: string }>`
      select id, name from list where name = any(${missing}::text[])`.execute(db)
    for (const { id, name } of rows.rows) {
      idsByName.set(name, id)
      found.set(name, id)
    }
    return found
  }

  return {
    find,

    async ensure(names) {
      const found = await find(names)
      if (found.size === names.length) return found
      const missing = [...new Set(names)].filter((name) => !found.has(name)).sort()
      if (missing.length === 0) return found
      const hexIds = missing.map(newHexId)
      // Sorted, so that two calls that make the same lists wait for each other in the same order.
      await sql`
        insert into list (name, hex_id, created_at)
        select name, hex_id, ${clock.now()} from unnest(${missing}::text[], ${hexIds}::text[]) as made (name, hex_id)
        on conflict (name) do nothing`.execute(db)
      for (const [name, id] of await find(missing)) found.set(name, id)
      return found
    },

    async byIds(ids, q = db) {
      const labels = new Map<number, ListLabel>()
      const missing: number[] = []
      for (const id of ids) {
        const label = labelsById.get(id)
        if (label === undefined) missing.push(id)
        else labels.set(id, label)
      }
      if (missing.length === 0) return labels
      const { rows } = await sql<{ id: number; name: string; public_name: string | null; type: string }>`
        select id, name, public_name, type from list where id = any(${missing}::int[])`.execute(q)
      for (const { id, name, public_name, type } of rows) {
        const label = { name, publicName: public_name, type }
        labelsById.set(id, label)
        labels.set(id, label)
      }
      return labels
    },

    get: (ref) => readList(db, ref),

    async all(filter = {}) {
      let query = db.selectFrom('list').selectAll().orderBy(sql`name collate "C"`)
      if (filter.type) query = query.where('type', '=', filter.type)
      if (filter.isPrimary !== undefined) query = query.where('is_primary', '=', filter.isPrimary)
      return (await query.execute()).map(fromRow)
    },

    counts,
    sizes,

    async save(ref, change) {
      const outcome = await saveList(db, clock.now(), ref, change)
      if (outcome.ok) {
        idsByName.set(outcome.list.name, outcome.list.id)
        labelsById.delete(outcome.list.id)
      }
      return outcome
    },

    async remove(ref, by) {
      const removed = await db.transaction().execute(async (tx) => {
        const list = await readList(tx, ref)
        if (!list) return null
        // Nobody can join any more, and readers pass over memberships without a list.
        const [deleted] = await tx.deleteFrom('list').where('id', '=', list.id).execute()
        if (!deleted?.numDeletedRows) return null
        const { id, name } = list
        await tx.insertInto('list_removed').values({ list_id: id, name, actor: by, at: clock.now() }).execute()
        return list
      })
      if (removed) {
        idsByName.delete(removed.name)
        labelsById.delete(removed.id)
      }
      return removed
    },
  }
}

async function readList(db: Queryable, ref: ListRef): Promise<List | null> {
  const query = db.selectFrom('list').selectAll()
  const row = await ('name' in ref
    ? query.where('name', '=', ref.name)
    : query.where('hex_id', '=', ref.hexId)
  ).executeTakeFirst()
  return row ? fromRow(row) : null
}

function saveList(db: Database, now: Date, ref: ListRef, change: ListChange): Promise<SaveOutcome> {
  return db.transaction().execute(async (tx): Promise<SaveOutcome> => {
    if (change.isPrimary) await sql`select pg_advisory_xact_lock(${sql.lit(PRIMARY_LOCK)})`.execute(tx)
    const present = await readList(tx, ref)
    if (!present && !('name' in ref)) return { ok: false, problem: 'unknown_list' }
    const type = change.type ?? present?.type ?? 'normal'
    if (type === 'smart' && change.query === undefined && present?.query == null) {
      return { ok: false, problem: 'query_missing' }
    }
    if (change.isPrimary && !present?.isPrimary && (await countPrimary(tx)) >= MAX_PRIMARY_LISTS) {
      return { ok: false, problem: 'too_many_primary' }
    }
    const columns = {
      type,
      is_primary: change.isPrimary ?? present?.isPrimary ?? false,
      public_name: change.publicName ?? present?.publicName ?? null,
      query: asJson(change.query ?? present?.query ?? null),
      vars: asJson(change.vars ?? present?.vars ?? {}),
    }
    const name = present?.name ?? ('name' in ref ? ref.name : '')
    const row = await tx
      .insertInto('list')
      .values({ ...columns, name, hex_id: present?.hexId ?? newHexId(), created_at: now, sent_at: null })
      .onConflict((conflict) => conflict.column('name').doUpdateSet(columns))
      .returningAll()
      .executeTakeFirstOrThrow()
    return { ok: true, list: fromRow(row), created: present === null }
  })
}

async function countPrimary(db: Queryable): Promise<number> {
  const { rows } = await sql<{ n: number }>`select count(*)::int as n from list where is_primary`.execute(db)
  return rows[0]?.n ?? 0
}

const newHexId = () => randomBytes(12).toString('hex')

/** `pg` would write an array as a PostgreSQL array. */
const asJson = <T extends Json>(value: T) => (value === null ? null : JSON.stringify(value)) as unknown as T

const fromRow = (row: Omit<ListTable, 'id'> & { id: number }): List => ({
  id: row.id,
  hexId: row.hex_id,
  name: row.name,
  publicName: row.public_name,
  type: row.type,
  isPrimary: row.is_primary,
  query: row.query,
  vars: row.vars,
  createdAt: row.created_at,
  sentAt: row.sent_at,
})
