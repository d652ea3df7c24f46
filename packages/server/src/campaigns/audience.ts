import { type RawBuilder, sql } from 'kysely'
import { decide } from '../consent/decide.ts'
import { loadReachability } from '../consent/recipients.ts'
import type { Queryable, Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import { type FactsRow, factColumns, factsOf, type ProfileFacts } from '../profiles/read.ts'
import { type FrequencyCap, findCapped } from './frequency-cap.ts'
import { areSomeGone } from './needs.ts'
import type { Criterion } from './tables.ts'

/** Somebody whom a campaign is meant for. */
export interface Member {
  profileId: number
  /** As its owner spells it; null: there is none. */
  email: string | null
  /** Rank of the opt-out level. */
  level: number
  isSuppressed: boolean
  /** Fits what the campaign asks of recipients of an earlier one. */
  isWanted: boolean
  /** What the message may say about them, if it was asked for. */
  person: ProfileFacts | null
}

/** Whom to pass over. */
export interface AudienceRule {
  suppressIds: readonly number[]
  previousId: number | null
  criterion: Criterion | null
}

/** A part of the audience, and where the next part begins. */
export interface AudiencePart {
  members: Member[]
  /** Last member looked at; null: the list has no more. */
  last: { shard: number; profileId: number } | null
  /** False: a suppress list is gone, so nobody knows who of them may not get it. */
  isWhole: boolean
}

/**
 * The next so many members of a list, by key: costs the same however far into the list it is.
 *
 * @param facts with what messages may say about people; null: without
 */
export async function readMembers(
  q: Queryable,
  listId: number,
  after: { shard: number; profileId: number },
  limit: number,
  rule: AudienceRule,
  facts: { withLists: boolean } | null = null,
): Promise<AudiencePart> {
  // One statement sees one moment: the lists are there, so their members are too.
  const { rows } = await sql<MemberRow & { lacks_lists: boolean }>`
    with part as materialized (
      select shard, profile_id from list_member
      where list_id = ${listId} and (shard, profile_id) > (${after.shard}, ${after.profileId})
      order by shard, profile_id limit ${limit})
    select part.shard, part.profile_id, ${areSomeGone(sql`${[...rule.suppressIds]}::int[]`)} as lacks_lists, ${JUDGED},
      ${facts ? factColumns(facts.withLists) : ADDRESS}
    from part left join profile p on p.shard = part.shard and p.id = part.profile_id ${lookUps(rule)}
    order by part.shard, part.profile_id`.execute(q)
  const last = rows.at(-1)
  return {
    members: rows.flatMap((row) => (row.id === null ? [] : [memberOf(row, facts !== null)])),
    last: last && rows.length === limit ? { shard: last.shard, profileId: last.profile_id } : null,
    isWhole: !last?.lacks_lists,
  }
}

/** The same of people who are named one by one. */
export async function readPeople(tx: Tx, profileIds: readonly number[], rule: AudienceRule): Promise<Member[]> {
  const { rows } = await sql<MemberRow>`
    select part.shard, part.profile_id, ${JUDGED}, ${ADDRESS}
    from unnest(${profileIds.map(shardOfId)}::smallint[], ${profileIds}::bigint[]) as part(shard, profile_id)
    join profile p on p.shard = part.shard and p.id = part.profile_id ${lookUps(rule)}`.execute(tx)
  return rows.map((row) => memberOf(row, false))
}

interface MemberRow extends Omit<FactsRow, 'id'> {
  shard: number
  profile_id: number
  /** Null: nobody is behind the membership any more. */
  id: number | null
  suppressed: boolean
  wanted: boolean
}

const memberOf = (row: MemberRow, withFacts: boolean): Member => ({
  profileId: row.profile_id,
  email: row.email,
  level: row.level,
  isSuppressed: row.suppressed,
  isWanted: row.wanted,
  person: withFacts ? factsOf(row as FactsRow) : null,
})

const JUDGED = sql.raw('suppressed.shard is not null as suppressed, wanted.shard is not null as wanted')
const ADDRESS = sql.raw('p.id, p.email, p.level')

/**
 * One probe of a key for each person. Lateral and with a limit, since the planner would otherwise read the whole
 * suppress list, which may have millions of members, for every part of the audience.
 */
function lookUps({ suppressIds, previousId, criterion }: AudienceRule): RawBuilder<unknown> {
  const suppressed =
    suppressIds.length === 0
      ? sql`(select null::smallint as shard)`
      : sql`(select s.shard from list_member s where s.shard = part.shard and s.profile_id = part.profile_id
          and s.list_id = any(${[...suppressIds]}::int[]) limit 1)`
  const wanted = previousId === null || criterion === null ? sql`(select part.shard)` : didBefore(previousId, criterion)
  return sql`left join lateral ${suppressed} suppressed on true left join lateral ${wanted} wanted on true`
}

/** Got the earlier campaign and did, or did not do, something with it. */
function didBefore(previousId: number, criterion: Criterion): RawBuilder<unknown> {
  return sql`(select e.shard from message e
    where e.shard = part.shard and e.campaign_id = ${previousId} and e.profile_id = part.profile_id and e.state = 'sent'
      and ${sql.raw(criterion.startsWith('not_') ? 'not' : '')} exists (${deed(criterion)})
    limit 1)`
}

/** What machines open and click does not count. A purchase is credited to a campaign when it is made. */
function deed(criterion: Criterion): RawBuilder<unknown> {
  if (criterion.endsWith('purchased')) {
    return sql`select from purchase b
      where b.shard = e.shard and b.profile_id = e.profile_id and b.campaign_id = e.campaign_id`
  }
  const type = criterion.endsWith('opened') ? 'open' : 'click'
  return sql`select from message_event v
    where v.shard = e.shard and v.message_id = e.id and v.type = ${type} and not v.machine`
}

/** Why somebody of the audience is left out; null: gets the campaign. */
export type LeftOut = string | null

/**
 * Decides about people, in their order: one statement, however many they are, and another one under a cap, which is
 * asked last.
 */
export async function judge(
  q: Queryable,
  members: readonly Member[],
  cap: FrequencyCap | null = null,
): Promise<LeftOut[]> {
  const reasons = await judgeEach(q, members)
  if (!cap) return reasons
  const open = members.filter((_, index) => reasons[index] === null).map(({ profileId }) => profileId)
  const capped = await findCapped(q, cap, open)
  return reasons.map((reason, index) => reason ?? (capped.has(members[index]!.profileId) ? 'frequency_cap' : null))
}

async function judgeEach(q: Queryable, members: readonly Member[]): Promise<LeftOut[]> {
  const recipients = await loadReachability(
    q,
    members.map(({ email, level }) => ({ address: email ?? '', level })),
  )
  return members.map(({ email, isSuppressed }, index) => {
    if (email === null) return 'no_address'
    const decision = decide(recipients[index]!, 'campaign')
    if (!decision.allowed) return decision.reason
    return isSuppressed ? 'suppress_list' : null
  })
}
