import { sql } from 'kysely'
import { shardOfId } from '../platform/shard.ts'
import type { Belongings } from '../profiles/belongings.ts'
import './store.ts'

/**
 * Purchases move with their buyer, under new ids of the keeper's shard; shops know them by the ids they were given first,
 * which lead to the new ones from now on. They go with a person who is erased.
 */
export const purchaseBelongings: Belongings = {
  subject: 'purchases',

  async merge(tx, { from, to }) {
    const shard = shardOfId(to)
    await sql`
      with gone as (delete from purchase where shard = ${shardOfId(from)} and profile_id = ${from} returning *),
        numbered as (select *, nextval('purchase_number') * 64 + ${shard}::int as new_id from gone),
        named as (update purchase_key k set purchase_id = n.new_id from numbered n where k.purchase_id = n.id),
        moved as (insert into purchase_moved (shard, id, purchase_id)
          select coalesce(first_id, id) % 64, coalesce(first_id, id), new_id from numbered
          on conflict (shard, id) do update set purchase_id = excluded.purchase_id)
      insert into purchase (shard, id, profile_id, is_incomplete, at, price, qty, details, first_id, message_id,
        campaign_id)
      select ${shard}::smallint, new_id, ${to}::bigint, is_incomplete, at, price, qty, details,
        coalesce(first_id, id), message_id, campaign_id
      from numbered
      on conflict do nothing`.execute(tx)
  },

  async erase(tx, { id }) {
    await sql`delete from purchase where shard = ${shardOfId(id)} and profile_id = ${id}`.execute(tx)
  },
}
