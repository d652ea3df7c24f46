import { sql } from 'kysely'
import type { Database } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import { createWorkLoop } from '../platform/work-loop.ts'
import { type Profiles, retrying } from '../profiles/door.ts'
import './lists.ts'

export interface EmptyingParts {
  db: Database
  profiles: Pick<Profiles, 'changeIn'>
}

/** Members taken off in one transaction. */
const AT_ONCE = 500

/**
 * Takes members off a list that was deleted, some at a time, through the door of profiles: the ledger of each says so.
 * Nobody left the list by that, so a list that is made under its name again may have them.
 *
 * @returns false when no deleted list has members that another worker is not at
 */
export function emptyRemoved({ db, profiles }: EmptyingParts): Promise<boolean> {
  return retrying(() =>
    db.transaction().execute(async (tx) => {
      const { rows: removed } = await sql<{ id: number; name: string; actor: string | null }>`
        select list_id as id, name, actor from list_removed order by at limit 1 for update skip locked`.execute(tx)
      const [list] = removed
      if (!list) return false
      const { rows: members } = await sql<{ id: number }>`
        select profile_id as id from list_member where list_id = ${list.id}
        order by shard, profile_id limit ${AT_ONCE}`.execute(tx)
      if (members.length === 0) {
        await tx.deleteFrom('list_removed').where('list_id', '=', list.id).execute()
        return true
      }
      const reason = `the list ${list.name} was deleted`
      const act = { via: 'system', evidence: 0, reason, ...(list.actor === null ? {} : { actor: list.actor }) } as const
      const outcomes = await profiles.changeIn(
        tx,
        members.map(({ id }) => ({
          person: { kind: 'id', value: id },
          create: false,
          act,
          lists: new Map([[list.id, false]]),
        })),
      )
      // Memberships of nobody, as an import of old may have left them.
      const strays = members.filter((_, index) => !outcomes[index]!.ok).map(({ id }) => id)
      await sql`delete from list_member where list_id = ${list.id} and profile_id = any(${strays}::bigint[])`.execute(
        tx,
      )
      return true
    }),
  )
}

const POLL = 1_000

/** Empties deleted lists for as long as there are any. */
export function createEmptyingLoop(parts: EmptyingParts & { log: Log }) {
  const loop = createWorkLoop({
    turn: () => emptyRemoved(parts),
    poll: () => POLL,
    failed: (error) => parts.log.warn({ err: error }, 'deleted lists wait to be emptied'),
  })
  return { name: 'lists', start: loop.start, stop: loop.stop }
}
