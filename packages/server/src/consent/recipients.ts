import { sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'
import { shardOfId, shardOfKey } from '../platform/shard.ts'
import { parseAddress } from '../profiles/address.ts'
import type { Deliverability, Recipient } from './decide.ts'
import { levelOf } from './levels.ts'

declare module '../platform/database.ts' {
  interface Schema {
    template_optout: {
      shard: number
      profile_id: number
      template_id: number
      /** Never empty: a template that is made again under this name is left as well. */
      public_name: string
      at: Date
      via: string
      number: number
    }
    address: {
      shard: number
      address: string
      state: string
      class: string | null
      detail: string | null
      since: Date
    }
    blocked_address: { pattern: string; kind: string; reason: string | null; at: Date }
  }
}

/** Whom a message is for: a person, the address it goes to, and the template it is made of (null: a campaign). */
export interface WantedRecipient {
  profileId: number
  address: string
  templateId: number | null
}

/** What `decide` needs, and what has changed since the message was written. */
export interface LoadedRecipient extends Recipient {
  /** The person, or the survivor of their merge. */
  profileId: number
  /** Whether the message goes to the address that the person has now. */
  isOwnAddress: boolean
}

interface Row {
  id: number
  email: string | null
  level: number | null
  state: string | null
  kind: 'blacklist' | 'never' | null
  out: boolean
}

/**
 * Loads what `decide` needs, for many recipients in one statement.
 *
 * @returns in the order asked for; null where the profile is gone
 */
export async function loadRecipients(
  q: Queryable,
  wanted: readonly WantedRecipient[],
): Promise<Array<LoadedRecipient | null>> {
  if (wanted.length === 0) return []
  const addresses = wanted.map((one) => parseAddress(one.address))
  const lookups = addresses.map((address) => address?.lookup ?? '')
  const { rows } = await sql<Row>`
    select p.id, p.email, p.level, a.state, b.kind, t.out is not null as out
    from unnest(${wanted.map((one) => shardOfId(one.profileId))}::smallint[],
      ${wanted.map((one) => one.profileId)}::bigint[], ${wanted.map((one) => one.templateId)}::int[],
      ${lookups.map((lookup) => shardOfKey('email', lookup))}::smallint[], ${lookups}::text[])
      with ordinality as w(shard, profile_id, template_id, address_shard, address, n)
    left join profile_moved v on v.shard = w.shard and v.id = w.profile_id
    left join profile p on p.id = coalesce(v.profile_id, w.profile_id)
      and p.shard = (coalesce(v.profile_id, w.profile_id) & 63)::smallint
    left join address a on a.shard = w.address_shard and a.address = w.address
    left join lateral (
      select true as out from template_optout o
      where o.shard = p.shard and o.profile_id = p.id
        and (o.template_id = w.template_id
          or o.public_name = (select public_name from template where template.id = w.template_id))
      limit 1) t on true
    left join lateral (
      select kind from blocked_address
      where pattern = w.address or pattern = substring(w.address from '@.*$')
      order by kind limit 1) b on true
    order by n`.execute(q)
  return rows.map((row, index) => {
    if (row.level === null) return null
    return {
      addressIsValid: addresses[index] !== null,
      level: levelOf(row.level),
      deliverability: (row.state ?? 'unknown') as Deliverability,
      block: row.kind,
      isOutOfTemplate: row.out,
      profileId: row.id,
      isOwnAddress: isSpelling(row.email, wanted[index]!.address, lookups[index]!),
    }
  })
}

/** Whether the address of a person is this one; most are spelled alike. */
const isSpelling = (email: string | null, address: string, lookup: string): boolean =>
  email === address || (email !== null && parseAddress(email)?.lookup === lookup)

/** Somebody whose level was read already, with the address as it is spelled. */
export interface Levelled {
  address: string
  /** Rank, as the database keeps it. */
  level: number
}

/**
 * Loads the rest of what `decide` needs about the recipients of a campaign. Only what stands against an address comes
 * back from the database, which for most addresses is nothing.
 *
 * @returns in the order asked for
 */
export async function loadReachability(q: Queryable, people: readonly Levelled[]): Promise<Recipient[]> {
  if (people.length === 0) return []
  const lookups = people.map((one) => parseAddress(one.address)?.lookup ?? '')
  const { rows } = await sql<{ n: number; state: string | null; kind: 'blacklist' | 'never' | null }>`
    select w.n::int as n, a.state, least(one.kind, everybody.kind) as kind
    from unnest(${lookups.map((lookup) => shardOfKey('email', lookup))}::smallint[], ${lookups}::text[])
      with ordinality as w(shard, address, n)
    left join address a on a.shard = w.shard and a.address = w.address
    left join blocked_address one on one.pattern = w.address
    left join blocked_address everybody on everybody.pattern = substring(w.address from '@.*$')
    where a.state is not null or one.kind is not null or everybody.kind is not null`.execute(q)
  const against = new Map(rows.map((row) => [row.n - 1, row]))
  return people.map(({ level }, index) => ({
    addressIsValid: lookups[index] !== '',
    level: levelOf(level),
    deliverability: (against.get(index)?.state ?? 'unknown') as Deliverability,
    block: against.get(index)?.kind ?? null,
    isOutOfTemplate: false,
  }))
}
