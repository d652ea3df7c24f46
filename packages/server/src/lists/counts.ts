import { sql } from 'kysely'
import type { Database } from '../platform/database.ts'

export interface MemberCount {
  /** Members with an email address. */
  emails: number
  /** Those among them whom a campaign would reach: not opted out, not bounced, not blocked. */
  valid: number
}

/** Counting may take this share of the time: a count that took 1 s is good for 20 s, a quick one is never kept. */
const REST_AFTER_WORK = 20
const QUICK = 50

/** Counts members by list id, and keeps what was expensive to count for a while. */
export function createMemberCounts(db: Database): (ids: readonly number[]) => Promise<Map<number, MemberCount>> {
  const kept = new Map<number, { count: MemberCount; until: number }>()
  return async (ids) => {
    const began = performance.now()
    const counts = new Map<number, MemberCount>()
    const open: number[] = []
    for (const id of ids) {
      const known = kept.get(id)
      if (known && known.until > began) counts.set(id, known.count)
      else open.push(id)
    }
    if (open.length === 0) return counts
    const counted = await countMembers(db, open)
    const took = performance.now() - began
    for (const id of open) {
      const count = counted.get(id) ?? { emails: 0, valid: 0 }
      counts.set(id, count)
      if (took > QUICK) kept.set(id, { count, until: performance.now() + took * REST_AFTER_WORK })
      else kept.delete(id)
    }
    return counts
  }
}

async function countMembers(db: Database, ids: number[]): Promise<Map<number, MemberCount>> {
  const { rows } = await sql<{ list_id: number; emails: number; valid: number }>`
    select m.list_id, count(p.email)::int as emails,
      (count(p.email) filter (where p.level = 0 and bad.address is null and one.pattern is null
        and everybody.pattern is null))::int as valid
    from list_member m
    join profile p on p.shard = m.shard and p.id = m.profile_id
    left join (select distinct address from address where state in ('hardbounce', 'invalid')) bad
      on bad.address = lower(p.email)
    left join blocked_address one on one.pattern = lower(p.email)
    left join blocked_address everybody on everybody.pattern = substring(lower(p.email) from '@.*$')
    where m.list_id = any(${ids}::int[])
    group by m.list_id`.execute(db)
  return new Map(rows.map(({ list_id, emails, valid }) => [list_id, { emails, valid }]))
}
