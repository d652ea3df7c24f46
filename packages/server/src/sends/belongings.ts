import { sql } from 'kysely'
import { shardOfId } from '../platform/shard.ts'
import { parseAddress } from '../profiles/address.ts'
import type { Belongings } from '../profiles/belongings.ts'
import './message-table.ts'

/**
 * Messages stay where they are when people are merged: their ids are in links and carry the shard. Whoever reads them by
 * person asks for the ids of everybody who became part of the person. Of an erased person they stay for the statistics,
 * without what they said and to whom; a keyed hash of the address lets old links refuse mail for it.
 */
export const messageBelongings: Belongings = {
  subject: 'sends',

  async merge() {},

  async erase(tx, { ids, hash }) {
    const { rows } = await sql<{ address: string }>`
      select distinct m.address from unnest(${ids.map(shardOfId)}::smallint[], ${[...ids]}::bigint[]) as gone(shard, id)
      join message m on m.shard = gone.shard and m.profile_id = gone.id where m.address <> ''`.execute(tx)
    const addresses = rows.map(({ address }) => address)
    const hmacs = addresses.map((address) => hash(parseAddress(address)?.lookup ?? address))
    await sql`
      update message m set address = '', vars = '{}', context = '{}', options = '{}', address_hmac = known.hmac
      from unnest(${ids.map(shardOfId)}::smallint[], ${[...ids]}::bigint[]) as gone(shard, id),
        unnest(${addresses}::text[], ${hmacs}::bytea[]) as known(address, hmac)
      where m.shard = gone.shard and m.profile_id = gone.id and m.address = known.address`.execute(tx)
  },
}
