import { sql } from 'kysely'
import { shardOfId } from '../platform/shard.ts'
import type { Belongings } from '../profiles/belongings.ts'
import './tables.ts'

/**
 * Counts of opens and clicks are added up; single events stay under the id of the message's person, which leads to the
 * survivor. What a click asked for and was not carried out yet falls away: it would only ever permit something.
 */
export const activityBelongings: Belongings = {
  subject: 'activity',

  async merge(tx, { from, to }) {
    await sql`
      with gone as (delete from profile_activity where shard = ${shardOfId(from)} and profile_id = ${from} returning *)
      insert into profile_activity as a (shard, profile_id, opened_at, clicked_at, opens, clicks)
      select ${shardOfId(to)}::smallint, ${to}::bigint, opened_at, clicked_at, opens, clicks from gone
      on conflict (shard, profile_id) do update set opened_at = greatest(a.opened_at, excluded.opened_at),
        clicked_at = greatest(a.clicked_at, excluded.clicked_at), opens = a.opens + excluded.opens,
        clicks = a.clicks + excluded.clicks`.execute(tx)
    await sql`delete from link_act where shard = ${shardOfId(from)} and profile_id = ${from}`.execute(tx)
  },

  async erase(tx, { ids }) {
    for (const table of ['profile_activity', 'link_act'] as const) {
      await sql`
        delete from ${sql.table(table)} t using unnest(${ids.map(shardOfId)}::smallint[], ${[...ids]}::bigint[])
          as gone(shard, id) where t.shard = gone.shard and t.profile_id = gone.id`.execute(tx)
    }
    // Addresses that clicks led to may hold what the person was called.
    await sql`
      update message_event e set url = null
      from unnest(${ids.map(shardOfId)}::smallint[], ${[...ids]}::bigint[]) as gone(shard, id)
      where e.shard = gone.shard and e.profile_id = gone.id`.execute(tx)
  },
}
