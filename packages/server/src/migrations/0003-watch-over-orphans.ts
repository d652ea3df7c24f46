import { type Kysely, sql } from 'kysely'

/** One row: when somebody last looked for orphans, and from which page of `message` to look on. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table delivery_watch (
      is_only boolean primary key default true check (is_only),
      looked_at timestamptz,
      next_page bigint not null default 0
    )`.execute(db)
  await sql`insert into delivery_watch default values`.execute(db)
}
