import { sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'

declare module '../platform/database.ts' {
  interface Schema {
    verified_profile: { shard: number; profile_id: number }
  }
}

/**
 * `verified` of the older endpoint `email`: a note that callers keep about a person for themselves. It is no part of
 * the profile that consent is decided on, and has no effect on sending.
 */
export async function isVerified(q: Queryable, profileId: number): Promise<boolean> {
  const { rows } = await sql`
    select from verified_profile where shard = ${shardOfId(profileId)} and profile_id = ${profileId}`.execute(q)
  return rows.length > 0
}

/** Sets the note or takes it away. Nothing happens for a person who is gone. */
export async function setVerified(q: Queryable, profileId: number, verified: boolean): Promise<void> {
  const shard = shardOfId(profileId)
  if (verified) {
    await sql`
      insert into verified_profile (shard, profile_id)
      select shard, id from profile where shard = ${shard} and id = ${profileId}
      on conflict do nothing`.execute(q)
  } else {
    await sql`delete from verified_profile where shard = ${shard} and profile_id = ${profileId}`.execute(q)
  }
}
