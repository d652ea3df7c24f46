import { sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'

/** A signal that failed so often that the dispatcher passes over it. */
export interface SetAside {
  id: number
  type: string
  profileId: number
  occurredAt: Date
  attempts: number
}

/** The signals that were set aside, oldest first. */
export async function listSetAside(q: Queryable, limit: number): Promise<SetAside[]> {
  const { rows } = await sql<SetAside>`
    select id, type, profile_id as "profileId", occurred_at as "occurredAt", attempts from signal
    where retry_at = 'infinity' order by id limit ${limit}`.execute(q)
  return rows
}

/**
 * Has the dispatcher try them again, from the first attempt on.
 *
 * @param id one of them; null: all
 * @returns how many
 */
export async function retrySetAside(q: Queryable, id: number | null): Promise<number> {
  const { numAffectedRows } = await sql`
    update signal set attempts = 0, retry_at = null
    where retry_at = 'infinity' and (${id}::bigint is null or id = ${id}::bigint)`.execute(q)
  return Number(numAffectedRows ?? 0n)
}
