import { type Kysely, sql } from 'kysely'

/**
 * Domains that refused mail for now, until they take it again and what waited for them was brought forward
 * (delivery/recovery.ts). A message remembers that it was, so that it is at most once.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table delivery_domain (
      domain text primary key,
      refused_at timestamptz not null,
      accepted_at timestamptz,
      place timestamptz,
      step int not null default 0,
      stepped_at timestamptz,
      trial_ids bigint[] not null default '{}',
      trial_attempts int[] not null default '{}'
    )`.execute(db)
  await sql`alter table message add column hastened_at timestamptz`.execute(db)
}
