import { sql } from 'kysely'
import type { Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import './tables.ts'

/** One postback before it is stored: parameters as the Sailthru API docs ("API Postbacks") name them. */
export interface NewPostback {
  profileId: number
  action: 'optout' | 'hardbounce' | 'verify' | 'update'
  url: string
  /** Nested parameters in bracket style: `lists[Weekly]`. */
  body: { [parameter: string]: string }
  /** Of two with the same key for the same person only the first is kept. */
  dedupeKey: string | null
}

/** Queues postbacks in the transaction of what they tell, so that neither is there without the other. */
export async function writePostbacks(tx: Tx, postbacks: readonly NewPostback[], now: Date): Promise<void> {
  if (postbacks.length === 0) return
  const column = <T>(read: (postback: NewPostback) => T) => postbacks.map(read)
  await sql`
    insert into postback (shard, id, profile_id, action, url, body, state, due_at, created_at, dedupe_key)
    select shard, nextval('postback_number') * 64 + shard, profile_id, action, url, body, 'queued', ${now}, ${now},
      dedupe_key
    from unnest(${column((p) => shardOfId(p.profileId))}::smallint[], ${column((p) => p.profileId)}::bigint[],
      ${column((p) => p.action)}::text[], ${column((p) => p.url)}::text[],
      ${column((p) => JSON.stringify(p.body))}::json[], ${column((p) => p.dedupeKey)}::text[])
      with ordinality as m(shard, profile_id, action, url, body, dedupe_key, n)
    order by n
    on conflict do nothing`.execute(tx)
}
