import { sql } from 'kysely'
import type { MessageKind } from '../consent/decide.ts'
import type { Database, Queryable } from '../platform/database.ts'
import { type Profiles, retrying } from '../profiles/door.ts'
import { type NewSignal, signalInsert } from '../signals/emit.ts'
import { type BatchBook, forgetting, unlisting } from './batches.ts'
import { HELD } from './holds.ts'
import type { DeliveryMetrics } from './metrics.ts'
import type { Consequence } from './outcome.ts'
import { settlement } from './queue.ts'
import type { DeliveryReport } from './report.ts'

/** A settled message with what its signal needs. */
export interface Settled extends Consequence {
  /** The worker that holds it. */
  worker: number
  profileId: number
  /** Null for campaigns. */
  templateId: number | null
  kind: MessageKind
  /** When it was to go out first. */
  since: Date
}

export interface SettleParts {
  db: Database
  profiles: Profiles
  book: Pick<BatchBook, 'takeEmpty'>
  metrics: DeliveryMetrics
  report: DeliveryReport
}

/**
 * Writes what became of messages, the signals that follow, and what was learnt about addresses, all of it or nothing.
 * A message that its worker no longer holds changes nothing. Lists that have become empty are forgotten on the way.
 */
export async function settleAll(parts: SettleParts, batch: readonly Settled[], now: Date): Promise<null[]> {
  // A worker that once lost an answer has several numbers for a while.
  for (const [worker, some] of Map.groupBy(batch, (one) => one.worker)) await settleFor(parts, worker, some, now)
  return batch.map(() => null)
}

async function settleFor(
  { db, profiles, book, metrics, report }: SettleParts,
  worker: number,
  batch: readonly Settled[],
  now: Date,
): Promise<void> {
  const statement = statementFor(worker, batch, book.takeEmpty(), now)
  const write = async (q: Queryable) => new Set((await statement.execute(q)).rows.map((row) => row.id))
  const held = batch.every(({ change }) => change === null)
    ? await write(db)
    : await retrying(() =>
        db.transaction().execute(async (tx) => {
          const held = await write(tx)
          const changes = batch.flatMap(({ change, settlement: { id } }) => (change && held.has(id) ? [change] : []))
          await profiles.changeIn(tx, changes)
          return held
        }),
      )
  for (const { settlement, kind, since, alarm } of batch) {
    if (!held.has(settlement.id)) continue
    metrics.settled(kind, settlement.reason === HELD ? HELD : settlement.state, now.getTime() - since.getTime())
    if (alarm) report.problem(alarm, settlement.id, settlement.reply)
  }
}

/** One statement for all of it; signals are for those messages only that were still held. */
function statementFor(worker: number, batch: readonly Settled[], empty: readonly number[], now: Date) {
  const settle = settlement(
    worker,
    batch.map((one) => one.settlement),
    now,
  )
  const waiting = batch.flatMap(({ settlement: { id, state } }) => (WAITS_AGAIN.has(state) ? [id] : []))
  const signals = batch.flatMap((one) => sentSignal(one, now))
  const parts = [sql`settled as (${settle})`]
  if (waiting.length > 0) parts.push(sql`unlisted as (${unlisting(worker, waiting)})`)
  if (empty.length > 0) parts.push(sql`forgotten as (${forgetting(empty)})`)
  if (signals.length > 0) {
    parts.push(
      sql`told as (${signalInsert(signals, sql<boolean>`s.dedupe_key in (select 'sent:' || id from settled)`)})`,
    )
  }
  return sql<{ id: number }>`with ${sql.join(parts)} select id from settled`
}

/** States from which a message may be claimed again. */
const WAITS_AGAIN: ReadonlySet<string> = new Set(['deferred', 'in_doubt'])

/** Flows follow messages made of templates. */
function sentSignal({ settlement: { id, state }, profileId, templateId }: Settled, now: Date): NewSignal[] {
  if (state !== 'sent' || templateId === null) return []
  return [
    {
      profileId,
      type: 'email_sent',
      key: String(templateId),
      payload: { messageId: id, templateId },
      source: 'system',
      evidence: 0,
      cause: null,
      // Nobody decided anything by getting a mail.
      asOf: 0,
      occurredAt: now,
      dedupeKey: `sent:${id}`,
    },
  ]
}
