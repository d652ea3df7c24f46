import { sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'
import { shardOfKey } from '../platform/shard.ts'
import { leftAs, NO_WISHES } from '../profiles/wishes.ts'
import type { Deliverability, Recipient } from './decide.ts'
import type { WishesOf } from './refusals.ts'

/** A mailbox that a message goes to beside the one it is for. */
export interface WantedCopy {
  /** In lookup form. */
  lookup: string
  /** What the message is made of; null: no template. */
  template: { id: number; publicName: string } | null
}

interface Row {
  state: string | null
  kind: 'blacklist' | 'never' | null
}

/**
 * Loads what `decide` needs about the owners of addresses, for many copies in few statements. Where nobody has an
 * address, what is remembered of it stands against it, and the block list and the state of the mailbox.
 *
 * @returns in the order asked for
 */
export async function loadCopies(
  q: Queryable,
  wishesOf: WishesOf,
  wanted: readonly WantedCopy[],
): Promise<Recipient[]> {
  if (wanted.length === 0) return []
  const wishes = await wishesOf(
    q,
    wanted.map(({ lookup }) => lookup),
  )
  const { rows } = await sql<Row>`
    select a.state, b.kind
    from unnest(${wanted.map(({ lookup }) => shardOfKey('email', lookup))}::smallint[],
      ${wanted.map(({ lookup }) => lookup)}::text[]) with ordinality as w(shard, address, n)
    left join address a on a.shard = w.shard and a.address = w.address
    left join lateral (
      select kind from blocked_address
      where pattern = w.address or pattern = substring(w.address from '@.*$')
      order by kind limit 1) b on true
    order by n`.execute(q)
  return rows.map(({ state, kind }, index) => {
    const { lookup, template } = wanted[index]!
    const { level, templateOptouts } = wishes.get(lookup) ?? NO_WISHES
    return {
      addressIsValid: true,
      level,
      deliverability: (state ?? 'unknown') as Deliverability,
      block: kind,
      isOutOfTemplate: template !== null && leftAs(templateOptouts, template.id, template.publicName).length > 0,
    }
  })
}
