import { sql } from 'kysely'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

let fresh: FreshDatabase
beforeAll(async () => {
  fresh = await freshDatabase()
})
afterAll(() => fresh.drop())

// What a migration does to the schema shows here in review: `npx vitest run packages/server/test/migrations -u`.
it('has the schema that is written down', async () => {
  const { rows } = await sql<{ line: string }>`
    select line from (
      select c.table_name as place, 1 as part, c.ordinal_position as n,
        format('%s.%s %s%s%s', c.table_name, c.column_name, c.udt_name,
          case when c.is_nullable = 'NO' then ' not null' else '' end,
          case when c.column_default is null then '' else ' default ' || c.column_default end) as line
      from information_schema.columns c
      where c.table_schema = 'public' and c.table_name not like 'kysely%'
      union all
      select tablename, 2, row_number() over (partition by tablename order by indexname),
        replace(indexdef, 'public.', '')
      from pg_indexes where schemaname = 'public' and tablename not like 'kysely%'
    ) as schema
    order by place, part, n`.execute(fresh.db)
  await expect(`${rows.map((row) => row.line).join('\n')}\n`).toMatchFileSnapshot('schema.txt')
})

it('puts the shard first in the key of every table about people', async () => {
  const { rows } = await sql<{ table_name: string; indexdef: string }>`
    select c.table_name, i.indexdef from information_schema.columns c
    join pg_indexes i on i.tablename = c.table_name and i.schemaname = 'public'
    where c.table_schema = 'public' and c.column_name = 'shard' and i.indexdef like '%UNIQUE%'`.execute(fresh.db)
  expect(rows.length).toBeGreaterThan(15)
  for (const row of rows) expect(row.indexdef).toMatch(/\(shard[,)]/)
})
