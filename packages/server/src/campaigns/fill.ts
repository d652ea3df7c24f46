import { type RawBuilder, sql } from 'kysely'
import { batchOf } from '../delivery/batches.ts'
import type { ClaimedMessage, Filled } from '../delivery/queue.ts'
import type { Database, Tx } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import { shardOfId } from '../platform/shard.ts'
import type { ProfileFacts } from '../profiles/read.ts'
import { PRIORITY } from '../sends/enqueue.ts'
import { readsLists } from '../templates/reads.ts'
import type { Templates } from '../templates/templates.ts'
import { type AudienceRule, judge, type Member, readMembers } from './audience.ts'
import { dueTimes } from './due-times.ts'
import { takeCap } from './frequency-cap.ts'
import { LACKS, type Lack, sayLack } from './needs.ts'
import { type CampaignPlan, EMPTY_PLAN } from './tables.ts'
import { variantFor } from './variants.ts'

/*
 * Recipients become rows of `message` in chunks. A chunk's rows and how far the campaign got are one statement, so a
 * process may die at any moment and another goes on exactly there. Whoever is left out has a row as well, which says
 * why.
 *
 * A worker that has room writes the next chunk for itself: the rows are held by it from the beginning, and are made of
 * what was read of people when it was decided about them. Nothing is so written long before it can be sent, and no row
 * twice before it is known what became of it.
 */

/** Members of a list in one chunk where nobody waits for them: large enough to be fast. */
export const CHUNK = 5_000

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

export interface FillParts {
  db: Database
  templates: Pick<Templates, 'byRevisions'>
  log?: Pick<Log, 'warn'>
}

/**
 * Writes the next chunk of the campaign that has waited longest for its turn. A campaign that another worker is busy
 * with is waited for when there is no other.
 *
 * @param size members in the chunk
 * @param worker who holds what may go out now; null: it waits for whoever claims it
 * @returns null when there was nothing to write
 */
export async function fillChunk(
  { db, templates, log }: FillParts,
  worker: number | null,
  now: Date,
  size = CHUNK,
): Promise<Filled | null> {
  let id: number | null = null
  try {
    const filled = await db.transaction().execute(async (tx) => {
      const campaign = (await nextToFill(tx, 'of f skip locked')) ?? (await nextToFill(tx, 'of f'))
      if (!campaign) return null
      id = campaign.id
      if (campaign.lacks) return await pause(tx, campaign, campaign.lacks)
      const revisions = await templates.byRevisions(campaign.revision_ids)
      return await writeNext(tx, campaign, [...revisions.values()].some(readsLists), worker, now, size)
    })
    if (filled === PAUSED) log?.warn({ campaign: id }, 'a campaign was paused: a list that it counts on is gone')
    return filled
  } catch (error) {
    // A campaign that cannot go on must not keep the others from their turn.
    if (id !== null) await sql`update campaign_fill set turn_at = ${now} where campaign_id = ${id}`.execute(db)
    throw error
  }
}

async function nextToFill(
  tx: Tx,
  lock: 'of f' | 'of f skip locked',
): Promise<(Filling & { lacks: Lack | null }) | undefined> {
  const { rows } = await sql<Filling & { lacks: Lack | null }>`
    select c.id, c.list_ids, c.suppress_ids, c.plan, c.revision_ids, c.started_at, f.place, f.after_shard,
      f.after_profile, ${LACKS} as lacks
    from campaign_fill f join campaign c on c.id = f.campaign_id
    where c.status = 'sending'
    order by f.turn_at nulls first, c.id limit 1 for update ${sql.raw(lock)}`.execute(tx)
  return rows[0]
}

async function writeNext(
  tx: Tx,
  campaign: Filling,
  withLists: boolean,
  worker: number | null,
  now: Date,
  size: number,
): Promise<Filled> {
  const { list_ids, place, after_shard: shard, after_profile: profileId } = campaign
  const listId = list_ids[place]
  // Who takes up a message later reads the person anew.
  const facts = worker === null ? null : { withLists }
  const part =
    listId === undefined
      ? { members: [], last: null, isWhole: true }
      : await readMembers(tx, listId, { shard, profileId }, size, ruleOf(campaign), facts)
  if (!part.isWhole) return pause(tx, campaign, 'suppress_list')
  const following = place + 1 < list_ids.length ? { place: place + 1, shard: 0, profileId: 0 } : null
  return writeRecipients(tx, campaign, part.members, part.last ? { place, ...part.last } : following, worker, now)
}

/**
 * A list that the campaign counts on was deleted while it is sent. Nobody else may get it: the members of a suppress
 * list are not known any more. What was written before was decided with all lists there.
 */
