import { sql } from 'kysely'
import type { Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'

/**
 * Takes back the reminders of a cart that are not yet on their way: whatever a shop reports next about a person, the
 * cart they speak of is no longer the one that lies there. Receipts are never scheduled, so they stay.
 */
export async function cancelReminders(tx: Tx, profileId: number, now: Date): Promise<void> {
  await sql`
    update message set state = 'cancelled', due_at = null, reason = 'cart changed', settled_at = ${now}
    where shard = ${shardOfId(profileId)} and profile_id = ${profileId} and origin = 'purchase'
      and scheduled_for is not null and state = 'queued'`.execute(tx)
}
