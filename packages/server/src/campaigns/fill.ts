import { type RawBuilder, sql } from 'kysely'
import type { Database, Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import { PRIORITY } from '../sends/enqueue.ts'
import { type AudienceRule, judge, type Member, readMembers } from './audience.ts'
import { dueTimes } from './due-times.ts'
import { takeCap } from './frequency-cap.ts'
import { type CampaignPlan, EMPTY_PLAN } from './tables.ts'
import { variantFor } from './variants.ts'

/*
 * Recipients become rows of `message` in chunks. A chunk's rows and how far the campaign got are one statement, so a
 * process may die at any moment and another goes on exactly there. Whoever is left out has a row as well, which says
 * why.
 */

/** Members of a list in one chunk: large enough to be fast, small enough to hold up a pause by moments only. */
export const CHUNK = 5_000

/**
 * So many messages are written before they can be sent: enough that sending never waits, and no more, as writing a
 * million rows at once would take from sending the very machine that it needs, and decide about people hours too soon.
 */
const READ_AHEAD = 20_000

/** A campaign whose recipients are being written. */
export interface Filling {
  id: number
  list_ids: number[]
  suppress_ids: number[]
  plan: Partial<CampaignPlan>
  revision_ids: number[]
  started_at: Date
  place: number
  after_shard: number
  after_profile: number
}

/** How far it got after a chunk; null: all recipients are written. */
type Position = { place: number; shard: number; profileId: number } | null

/**
 * Writes the next chunk of the campaign that has waited longest for its turn. A campaign that another worker is busy
 * with is passed over, and so is one that is far ahead of its sending.
 *
 * @param size members in the chunk
 * @param ahead messages of a campaign that may be due and wait; null: any number
 * @returns false when there was nothing to write
 */
export async function fillChunk(
  db: Database,
  now: Date,
  size = CHUNK,
  ahead: number | null = READ_AHEAD,
): Promise<boolean> {
  const isNear =
    ahead === null
      ? sql`true`
      : sql`(select count(*) from (
          select from message m where m.campaign_id = c.id and m.state in ('queued', 'deferred') and m.due_at <= ${now}
          limit ${ahead}) as waiting) < ${ahead}`
  let id: number | null = null
  try {
    return await db.transaction().execute(async (tx) => {
      const { rows } = await sql<Filling>`
        select c.id, c.list_ids, c.suppress_ids, c.plan, c.revision_ids, c.started_at, f.place, f.after_shard,
          f.after_profile
        from campaign_fill f join campaign c on c.id = f.campaign_id
        where c.status = 'sending' and ${isNear}
        order by f.turn_at nulls first, c.id limit 1 for update of f skip locked`.execute(tx)
      const campaign = rows[0]
      if (!campaign) return false
      id = campaign.id
      await writeNext(tx, campaign, now, size)
      return true
    })
  } catch (error) {
    // A campaign that cannot go on must not keep the others from their turn.
    if (id !== null) await sql`update campaign_fill set turn_at = ${now} where campaign_id = ${id}`.execute(db)
    throw error
  }
}

async function writeNext(tx: Tx, campaign: Filling, now: Date, size: number): Promise<void> {
  const { list_ids, place, after_shard: shard, after_profile: profileId } = campaign
  const listId = list_ids[place]
  const part =
    listId === undefined
      ? { members: [], last: null }
      : await readMembers(tx, listId, { shard, profileId }, size, ruleOf(campaign))
  const following = place + 1 < list_ids.length ? { place: place + 1, shard: 0, profileId: 0 } : null
  await writeRecipients(tx, campaign, part.members, part.last ? { place, ...part.last } : following, now)
}

/** What the plan says of whom to pass over. */
export function ruleOf({ suppress_ids, plan }: Pick<Filling, 'suppress_ids' | 'plan'>): AudienceRule {
  const { previousId, criterion } = { ...EMPTY_PLAN, ...plan }
  return { suppressIds: suppress_ids, previousId, criterion }
}

/** Writes a row for each of these people who has none yet, and how far the campaign got. */
export async function writeRecipients(
  tx: Tx,
  campaign: Filling,
  members: readonly Member[],
  next: Position,
  now: Date,
): Promise<void> {
  const wanted = members.filter((member) => member.isWanted)
  const reasons = await judge(tx, wanted, await takeCap(tx, campaign, now))
  const { variants, testPercent } = { ...EMPTY_PLAN, ...campaign.plan }
  const revisions = wanted.map(
    ({ profileId }) => campaign.revision_ids[variantFor(campaign.id, profileId, variants.length, testPercent)]!,
  )
  const due = await dueTimes(tx, campaign, wanted, now)
  await sql`
    with moved as (${moveTo(campaign.id, next, now)})
    insert into message (shard, id, profile_id, campaign_id, revision_id, kind, origin, address, priority, state,
      scheduled_for, due_at, created_at, settled_at, reason)
    select w.shard, nextval('message_number') * 64 + w.shard, w.profile_id, ${campaign.id}, w.revision_id, 'campaign',
      'campaign', w.address, ${PRIORITY.campaign}, case when w.reason is null then 'queued' else 'suppressed' end,
      case when w.due_at > ${now}::timestamptz then w.due_at end, w.due_at, ${now}::timestamptz, case when w.reason is not null then ${now}::timestamptz end, w.reason
    from unnest(${wanted.map(({ profileId }) => shardOfId(profileId))}::smallint[],
      ${wanted.map(({ profileId }) => profileId)}::bigint[], ${revisions}::int[],
      ${wanted.map(({ email }) => email ?? '')}::text[], ${due}::timestamptz[], ${reasons}::text[])
      as w(shard, profile_id, revision_id, address, due_at, reason)
    on conflict (shard, campaign_id, profile_id) where campaign_id is not null do nothing`.execute(tx)
}

function moveTo(campaignId: number, next: Position, now: Date): RawBuilder<unknown> {
  if (next === null) return sql`delete from campaign_fill where campaign_id = ${campaignId}`
  const { place, shard, profileId } = next
  return sql`
    update campaign_fill set place = ${place}, after_shard = ${shard}, after_profile = ${profileId}, turn_at = ${now}
    where campaign_id = ${campaignId}`
}
