import { type Kysely, sql } from 'kysely'

/** Signatures of calls that must not be repeated, where the account wants that (`refuse_seen_signatures`). */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table seen_signature (
      digest bytea primary key,
      seen_at timestamptz not null
    )`.execute(db)
  await sql`create index seen_signature_age on seen_signature (seen_at)`.execute(db)
}
