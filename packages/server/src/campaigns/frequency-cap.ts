import { sql } from 'kysely'
import type { Queryable, Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import { readSettings } from '../settings/settings.ts'
import { type CampaignPlan, EMPTY_PLAN } from './tables.ts'

/** Who got so many messages of other campaigns since then is left out. */
export interface FrequencyCap {
  campaignId: number
  messages: number
  since: Date
}

const DAY = 86_400_000

/** The cap that a campaign keeps to; null: none, because its author or the account does not ask for one. */
export async function readCap(
  q: Queryable,
  campaign: { id: number; plan: Partial<CampaignPlan> },
  now: Date,
): Promise<FrequencyCap | null> {
  if (!{ ...EMPTY_PLAN, ...campaign.plan }.isCapped) return null
  const { frequency_cap: messages, frequency_cap_days: days } = await readSettings(q)
  if (messages === 0 || days === 0) return null
  return { campaignId: campaign.id, messages, since: new Date(now.getTime() - days * DAY) }
}

/**
 * The same for writing recipients. Capped campaigns take turns until their transactions end: if two were put together at
 * the same moment, neither would see the messages of the other.
 */
export async function takeCap(
  tx: Tx,
  campaign: { id: number; plan: Partial<CampaignPlan> },
  now: Date,
): Promise<FrequencyCap | null> {
  const cap = await readCap(tx, campaign, now)
  if (cap) await sql`select pg_advisory_xact_lock(hashtextextended('frequency cap', 0))`.execute(tx)
  return cap
}

/**
 * Who of these people has had enough, in one statement. What is on its way to somebody counts like what they got. Which
 * campaigns were being sent within the window is known beforehand, so that PostgreSQL may go by campaign or by person,
 * whichever is less to read.
 */
export async function findCapped(q: Queryable, cap: FrequencyCap, profileIds: readonly number[]): Promise<Set<number>> {
  const { campaignId, messages, since } = cap
  const { rows } = await sql<{ id: number }>`
    select w.id
    from unnest(${profileIds.map(shardOfId)}::smallint[], ${profileIds}::bigint[]) as w(shard, id)
    cross join lateral (
      select count(*) as n from (
        select from (select w.shard, w.id union all select shard, id from profile_moved where profile_id = w.id) whose
        join message m on m.shard = whose.shard and m.profile_id = whose.id
        where m.campaign_id = any(array(
            select id from campaign
            where id <> ${campaignId} and started_at is not null and (stopped_at is null or stopped_at >= ${since})))
          and case m.state when 'sent' then m.sent_at >= ${since} when 'in_doubt' then m.settled_at >= ${since}
            else m.state in ('queued', 'leased', 'deferred') end
        limit ${messages}) one) had
    where had.n >= ${messages}`.execute(q)
  return new Set(rows.map(({ id }) => id))
}
