import { sql } from 'kysely'
import type { Queryable, Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import type { PersonRef, ProfileState } from './change.ts'
import { carries } from './ids.ts'

/*
 * People who were merged into others. The survivor answers to everything that the vanished one was given: links in old
 * mail, tokens, handed-out ids, messages that wait. Whoever takes an id from outside, or from a row that a merge does
 * not move, asks here.
 */

/** Where a vanished person went, with the salt of the ids that were handed out for them. */
export interface Moved {
  profileId: number
  salt: Buffer
}

/** Survivors by the ids of those who vanished; ids of people who never vanished are missing. */
export async function findMoved(q: Queryable, ids: readonly number[]): Promise<Map<number, Moved>> {
  if (ids.length === 0) return new Map()
  const { rows } = await sql<{ id: number; profile_id: number; salt: Buffer }>`
    select m.id, m.profile_id, m.salt
    from unnest(${ids.map(shardOfId)}::smallint[], ${[...ids]}::bigint[]) as w(shard, id)
    join profile_moved m using (shard, id)`.execute(q)
  return new Map(rows.map(({ id, profile_id, salt }) => [id, { profileId: profile_id, salt }]))
}

/**
 * The survivor that a reference stands for; null: none, or a sid or cookie that is not the vanished person's.
 *
 * @param id inside the reference
 */
export function survivorOf(moved: ReadonlyMap<number, Moved>, ref: PersonRef, id: number): number | null {
  const found = moved.get(id)
  if (!found) return null
  if (ref.kind !== 'sid' && ref.kind !== 'cookie') return found.profileId
  return carries({ id, salt: found.salt }, ref.kind, ref.value) ? found.profileId : null
}

/** Notes that a person became part of another; those who had become part of the vanished one follow. */
export async function noteMoved(tx: Tx, from: ProfileState, to: number, now: Date): Promise<void> {
  await sql`update profile_moved set profile_id = ${to} where profile_id = ${from.id}`.execute(tx)
  await sql`
    insert into profile_moved (shard, id, profile_id, salt, at)
    values (${shardOfId(from.id)}, ${from.id}, ${to}, ${from.salt}, ${now})`.execute(tx)
}

/** A person's id and the ids of everybody who became part of them, as a table expression with `shard` and `id`. */
export const idsOf = (profileId: number) => sql`
  (select ${shardOfId(profileId)}::smallint as shard, ${profileId}::bigint as id
    union all select shard, id from profile_moved where profile_id = ${profileId})`
