import { sql } from 'kysely'
import type { Database, Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import { LONGEST_WAIT, waitClassOf } from './backoff.ts'

declare module '../platform/database.ts' {
  interface Schema {
    /** Domains that said "not now", until what waited for them was brought forward. */
    delivery_domain: {
      domain: string
      /** The last refusal for now (4yz). */
      refused_at: Date
      /** The first acceptance after it; null: none yet. */
      accepted_at: Date | null
      /** Messages due until then were looked at; null: none yet. */
      place: Date | null
      /** Messages brought forward in the last step; 0: none yet. */
      step: number
      stepped_at: Date | null
      /** Those messages, and the attempts that each had. */
      trial_ids: number[]
      trial_attempts: number[]
    }
  }
}

/** A domain that took mail for this long without a refusal for now has recovered, in ms. */
export const RECOVERED_AFTER = 30_000
/** Messages of one step at most. The first step is one message, and each next one twice as many. */
const LARGEST_STEP = 200
/** Waiting messages looked at in one step at most, of each priority and of each campaign. */
const LOOKED_AT = 1_000
/** A step is not waited for longer than this, in ms: its messages may be held, or their campaign paused. */
const STEP_PATIENCE = 60_000
/** A domain that refused nothing for this long is forgotten, in ms: what waited for it was due long ago. */
const FORGOTTEN_AFTER = 12 * 3_600_000

/** What was seen of a domain. */
export interface Seen {
  domain: string
  /** Last refusal for now; null: none. */
  refusedAt: Date | null
  /** First acceptance after it, or any where there was none; null: none. */
  acceptedAt: Date | null
}

/** A domain in trouble. */
export interface Troubled {
  domain: string
  acceptedAt: Date | null
}

/** Adds what was seen to what is known. Acceptances count for domains in trouble only. */
export async function note(db: Database, seen: readonly Seen[]): Promise<void> {
  // Sorted, so that two workers wait for each other in the same order.
  const sorted = [...seen].sort((a, b) => (a.domain < b.domain ? -1 : 1))
  await sql`
    with seen as (
      select * from unnest(${sorted.map(({ domain }) => domain)}::text[],
        ${sorted.map(({ refusedAt }) => refusedAt)}::timestamptz[],
        ${sorted.map(({ acceptedAt }) => acceptedAt)}::timestamptz[]) as s(domain, refused_at, accepted_at)
    ), taken as (
      update delivery_domain d set accepted_at = seen.accepted_at from seen
      where d.domain = seen.domain and seen.refused_at is null and d.accepted_at is null
        and seen.accepted_at >= d.refused_at)
    insert into delivery_domain as d (domain, refused_at, accepted_at)
    select domain, refused_at, accepted_at from seen where refused_at is not null
    on conflict (domain) do update set refused_at = greatest(d.refused_at, excluded.refused_at),
      accepted_at = excluded.accepted_at, place = null, step = 0, stepped_at = null, trial_ids = '{}',
      trial_attempts = '{}'`.execute(db)
}

/** Domains in trouble, those that refused last first. Those of which nothing was heard for long are forgotten. */
export async function readTroubled(db: Database, now: Date, most: number): Promise<Troubled[]> {
  const { rows } = await sql<Troubled>`
    with forgotten as (
      delete from delivery_domain where refused_at < ${new Date(now.getTime() - FORGOTTEN_AFTER)})
    select domain, accepted_at as "acceptedAt" from delivery_domain
    order by refused_at desc, domain limit ${most}`.execute(db)
  return rows
}

/** What a step did. */
export interface Step {
  /** Messages that are due now. */
  hastened: number
  /** Nothing else waits for the domain, which so is forgotten. */
  isLast: boolean
}

/**
 * Brings forward the next messages that wait for a domain which has recovered. The first step is one message; the next
 * one follows when all of a step were tried. A refusal meanwhile ends it (`note`): the domain has to recover anew.
 *
 * @returns null when it has not recovered, when its last step is not done, or when another worker is at it
 */
export function hasten(db: Database, domain: string, now: Date): Promise<Step | null> {
  return db.transaction().execute(async (tx) => {
    const since = new Date(now.getTime() - RECOVERED_AFTER)
    const { rows } = await sql<Place>`
      select step, stepped_at, trial_ids, trial_attempts, place from delivery_domain
      where domain = ${domain} and accepted_at <= ${since} for update skip locked`.execute(tx)
    const [state] = rows
    if (!state || (await isUnderWay(tx, state, now))) return null
    const size = Math.min(LARGEST_STEP, Math.max(1, state.step * 2))
    const after = state.place && state.place > now ? state.place : now
    const { chosen, place } = await choose(tx, domain, after, now, size)
    const moved = await makeDue(tx, chosen, now)
    const isLast = place === null
    if (isLast) await sql`delete from delivery_domain where domain = ${domain}`.execute(tx)
    else {
      await sql`
        update delivery_domain set place = ${place}, step = ${moved.length > 0 ? size : state.step},
          stepped_at = ${now}, trial_ids = ${moved.map(({ id }) => id)}::bigint[],
          trial_attempts = ${moved.map(({ attempts }) => attempts)}::int[]
        where domain = ${domain}`.execute(tx)
    }
    return { hastened: moved.length, isLast }
  })
}

interface Place {
  step: number
  stepped_at: Date | null
  trial_ids: number[]
  trial_attempts: number[]
  place: Date | null
}

/** Whether some message of the last step was not tried yet. */
async function isUnderWay(tx: Tx, { stepped_at, trial_ids, trial_attempts }: Place, now: Date): Promise<boolean> {
  if (trial_ids.length === 0 || (stepped_at && now.getTime() - stepped_at.getTime() > STEP_PATIENCE)) return false
  const { rows } = await sql`
    select from unnest(${trial_ids.map(shardOfId)}::smallint[], ${trial_ids}::bigint[], ${trial_attempts}::int[])
      as trial(shard, id, attempts)
    join message m on m.shard = trial.shard and m.id = trial.id
    where m.attempts = trial.attempts and m.state in ('deferred', 'leased') and m.reason is distinct from 'held'
    limit 1`.execute(tx)
  return rows.length > 0
}

interface Candidate {
  id: number
  due_at: Date
  attempts: number
  /** The refusal that it waits for; null: it waits for something else, or for another domain. */
  reply: string | null
}

/**
 * The next messages for a domain that wait because of a refusal for now, in the order in which they are due. Walks the
 * indexes of the queue, so many rows of each at most. A full mailbox is not the domain's matter.
 *
 * @returns `place`: where to go on; null: everything was looked at
 */
async function choose(tx: Tx, domain: string, after: Date, now: Date, size: number) {
  const until = new Date(now.getTime() + LONGEST_WAIT)
  const window = sql<boolean>`due_at is not null and due_at > ${after} and due_at <= ${until}`
  const columns = sql.raw('id, due_at, attempts, state, reason, hastened_at, address, reply')
  const { rows } = await sql<Candidate>`
    select id, due_at, attempts, case when state = 'deferred' and reason is distinct from 'held'
      and hastened_at is null and reply ~ '^4[0-9][0-9]' and lower(split_part(address, '@', 2)) = ${domain}
      then reply end as reply
    from (
      (select waiting.* from unnest('{0,1}'::smallint[]) as wanted(priority) cross join lateral (
        select ${columns} from message where ${window} and campaign_id is null and priority = wanted.priority
        order by due_at limit ${LOOKED_AT}) waiting)
      union all
      (select waiting.* from campaign c cross join lateral (
        select ${columns} from message where ${window} and campaign_id = c.id
        order by due_at limit ${LOOKED_AT}) waiting
      where c.status = 'sending' and c.stopped_at is null)) as waiting
    order by due_at, id limit ${LOOKED_AT}`.execute(tx)
  const chosen: Candidate[] = []
  for (const row of rows) {
    if (chosen.length === size) return { chosen, place: before(row.due_at, chosen) }
    if (isMeant(row)) chosen.push(row)
  }
  const last = rows.at(-1)
  return { chosen, place: last && rows.length === LOOKED_AT ? atLeast(last.due_at, after) : null }
}

function isMeant({ reply }: Candidate): boolean {
  return reply !== null && waitClassOf({ phase: 'rcpt', code: Number(reply.slice(0, 3)), text: reply }) !== 'full'
}

/** What is due at the same moment as the last one chosen was not looked at as a whole. */
function before(next: Date, chosen: readonly Candidate[]): Date {
  const last = chosen.at(-1)!.due_at
  return next.getTime() === last.getTime() ? new Date(last.getTime() - 1) : last
}

/** Goes on, even where more messages than are looked at are due at one moment. */
const atLeast = (last: Date, after: Date) => new Date(Math.max(last.getTime() - 1, after.getTime() + 1))

async function makeDue(
  tx: Tx,
  chosen: readonly Candidate[],
  now: Date,
): Promise<Array<{ id: number; attempts: number }>> {
  if (chosen.length === 0) return []
  const ids = chosen.map(({ id }) => id)
  const { rows } = await sql<{ id: number; attempts: number }>`
    update message m set due_at = ${now}, hastened_at = ${now}
    from unnest(${ids.map(shardOfId)}::smallint[], ${ids}::bigint[]) as chosen(shard, id)
    where m.shard = chosen.shard and m.id = chosen.id and m.state = 'deferred' and m.hastened_at is null
      and m.due_at > ${now}
    returning m.id, m.attempts`.execute(tx)
  return rows
}
