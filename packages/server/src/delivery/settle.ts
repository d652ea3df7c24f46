import { sql } from 'kysely'
import type { MessageKind } from '../consent/decide.ts'
import type { Database, Queryable } from '../platform/database.ts'
import { type Profiles, retrying } from '../profiles/door.ts'
import { type NewSignal, signalInsert } from '../signals/emit.ts'
import { HELD } from './holds.ts'
import type { DeliveryMetrics } from './metrics.ts'
import type { Consequence } from './outcome.ts'
import { settlement } from './queue.ts'
import type { DeliveryReport } from './report.ts'

/** A settled message with what its signal needs. */
export interface Settled extends Consequence {
  profileId: number
  /** Null for campaigns. */
  templateId: number | null
  kind: MessageKind
  /** When it was to go out first. */
  since: Date
}

/**
 * Writes what became of messages, the signals that follow, and what was learnt about addresses, all of it or nothing.
 * A message that this worker no longer holds changes nothing.
 */
export async function settleAll(
  parts: { db: Database; profiles: Profiles; owner: string; metrics: DeliveryMetrics; report: DeliveryReport },
  batch: readonly Settled[],
  now: Date,
): Promise<null[]> {
  const { db, profiles, owner, metrics, report } = parts
  const statement = statementFor(owner, batch, now)
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
  return batch.map(() => null)
}

/** One statement for both: signals are for those messages only that were still held. */
function statementFor(owner: string, batch: readonly Settled[], now: Date) {
  const settle = settlement(
    owner,
    batch.map((one) => one.settlement),
    now,
  )
  const signals = batch.flatMap((one) => sentSignal(one, now))
  if (signals.length === 0) return settle
  const told = signalInsert(signals, sql<boolean>`s.dedupe_key in (select 'sent:' || id from settled)`)
  return sql<{ id: number }>`with settled as (${settle}), told as (${told}) select id from settled`
}

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
      occurredAt: now,
      dedupeKey: `sent:${id}`,
    },
  ]
}