async function pause(tx: Tx, { id, list_ids, suppress_ids }: Filling, lack: Lack): Promise<Filled> {
  const problem = sayLack(lack, lack === 'list' ? list_ids : suppress_ids)
  await sql`update campaign set status = 'paused', problem = ${problem} where id = ${id} and status = 'sending'`.execute(
    tx,
  )
  return PAUSED
}

/** What the plan says of whom to pass over. */
export function ruleOf({ suppress_ids, plan }: Pick<Filling, 'suppress_ids' | 'plan'>): AudienceRule {
  const { previousId, criterion } = { ...EMPTY_PLAN, ...plan }
  return { suppressIds: suppress_ids, previousId, criterion }
}

/**
 * Writes a row for each of these people who has none yet, and how far the campaign got.
 *
 * @param worker who holds those that may go out now; null: nobody
 */
export async function writeRecipients(
  tx: Tx,
  campaign: Filling,
  members: readonly Member[],
  next: Position,
  worker: number | null,
  now: Date,
): Promise<Filled> {
  const wanted = members.filter((member) => member.isWanted)
  const reasons = await judge(tx, wanted, await takeCap(tx, campaign, now))
  const { variants, testPercent } = { ...EMPTY_PLAN, ...campaign.plan }
  const revisions = wanted.map(
    ({ profileId }) => campaign.revision_ids[variantFor(campaign.id, profileId, variants.length, testPercent)]!,
  )
  const due = await dueTimes(tx, campaign, wanted, now)
  const states = wanted.map((_, index) =>
    reasons[index] !== null ? 'suppressed' : worker !== null && due[index]! <= now ? 'leased' : 'queued',
  )
  const { rows } = await sql<{ id: number; profile_id: number; batch: number }>`
    with moved as (${moveTo(campaign.id, next, now)}),
    written as (
      insert into message (shard, id, profile_id, campaign_id, revision_id, kind, origin, address, priority, state,
        worker_id, scheduled_for, due_at, created_at, settled_at, reason)
      select w.shard, nextval('message_number') * 64 + w.shard, w.profile_id, ${campaign.id}, w.revision_id, 'campaign',
        'campaign', w.address, ${PRIORITY.campaign}, w.state, case w.state when 'leased' then ${worker}::int end,
        case when w.due_at > ${now}::timestamptz then w.due_at end, case w.state when 'queued' then w.due_at end,
        ${now}::timestamptz, case w.state when 'suppressed' then ${now}::timestamptz end, w.reason
      from unnest(${wanted.map(({ profileId }) => shardOfId(profileId))}::smallint[],
        ${wanted.map(({ profileId }) => profileId)}::bigint[], ${revisions}::int[],
        ${wanted.map(({ email }) => email ?? '')}::text[], ${due}::timestamptz[], ${reasons}::text[], ${states}::text[])
        as w(shard, profile_id, revision_id, address, due_at, reason, state)
      on conflict (shard, profile_id, campaign_id) do nothing
      returning id, profile_id, state
    ), held as (select id, profile_id from written where state = 'leased'),
    batch as (${batchOf(worker ?? 0, sql`held`)})
    select held.id, held.profile_id, batch.id as batch from held, batch`.execute(tx)
  const [first] = rows
  if (!first) return NOBODY
  const places = new Map(wanted.map(({ profileId }, index) => [profileId, index]))
  const people = new Map<number, ProfileFacts>()
  const messages = rows.map(({ id, profile_id }) => {
    const index = places.get(profile_id)!
    const member = wanted[index]!
    if (member.person) people.set(profile_id, member.person)
    return messageTo(member, id, campaign.id, revisions[index]!, worker!, now)
  })
  return { batch: { id: first.batch, messageIds: rows.map((row) => row.id) }, messages, people }
}

/** A row as it was written a moment ago. */
function messageTo(
  member: Member,
  id: number,
  campaignId: number,
  revisionId: number,
  worker: number,
  now: Date,
): ClaimedMessage {
  return {
    shard: shardOfId(id),
    id,
    profile_id: member.profileId,
    template_id: null,
    revision_id: revisionId,
    campaign_id: campaignId,
    kind: 'campaign',
    origin: 'campaign',
    address: member.email!,
    vars: NOTHING,
    options: NOTHING,
    context: NOTHING,
    attempts: 0,
    doubts: 0,
    scheduled_for: null,
    created_at: now,
    worker_id: worker,
  }
}

const NOBODY: Filled = { batch: null, messages: [], people: new Map() }
const PAUSED: Filled = { ...NOBODY }
/** Shared by all recipients: never written to. */
const NOTHING = Object.freeze({})

function moveTo(campaignId: number, next: Position, now: Date): RawBuilder<unknown> {
  if (next === null) return sql`delete from campaign_fill where campaign_id = ${campaignId}`
  const { place, shard, profileId } = next
  return sql`
    update campaign_fill set place = ${place}, after_shard = ${shard}, after_profile = ${profileId}, turn_at = ${now}
    where campaign_id = ${campaignId}`
}
