import { sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import { idsOf } from '../profiles/moved.ts'
import type { EnqueueOutcome, EnqueueRequest } from './enqueue.ts'

/** A guard against writing too often: one message of this template to this person under this name in a span. */
export interface SendLimit {
  name: string
  /** Length of the span in ms. */
  within: number
  /** A second one is refused, or replaces the content of the one that still waits. */
  conflict: 'fail' | 'update'
}

/**
 * Looks at the requests that carry a guard, one after the other, and fills in the outcome of those that meet it. Two
 * callers with the same guard wait for each other until their transactions end.
 */
export async function applyLimits(
  q: Queryable,
  requests: readonly EnqueueRequest[],
  outcomes: Array<EnqueueOutcome | null>,
  now: Date,
): Promise<void> {
  const seen = new Set<string>()
  for (const [index, request] of requests.entries()) {
    const { limit, profileId, template } = request
    if (!limit || outcomes[index] !== null) continue
    const key = `${profileId}:${template.id}:${limit.name}`
    await sql`select pg_advisory_xact_lock(hashtextextended(${`limit:${key}`}, 0))`.execute(q)
    const earlier = seen.has(key) ? 'this call' : await findEarlier(q, request, limit, now)
    seen.add(key)
    if (earlier === null) continue
    const replaced = limit.conflict === 'update' && earlier !== 'this call' && (await replace(q, earlier, request, now))
    outcomes[index] = replaced
      ? { ok: true, messageId: earlier, duplicate: true }
      : { ok: false, code: 99, reason: 'limit' }
  }
}

async function findEarlier(q: Queryable, request: EnqueueRequest, limit: SendLimit, now: Date): Promise<number | null> {
  const { rows } = await sql<{ id: number }>`
    select m.id
    from ${idsOf(request.profileId)} whose join message m on m.shard = whose.shard and m.profile_id = whose.id
    where template_id = ${request.template.id} and limit_name = ${limit.name}
      and coalesce(scheduled_for, created_at) > ${new Date(now.getTime() - limit.within)}
      and state not in ('suppressed', 'cancelled', 'failed')
    order by m.id desc limit 1`.execute(q)
  return rows[0]?.id ?? null
}

/** False when the message is already on its way. */
async function replace(q: Queryable, messageId: number, request: EnqueueRequest, now: Date): Promise<boolean> {
  const { numAffectedRows } = await sql`
    update message set vars = ${JSON.stringify(request.vars)}, options = ${JSON.stringify(request.options)},
      revision_id = ${request.scheduledFor ? null : request.template.revisionId},
      scheduled_for = ${request.scheduledFor ?? null}, due_at = ${request.scheduledFor ?? now}
    where shard = ${shardOfId(messageId)} and id = ${messageId} and state = 'queued'`.execute(q)
  return numAffectedRows === 1n
}
