import { sql } from 'kysely'
import type { LinkActs } from '../links/link-parameters.ts'
import type { Database } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import { isCollision, isRolledBack } from '../platform/rolled-back.ts'
import { shardOfId } from '../platform/shard.ts'
import { isMachine } from './machine.ts'
import './tables.ts'

/** Something that was seen at the door, before anybody knows more of the message than its id. */
export interface Seen {
  messageId: number
  type: 'open' | 'click'
  link: number | null
  url: string | null
  /** Points of the request (`scoreOf`). */
  score: number
  at: Date
  /** To be done once it is certain that a person clicked. */
  acts: LinkActs | null
}

/**
 * Keeps what is seen until it is written, in batches. Nobody waits for it: a redirect that waited for the database
 * would make people wait. So what was seen in the last moment is lost with a process that is killed, and past a bound
 * also while the database is away.
 */
export interface Recorder {
  record(seen: Seen): void
  /** Writes what is there now; resolves when it is written, or could not be. */
  flush(): Promise<void>
  /** Writes the rest, once. */
  close(): Promise<void>
}

/** Written this long after it was seen at the latest, while the database answers, in ms. */
const LATEST = 500
const BATCH = 1_000
/** More are not held: 20 MB or so. */
const MOST = 50_000
const RETRY = 1_000
const WARN_EVERY = 60_000
/** Clicks that ask for changes are looked at again after this long, in ms. */
export const ACT_AFTER = 600_000

interface Waiting extends Seen {
  /** Given once, so that writing twice writes once. */
  number: number | null
}

export function createRecorder(parts: { db: Database; log: Log; metrics: Metrics }): Recorder {
  const { db, log, metrics } = parts
  const counted = metrics.counter('fairlead_activity_total', 'Opens and clicks that were seen', ['type'])
  const lost = metrics.counter('fairlead_activity_lost_total', 'Opens and clicks that could not be kept').of()
  metrics.gauge('fairlead_activity_waiting', 'Opens and clicks not written yet', [], () => [[[], waiting.length]])
  let waiting: Waiting[] = []
  let atOnce = BATCH
  let timer: NodeJS.Timeout | null = null
  let writing: Promise<void> | null = null
  let warnedAt = Number.NEGATIVE_INFINITY

  function schedule(after: number): void {
    timer ??= setTimeout(() => {
      timer = null
      void flush()
    }, after)
    timer.unref()
  }

  /** One at a time: what comes meanwhile goes with the next. */
  function flush(): Promise<void> {
    writing ??= writeAll().finally(() => {
      writing = null
    })
    return writing
  }

  async function writeAll(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, atOnce)
      try {
        await write(db, batch)
      } catch (error) {
        const isRefused = isRolledBack(error) && !isCollision(error)
        if (isRefused && batch.length > 1) {
          // One of them is refused: they go on in halves, until it is alone.
          atOnce = Math.ceil(batch.length / 2)
          continue
        }
        if (!isRefused) {
          warn(error)
          return schedule(RETRY)
        }
        drop(1, error)
      }
      waiting = waiting.slice(batch.length)
      atOnce = Math.min(atOnce * 2, BATCH)
    }
  }

  function drop(count: number, error: unknown): void {
    lost.value += count
    warn(error)
  }

  function warn(error: unknown): void {
    if (performance.now() - warnedAt < WARN_EVERY) return
    warnedAt = performance.now()
    log.warn({ err: error, waiting: waiting.length, lost: lost.value }, 'opens and clicks cannot be written')
  }

  return {
    record(seen) {
      counted.of(seen.type).value += 1
      if (waiting.length >= MOST) return drop(1, new Error('too many opens and clicks wait for the database'))
      waiting.push({ ...seen, number: null })
      if (waiting.length >= BATCH) void flush()
      else schedule(LATEST)
    },
    flush,
    async close() {
      await writing
      if (timer) clearTimeout(timer)
      await flush()
      if (timer) clearTimeout(timer)
    },
  }
}

interface Context {
  profile_id: number
  campaign_id: number | null
  sent_at: Date | null
  refuses_pixels: boolean
}

/** Writes events. Those of messages that are gone, or of people who were erased or refuse pixels, leave no trace. */
async function write(db: Database, batch: readonly Waiting[]): Promise<void> {
  const unnumbered = batch.filter((one) => one.number === null)
  const [contexts] = await Promise.all([loadContexts(db, batch), giveNumbers(db, unnumbered)])
  const events = batch.flatMap((seen) => {
    const context = contexts.get(seen.messageId)
    if (!context || (seen.type === 'open' && context.refuses_pixels)) return []
    const shard = shardOfId(seen.messageId)
    const id = seen.number! * 64 + shard
    return [{ ...seen, ...context, shard, id, machine: isMachine(seen.type, seen.score, seen.at, context.sent_at) }]
  })
  if (events.length === 0) return
  const column = <T>(read: (event: (typeof events)[number]) => T) => events.map(read)
  await sql`
    with seen as (
      select * from unnest(${column((e) => e.shard)}::smallint[], ${column((e) => e.id)}::bigint[],
        ${column((e) => e.messageId)}::bigint[], ${column((e) => e.campaign_id)}::int[],
        ${column((e) => e.profile_id)}::bigint[], ${column((e) => e.type)}::text[], ${column((e) => e.url)}::text[],
        ${column((e) => (e.link !== null && e.link > 32_767 ? null : e.link))}::smallint[],
        ${column((e) => e.machine)}::boolean[], ${column((e) => e.at)}::timestamptz[],
        ${column((e) => e.acts && JSON.stringify(e.acts))}::json[])
        as s(shard, id, message_id, campaign_id, profile_id, type, url, link, machine, at, acts)
    ), acting as (
      insert into link_act (shard, id, message_id, profile_id, acts, clicked_at, due_at)
      select shard, id, message_id, profile_id, acts, at, at + ${ACT_AFTER} * interval '1 millisecond'
      from seen where acts is not null and not machine
      on conflict do nothing
    )
    insert into message_event (shard, id, message_id, campaign_id, profile_id, type, url, link, machine, at)
    select shard, id, message_id, campaign_id, profile_id, type, url, link, machine, at from seen
    on conflict do nothing`.execute(db)
}

async function giveNumbers(db: Database, events: readonly Waiting[]): Promise<void> {
  if (events.length === 0) return
  const { rows } = await sql<{ n: number }>`
    select nextval('message_event_number') as n from generate_series(1, ${events.length}::int)`.execute(db)
  for (const [index, event] of events.entries()) event.number = rows[index]!.n
}

async function loadContexts(db: Database, batch: readonly Seen[]): Promise<Map<number, Context>> {
  const ids = [...new Set(batch.map((one) => one.messageId))]
  const { rows } = await sql<Context & { id: number }>`
    select m.id, m.profile_id, m.campaign_id, m.sent_at, p.pixel_consent is not distinct from 'opt-out' as refuses_pixels
    from unnest(${ids.map(shardOfId)}::smallint[], ${ids}::bigint[]) as w(shard, id)
    join message m using (shard, id)
    left join profile p on p.shard = m.shard and p.id = m.profile_id
    where m.address <> ''`.execute(db)
  return new Map(rows.map((row) => [row.id, row]))
}
