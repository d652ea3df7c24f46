import { type RawBuilder, sql } from 'kysely'
import type { Database, Queryable } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'

/*
 * The watch over orphans. Every unfinished message waits, or is on a list of its worker, or is in doubt; a message that
 * is held and is on no list of its worker is an orphan, and nobody would ever send it. No statement of ours makes one.
 * The watch is for the statement that we got wrong, and for hands.
 *
 * No index knows which messages are held, as an index on what changes with every message would cost every message a
 * write. So the table is read, a piece at a time: the newest pages always, and of the others a share that goes round.
 * A piece is a range of pages, which PostgreSQL reads without touching anything else. Messages and lists are read by one
 * statement and so by one snapshot: what is being claimed at that moment is not an orphan.
 */

declare module '../platform/database.ts' {
  interface Schema {
    delivery_watch: { is_only: boolean; looked_at: Date | null; next_page: number }
  }
}

/** Pages at the end of the table that each look reads: a message is written where it was first put. */
const NEWEST = 256
/** Pages that each look reads besides: some ten milliseconds with both, and with room for a busy machine. */
const SHARE = 512
/** A worker looks at further shares for so long, in ms. */
const LOOKS_FOR = 25
/** Workers look this often, all of them together, in ms. */
export const WATCH_EVERY = 5_000

/** What a look reads. */
export interface Look {
  /** Ranges of pages, from the first to before the second; null: to the end. */
  ranges: Array<[number, number | null]>
  /** Pages that are read, and that there are. */
  pages: number
  of: number
  /** Where the next look goes on. */
  next: number
  /** The others have been gone through with this one. */
  isLast: boolean
}

/** What was put back. */
export interface Found {
  triggered: number
  /** Of campaigns: in doubt now. */
  campaigns: number
}

/** The look that comes next: a share of the old pages, if there are any, and the newest ones unless told otherwise. */
export async function nextLook(q: Queryable, withNewest = true): Promise<Look> {
  const { rows } = await sql<{ of: number; next: number }>`
    select pg_relation_size('message') / current_setting('block_size')::int as of,
      (select next_page from delivery_watch) as next`.execute(q)
  const { of, next: from } = rows[0]!
  const old = Math.max(0, of - NEWEST)
  const begin = from < old ? from : 0
  const end = Math.min(old, begin + SHARE)
  const ranges: Look['ranges'] = end > begin ? [[begin, end]] : []
  if (withNewest || ranges.length === 0) ranges.push([old, null])
  return { ranges, pages: end - begin + (withNewest ? of - old : 0), of, next: end, isLast: end === old }
}

/** Looks that read the table whole, one after the other. */
export async function* wholeTable(q: Queryable): AsyncGenerator<Look> {
  const { of } = await nextLook(q)
  for (let from = 0; ; from += SHARE) {
    const isLast = from + SHARE >= of
    yield { ranges: [[from, isLast ? null : from + SHARE]], pages: Math.min(SHARE, of - from), of, next: 0, isLast }
    if (isLast) return
  }
}

/** How many orphans a look finds. Changes nothing. */
export async function countOrphans(q: Queryable, look: Look): Promise<number> {
  const { rows } = await sql<{ n: number }>`
    ${orphansAmong(placesOf(look))} select count(*)::int as n from orphan`.execute(q)
  return rows[0]!.n
}

/** Puts back what a look finds. */
export function putBack(q: Queryable, look: Look, now: Date): Promise<Found> {
  return putBackAmong(q, placesOf(look), now)
}

/** Puts back the orphans of one campaign, wherever they are: reads all its messages. */
export function putBackOfCampaign(q: Queryable, campaignId: number, now: Date): Promise<Found> {
  return putBackAmong(q, [sql`campaign_id = ${campaignId}`], now)
}

/**
 * A message that one person waits for is tried again, under the same Message-ID. One of a campaign is in doubt: the list
 * that would say whether its attempt had begun is what is missing, and nobody may get a campaign twice.
 */
async function putBackAmong(q: Queryable, places: ReadonlyArray<RawBuilder<unknown>>, now: Date): Promise<Found> {
  // By its place too: a row that was written anew since the snapshot has another, and is left alone.
  const { rows } = await sql<Found>`
    ${orphansAmong(places)}, returned as (
      update message m set
        state = case when m.campaign_id is not null then 'in_doubt' when m.attempts > 0 then 'deferred' else 'queued' end,
        reply = case when m.campaign_id is not null then 'in doubt: no worker held it' else m.reply end,
        due_at = case when m.campaign_id is not null then 'infinity' else coalesce(m.scheduled_for, m.created_at) end,
        settled_at = case when m.campaign_id is not null then ${now}::timestamptz end, worker_id = null
      from orphan where m.ctid = orphan.ctid and m.shard = orphan.shard and m.id = orphan.id and m.state = 'leased'
      returning m.campaign_id)
    select (count(*) - count(campaign_id))::int as triggered, count(campaign_id)::int as campaigns
    from returned`.execute(q)
  return rows[0]!
}

/** The beginning of a statement that has `orphan(ctid, shard, id)`. Lists are read only if anything is held. */
function orphansAmong(places: ReadonlyArray<RawBuilder<unknown>>): RawBuilder<unknown> {
  const parts = places.map(
    (place) => sql`select ctid, shard, id, worker_id from message where ${place} and state = 'leased'`,
  )
  return sql`
    with held as materialized (${sql.join(parts, sql` union all `)}),
    orphan as materialized (
      select ctid, shard, id from held
      where worker_id is null or (worker_id, id) not in (
        select b.worker_id, one.id from delivery_batch b cross join unnest(b.message_ids) as one(id)))`
}

/** PostgreSQL has no page with this number. */
const AFTER_LAST_PAGE = 4_294_967_295

const placesOf = ({ ranges }: Look) =>
  ranges.map(([from, to]) => {
    return sql`ctid >= ${`(${from},0)`}::tid and ctid < ${`(${to ?? AFTER_LAST_PAGE},0)`}::tid`
  })

/**
 * Looks for orphans if no worker has for a while, puts them back and says so.
 *
 * @returns how many were put back
 */
export async function watchOver(db: Database, now: Date, log: Log): Promise<number> {
  const since = new Date(now.getTime() - WATCH_EVERY)
  const { numAffectedRows } = await sql`
    update delivery_watch set looked_at = ${now}
    where looked_at is null or looked_at <= ${since} or looked_at > ${now}`.execute(db)
  if (numAffectedRows === 0n) return 0
  const began = performance.now()
  const found: Found = { triggered: 0, campaigns: 0 }
  let look: Look
  let isFirst = true
  do {
    look = await nextLook(db, isFirst)
    const { triggered, campaigns } = await putBack(db, look, now)
    found.triggered += triggered
    found.campaigns += campaigns
    await sql`update delivery_watch set next_page = ${look.next}`.execute(db)
    isFirst = false
  } while (!look.isLast && performance.now() - began < LOOKS_FOR)
  sayFound(log, found)
  return found.triggered + found.campaigns
}

export function sayFound(log: Log, { triggered, campaigns }: Found): void {
  if (triggered > 0) log.error({ messages: triggered }, 'messages that no worker held were put back: to be sent')
  if (campaigns > 0) log.error({ messages: campaigns }, 'campaign messages that no worker held were put back: in doubt')
}
