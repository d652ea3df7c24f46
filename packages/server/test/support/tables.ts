import { hash } from 'node:crypto'
import { sql } from 'kysely'
import type { Database } from '../../src/platform/database.ts'

/**
 * What living workers write by themselves while nobody asks for anything: how long each is known to live, and which
 * messages it holds. Nothing in there is about a person, and the messages themselves are compared.
 */
export const WRITTEN_BY_WORKERS = ['delivery_worker', 'delivery_batch', 'delivery_watch'] as const

/** Digests of all rows, by table. */
export type Contents = ReadonlyMap<string, readonly string[]>

/** @param except tables that are not looked at */
export async function contentsOf(db: Database, except: readonly string[] = []): Promise<Contents> {
  const { rows: tables } = await sql<{ name: string }>`
    select tablename as name from pg_tables where schemaname = 'public' order by 1`.execute(db)
  const missing = except.filter((name) => !tables.some((table) => table.name === name))
  if (missing.length > 0) throw new Error(`there is no table ${missing.join(', ')} to leave out`)
  const contents = new Map<string, string[]>()
  for (const { name } of tables.filter(({ name }) => !except.includes(name))) {
    const { rows } = await sql<{ row: string }>`
      select t::text as row from ${sql.table(name)} t order by 1`.execute(db)
    contents.set(
      name,
      rows.map(({ row }) => hash('md5', row)),
    )
  }
  return contents
}

/** What changed, a line a table: `profile: 1 rows new, 1 gone`. */
export function changes(before: Contents, after: Contents): string[] {
  const names = new Set([...before.keys(), ...after.keys()])
  return [...names].flatMap((name) => {
    const [old, now] = [new Set(before.get(name)), new Set(after.get(name))]
    const added = [...now].filter((row) => !old.has(row)).length
    const gone = [...old].filter((row) => !now.has(row)).length
    return added + gone > 0 ? [`${name}: ${added} rows new, ${gone} gone`] : []
  })
}

/**
 * Whether nothing is under way in a running Fairlead: no message that is due or held, no fact that nobody reacted to, no
 * step of a flow that is due. What is put off to later is not under way.
 */
export async function isQuiet(db: Database): Promise<boolean> {
  const { rows } = await sql<{ open: number }>`
    select (select count(*) from message
        where state = 'leased' or (state in ('queued', 'deferred') and due_at <= now() + interval '1 second'))
      + (select count(*) from signal)
      + (select count(*) from flow_run where state <> 'ended' and due_at <= now() + interval '1 second') as open`.execute(
    db,
  )
  return Number(rows[0]!.open) === 0
}
