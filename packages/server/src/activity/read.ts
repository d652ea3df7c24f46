import { sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import './tables.ts'

/** Signs of life of one person. Machines do not count. */
export interface Activity {
  /** The newest. */
  openedAt: Date | null
  clickedAt: Date | null
  opens: number
  clicks: number
}

export const NO_ACTIVITY: Activity = { openedAt: null, clickedAt: null, opens: 0, clicks: 0 }

/** By profile id; who showed none is missing. */
export async function readActivity(q: Queryable, profileIds: readonly number[]): Promise<Map<number, Activity>> {
  if (profileIds.length === 0) return new Map()
  const { rows } = await sql<Activity & { id: number }>`
    select a.profile_id as id, a.opened_at as "openedAt", a.clicked_at as "clickedAt", a.opens, a.clicks
    from unnest(${profileIds.map(shardOfId)}::smallint[], ${profileIds}::bigint[]) as w(shard, profile_id)
    join profile_activity a using (shard, profile_id)`.execute(q)
  return new Map(rows.map(({ id, ...activity }) => [id, activity]))
}
