import { sql } from 'kysely'
import type { Signal } from '../flows/cause.ts'
import type { Definitions } from '../flows/definitions.ts'
import { isPassing } from '../flows/failures.ts'
import { matchSignals } from '../flows/match.ts'
import { endExits, findEncounters, loadPresences, writeMatches } from '../flows/match-store.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database, Tx } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import { SHARDS, shardOfId } from '../platform/shard.ts'
import type { Evidence } from '../profiles/change.ts'
import type { Settings, SettingsCache } from '../settings/settings.ts'
import type { SignalTable } from './emit.ts'

export interface DispatchParts {
  db: Database
  clock: Clock
  log: Log
  settings: SettingsCache
  definitions: Definitions
  /** What else signals lead to, beside flows. */
  reactions: readonly Reaction[]
  /** Where to count; unset: nowhere. */
  metrics?: Metrics
}

/** Writes what signals call for, in the dispatcher's transaction: once for each signal, or not at all. */
export type Reaction = (tx: Tx, signals: readonly Signal[], env: { now: Date; settings: Settings }) => Promise<void>

/** Hands signals on to those who wait for them. */
export interface Dispatcher {
  /** Takes one batch of signals. Returns how many were dealt with; 0: there is nothing to do now. */
  dispatchOnce(): Promise<number>
}

/** Shards taken at once, and signals from each. */
const SHARDS_AT_ONCE = 16
const SIGNALS_AT_ONCE = 64
/** First half of the key of the advisory locks; the shard is the other. */
const LOCK_CLASS = 7_145_011
/** Failures after which a signal is set aside for good. */
const MOST_FAILURES = 10

/**
 * The dispatcher. A shard is in the hands of one dispatcher at a time, so the signals of a person are dealt with in
 * the order in which they were committed, by however many workers. Everything a batch leads to (matches, runs,
 * postbacks) and the removal of its signals is one transaction: a signal has its consequences exactly once. If the
 * batch fails, each signal is tried by itself, so that a bad one cannot hold up its neighbours.
 */
export function createDispatcher(parts: DispatchParts): Dispatcher {
  const { db, clock, log, settings, definitions, reactions, metrics } = parts
  const counted = metrics?.counter('fairlead_signals_total', 'Facts that flows and postbacks were told of', ['type'])
  let offset = 0

  async function handle(tx: Tx, signals: readonly Signal[], env: { now: Date; settings: Settings }): Promise<void> {
    const encounters = await findEncounters(tx, definitions, signals)
    const matched = matchSignals(encounters, await loadPresences(tx, encounters, env.now))
    await endExits(tx, matched.exits, env.now)
    await writeMatches(tx, matched.matches, matched.presences, env.now)
    for (const react of reactions) await react(tx, signals, env)
    await sql`delete from signal using unnest(${signals.map((s) => shardOfId(s.id))}::smallint[],
      ${signals.map((s) => s.id)}::bigint[]) as done(shard, id)
      where signal.shard = done.shard and signal.id = done.id`.execute(tx)
  }

  /** Deals with what it finds in up to `count` shards; `only`: with this one signal, if it is still there. */
  async function takeBatch(shards: readonly number[], only: Signal | null): Promise<Signal[]> {
    const env = { now: clock.now(), settings: await settings.get() }
    let taken: Signal[] = []
    try {
      await db.transaction().execute(async (tx) => {
        // The shards are locked first, by a statement of its own: the next one then sees what their last holder did.
        const held = await lockShards(tx, shards)
        taken = await readSignals(tx, held, env.now, only)
        if (taken.length > 0) await handle(tx, taken, env)
      })
    } catch (error) {
      if (taken.length === 0) throw error
      throw new BatchFailure(taken, error)
    }
    if (counted) for (const { type } of taken) counted.of(type).value += 1
    return taken
  }

  async function setAside(signal: Signal, error: unknown): Promise<void> {
    const now = clock.now()
    const { rows } = await sql<{ attempts: number }>`
      update signal set attempts = attempts + 1, retry_at = case when attempts + 1 >= ${MOST_FAILURES} then 'infinity'
        else ${now}::timestamptz + power(2, attempts) * interval '1 second' end
      where shard = ${shardOfId(signal.id)} and id = ${signal.id} returning attempts`.execute(db)
    const attempts = rows[0]?.attempts
    const final = attempts !== undefined && attempts >= MOST_FAILURES
    log.error({ err: error, signal: signal.id, attempts }, final ? 'a signal was set aside' : 'a signal failed')
  }

  async function oneByOne(signals: readonly Signal[]): Promise<void> {
    for (const signal of signals) {
      try {
        await takeBatch([shardOfId(signal.id)], signal)
      } catch (error) {
        const cause = error instanceof BatchFailure ? error.cause : error
        if (isPassing(cause)) throw cause
        await setAside(signal, cause)
      }
    }
  }

  return {
    async dispatchOnce() {
      const now = clock.now()
      const { rows } = await sql<{ shard: number }>`
        select shard from generate_series(0, ${SHARDS - 1}) as s(shard)
        where exists (select from signal where signal.shard = s.shard and (retry_at is null or retry_at <= ${now}))
        order by (shard + ${offset}) % ${SHARDS} limit ${SHARDS_AT_ONCE}`.execute(db)
      if (rows.length === 0) return 0
      offset = (offset + SHARDS_AT_ONCE) % SHARDS
      try {
        return (
          await takeBatch(
            rows.map(({ shard }) => shard),
            null,
          )
        ).length
      } catch (error) {
        if (!(error instanceof BatchFailure)) throw error
        if (isPassing(error.cause)) throw error.cause
        await oneByOne(error.signals)
        return error.signals.length
      }
    },
  }
}

class BatchFailure extends Error {
  signals: readonly Signal[]
  constructor(signals: readonly Signal[], cause: unknown) {
    super('a batch of signals failed', { cause })
    this.signals = signals
  }
}

async function lockShards(tx: Tx, shards: readonly number[]): Promise<number[]> {
  const { rows } = await sql<{ shard: number }>`
    select shard from unnest(${shards}::int[]) as s(shard)
    where pg_try_advisory_xact_lock(${LOCK_CLASS}, shard)`.execute(tx)
  return rows.map(({ shard }) => shard)
}

async function readSignals(tx: Tx, shards: readonly number[], now: Date, only: Signal | null): Promise<Signal[]> {
  if (shards.length === 0) return []
  const { rows } = await sql<SignalTable>`
    select s.*, coalesce(v.profile_id, s.profile_id) as profile_id from unnest(${shards}::smallint[]) as held(shard)
    cross join lateral (
      select * from signal where signal.shard = held.shard and (retry_at is null or retry_at <= ${now})
        ${only ? sql`and id = ${only.id}` : sql``}
      order by id limit ${SIGNALS_AT_ONCE}) s
    left join profile_moved v on v.shard = s.shard and v.id = s.profile_id
    order by s.id`.execute(tx)
  return rows.map((row) => ({
    // Of the person, or of the survivor of their merge: what the signal leads to is theirs.
    shard: shardOfId(row.profile_id),
    id: row.id,
    profileId: row.profile_id,
    type: row.type,
    key: row.key,
    payload: row.payload,
    source: row.source as Signal['source'],
    evidence: (row.evidence ?? 0) as Evidence,
    cause: row.cause,
    asOf: row.as_of,
    occurredAt: row.occurred_at,
  }))
}
