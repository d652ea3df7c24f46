import { setTimeout as sleep } from 'node:timers/promises'
import { type RawBuilder, sql } from 'kysely'
import type { Clock } from '../platform/clock.ts'
import type { Database, Queryable } from '../platform/database.ts'
import type { Family } from '../platform/metrics.ts'
import { HELD_MESSAGES } from './batches.ts'
import { countOrphans, nextLook } from './orphans.ts'

/**
 * Where waiting messages stand. Beside the states of a message: `scheduled`, queued for a later time; `paused`, of a
 * campaign that stands still; `held`, kept back by an operator.
 */
export type Standing = 'scheduled' | 'queued' | 'paused' | 'held' | 'deferred' | 'leased' | 'attempting' | 'in_doubt'

export const STANDINGS: readonly Standing[] = [
  'scheduled',
  'queued',
  'paused',
  'held',
  'deferred',
  'leased',
  'attempting',
  'in_doubt',
]

export type QueueKind = 'triggered' | 'campaign'
const KINDS: readonly QueueKind[] = ['triggered', 'campaign']

/** Messages of one kind that stand alike. */
export interface DepthRow {
  standing: Standing
  kind: QueueKind
  count: number
  /** When the oldest of them was to go out first. */
  oldest: Date
}

/**
 * Counts what has not come to an end, along the indexes that hold nothing else: the cost follows what waits, not what
 * was ever sent.
 */
export async function readDepth(q: Queryable, now: Date): Promise<DepthRow[]> {
  const { rows } = await depthQuery(now).execute(q)
  const place = (row: DepthRow) => STANDINGS.indexOf(row.standing) * 2 + KINDS.indexOf(row.kind)
  return rows.sort((a, b) => place(a) - place(b))
}

/** The statement that counts. */
export function depthQuery(now: Date): RawBuilder<DepthRow> {
  const facts = sql.raw('campaign_id, reason, due_at, coalesce(scheduled_for, created_at) as since')
  return sql<DepthRow>`
    with standing as (
      select campaign_id, since,
        case when state = 'deferred' and reason = 'held' then 'held'
          when state = 'queued' and due_at > ${now} and since > ${now} then 'scheduled' else state end as standing
      from (
        select state, ${facts} from message where due_at is not null and campaign_id is null
        union all
        select state, ${facts} from message where due_at is not null and campaign_id is not null
        union all
        select case when is_attempting then 'attempting' else 'leased' end, ${facts} from ${HELD_MESSAGES} held) waiting
    ), counted as (
      select campaign_id, standing, count(*) as count, min(since) as oldest from standing group by 1, 2)
    select case when campaign.status = 'paused' and standing in ('queued', 'deferred') then 'paused' else standing end
        as standing,
      case when campaign_id is null then 'triggered' else 'campaign' end as kind,
      sum(count)::bigint as count, min(oldest) as oldest
    from counted left join campaign on campaign.id = counted.campaign_id
    group by 1, 2`
}

/** Messages by standing, for those who look again and again. */
export interface DepthGauge {
  /** Never waits long: what was counted last, while a count takes its time; empty before there is any. */
  families(): Promise<Family[]>
}

/** A count is good for this long, in ms … */
const FRESH = 5_000
/** … or for so many times as long as it took: counting takes a twentieth of one processor at most. */
const RESTS = 20
/** Longest that a look waits for a new count, in ms. */
const PATIENCE = 2_000

export function createDepthGauge(db: Database, clock: Clock): DepthGauge {
  let counted: { rows: DepthRow[]; orphans: number; at: Date } | null = null
  let isUp = true
  let goodUntil = 0
  let underWay: Promise<void> | null = null

  async function count(): Promise<void> {
    const began = performance.now()
    const at = clock.now()
    try {
      const [rows, orphans] = await Promise.all([
        readDepth(db, at),
        nextLook(db).then((look) => countOrphans(db, look)),
      ])
      counted = { rows, orphans, at }
      isUp = true
    } catch {
      isUp = false
    }
    const ended = performance.now()
    goodUntil = ended + (isUp ? Math.max(FRESH, (ended - began) * RESTS) : 0)
  }

  return {
    async families() {
      if (performance.now() > goodUntil) {
        underWay ??= count().finally(() => {
          underWay = null
        })
        const timer = new AbortController()
        await Promise.race([underWay, sleep(PATIENCE, null, { signal: timer.signal }).catch(() => {})])
        timer.abort()
      }
      return [
        gauge('fairlead_database_up', 'Whether the database answered the last count', [[[], isUp ? 1 : 0]]),
      ].concat(counted ? [...describe(counted.rows, counted.at, clock.now()), orphaned(counted.orphans)] : [])
    },
  }
}

function describe(rows: readonly DepthRow[], at: Date, now: Date): Family[] {
  const found = new Map(rows.map((row) => [`${row.standing} ${row.kind}`, row]))
  // A combination that is empty says 0: a figure that vanishes cannot be watched.
  const all = KINDS.flatMap((kind) => STANDINGS.map((standing) => ({ kind, standing })))
  const of = (read: (row: DepthRow | undefined) => number) =>
    all.map(({ kind, standing }) => [[standing, kind], read(found.get(`${standing} ${kind}`))] as const)
  const age = (oldest: Date) => Math.max(0, (now.getTime() - oldest.getTime()) / 1_000)
  return [
    gauge(
      'fairlead_queue_messages',
      'Messages that have not come to an end',
      of((row) => row?.count ?? 0),
      ['state', 'kind'],
    ),
    gauge(
      'fairlead_queue_oldest_seconds',
      'Age of the oldest of them, from when it was to go out first',
      of((row) => (row ? age(row.oldest) : 0)),
      ['state', 'kind'],
    ),
    gauge('fairlead_queue_counted_timestamp_seconds', 'When the queue was counted, as Unix time', [
      [[], at.getTime() / 1_000],
    ]),
  ]
}

const orphaned = (count: number) =>
  gauge('fairlead_queue_orphans', 'Messages that are held and on no list of a worker: at the last look', [[[], count]])

function gauge(
  name: string,
  help: string,
  readings: ReadonlyArray<readonly [readonly string[], number]>,
  labels: readonly string[] = [],
): Family {
  return { name, help, type: 'gauge', labels, samples: readings.map(([values, value]) => ({ values, value })) }
}
