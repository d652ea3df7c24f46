import { sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'
import { shardOfKey } from '../platform/shard.ts'
import type { Deliverability, Recipient } from './decide.ts'
import { levelOf } from './levels.ts'

/** A mailbox that a message goes to beside the one it is for. */
export interface WantedCopy {
  /** In lookup form. */
  lookup: string
  /** What the message is made of; null: no template. */
  templateId: number | null
}

interface Row {
  level: number | null
  state: string | null
  kind: 'blacklist' | 'never' | null
  out: boolean
}

/**
 * Loads what `decide` needs about the owners of addresses, for many copies in one statement. Nobody may be known under
 * an address: then no level and no template stands against it, but the block list and the state of the mailbox may.
 *
 * @returns in the order asked for
 */
export async function loadCopies(q: Queryable, wanted: readonly WantedCopy[]): Promise<Recipient[]> {
  if (wanted.length === 0) return []
  const { rows } = await sql<Row>`
    select p.level, a.state, b.kind, t.template_id is not null as out
    from unnest(${wanted.map(({ lookup }) => shardOfKey('email', lookup))}::smallint[],
      ${wanted.map(({ lookup }) => lookup)}::text[], ${wanted.map(({ templateId }) => templateId)}::int[])
      with ordinality as w(shard, address, template_id, n)
    left join profile_key k on k.shard = w.shard and k.kind = 'email' and k.value = w.address
    left join profile p on p.shard = (k.profile_id & 63)::smallint and p.id = k.profile_id
    left join template_optout t on t.shard = p.shard and t.profile_id = p.id and t.template_id = w.template_id
    left join address a on a.shard = w.shard and a.address = w.address
    left join lateral (
      select kind from blocked_address
      where pattern = w.address or pattern = substring(w.address from '@.*$')
      order by kind limit 1) b on true
    order by n`.execute(q)
  return rows.map(({ level, state, kind, out }) => ({
    addressIsValid: true,
    level: level === null ? 'none' : levelOf(level),
    deliverability: (state ?? 'unknown') as Deliverability,
    block: kind,
    isOutOfTemplate: out,
  }))
}
