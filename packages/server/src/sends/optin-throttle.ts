import { sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'

const WINDOW = 24 * 3_600_000

/**
 * How many opt-in confirmations went out to each address while it was opted out, in the last 24 hours. Holds the
 * addresses until the transaction ends, so that two callers cannot both be the last one allowed.
 *
 * @returns by address in lower case
 */
export async function countConfirmations(
  q: Queryable,
  addresses: readonly string[],
  now: Date,
): Promise<Map<string, number>> {
  const lower = [...new Set(addresses.map((address) => address.toLowerCase()))].sort()
  for (const address of lower) {
    await sql`select pg_advisory_xact_lock(hashtextextended(${`optin:${address}`}, 0))`.execute(q)
  }
  const { rows } = await sql<{ address: string; n: number }>`
    select lower(address) as address, count(*)::int as n from message
    where lower(address) = any(${lower}::text[]) and kind = 'optin'
      and created_at > ${new Date(now.getTime() - WINDOW)} and state <> 'suppressed'
    group by 1`.execute(q)
  return new Map(rows.map((row) => [row.address, row.n]))
}
