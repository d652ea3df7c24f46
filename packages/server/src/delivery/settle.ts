import { sql } from 'kysely'
import type { Database } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import { type Profiles, retrying } from '../profiles/door.ts'
import { type NewSignal, signalInsert } from '../signals/emit.ts'
import type { Consequence } from './outcome.ts'
import { settlement } from './queue.ts'

/** A settled message with what its signal needs. */
export interface Settled extends Consequence {
  profileId: number
  /** Null for campaigns. */
  templateId: number | null
}

/**
 * Writes what became of messages, the signals that follow, and what was learnt about addresses, all of it or nothing.
 * A message that this worker no longer holds changes nothing.
 */
export async function settleAll(
  parts: { db: Database; profiles: Profiles; log: Log; owner: string },
  batch: readonly Settled[],
  now: Date,
): Promise<null[]> {
  const { db, profiles, log, owner } = parts
  const statement = statementFor(owner, batch, now)
  if (batch.every(({ change }) => change === null)) {
    await statement.execute(db)
  } else {
    await retrying(() =>
      db.transaction().execute(async (tx) => {
        const held = new Set((await statement.execute(tx)).rows.map((row) => row.id))
        const changes = batch.flatMap(({ change, settlement: { id } }) => (change && held.has(id) ? [change] : []))
        await profiles.changeIn(tx, changes)
      }),
    )
  }
  for (const { alarm, settlement } of batch) {
    if (alarm)
      log.warn({ message: settlement.id, class: alarm, reply: settlement.reply }, 'the relay refused a message')
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
