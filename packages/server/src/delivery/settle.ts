import type { Database } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import { type Profiles, retrying } from '../profiles/door.ts'
import { emitSignals } from '../signals/emit.ts'
import type { Consequence } from './outcome.ts'
import { settle } from './queue.ts'

/** A settled message with what its signal needs. */
export interface Settled extends Consequence {
  profileId: number
  /** Null for campaigns. */
  templateId: number | null
}

/**
 * Writes what became of messages, what that taught about addresses, and the signals that follow, in one transaction.
 * A message that this worker no longer holds changes nothing.
 */
export async function settleAll(
  parts: { db: Database; profiles: Profiles; log: Log; owner: string },
  batch: readonly Settled[],
  now: Date,
): Promise<null[]> {
  const { db, profiles, log, owner } = parts
  await retrying(() =>
    db.transaction().execute(async (tx) => {
      const held = await settle(
        tx,
        owner,
        batch.map((one) => one.settlement),
        now,
      )
      const mine = batch.filter((one) => held.has(one.settlement.id))
      const changes = mine.flatMap(({ change }) => (change ? [change] : []))
      if (changes.length > 0) await profiles.changeIn(tx, changes)
      const sent = mine.filter(({ settlement }) => settlement.state === 'sent')
      await emitSignals(
        tx,
        sent.flatMap(({ settlement, profileId, templateId }) =>
          templateId === null
            ? []
            : {
                profileId,
                type: 'email_sent',
                key: String(templateId),
                payload: { messageId: settlement.id, templateId },
                source: 'system',
                evidence: 0,
                cause: null,
                occurredAt: now,
                dedupeKey: `sent:${settlement.id}`,
              },
        ),
      )
    }),
  )
  for (const { alarm, settlement } of batch) {
    if (alarm)
      log.warn({ message: settlement.id, class: alarm, reply: settlement.reply }, 'the relay refused a message')
  }
  return batch.map(() => null)
}
