import { sql } from 'kysely'
import { decide, type RefusalReason } from '../consent/decide.ts'
import { loadReachability } from '../consent/recipients.ts'
import { shardOfId } from '../platform/shard.ts'
import { parseAddress } from '../profiles/address.ts'
import { PRIORITY } from '../sends/enqueue.ts'
import { readPeople } from './audience.ts'
import type { CampaignParts } from './campaigns.ts'
import { freeze } from './freeze.ts'
import type { Campaign } from './read.ts'

export type TestOutcome = { ok: true } | { ok: false; code: number; reason: RefusalReason | 'key_conflict' }

const ANYBODY = { suppressIds: [], previousId: null, criterion: null }

/**
 * Queues the campaign's content, and that of each variant, to one address. It belongs to no audience and no statistics,
 * and goes at once like a triggered message; but who may not get the campaign may not get its test either.
 */
export async function sendTest(
  { db, clock, profiles, wakeDelivery }: Pick<CampaignParts, 'db' | 'clock' | 'profiles' | 'wakeDelivery'>,
  campaign: Campaign,
  email: string,
  by: string | null,
): Promise<TestOutcome> {
  const address = parseAddress(email)?.display ?? ''
  const act = { via: 'api' as const, evidence: 0 as const, actor: by ?? undefined }
  const made = await profiles.change({ person: { kind: 'email', value: email }, act })
  if (!made.ok) {
    return made.problem === 'invalid_email'
      ? { ok: false, code: 11, reason: 'invalid_email' }
      : { ok: false, code: 99, reason: 'key_conflict' }
  }
  const { profileId } = made
  const now = clock.now()
  const outcome = await db.transaction().execute(async (tx): Promise<TestOutcome> => {
    const [person] = await readPeople(tx, [profileId], ANYBODY)
    const [recipient] = await loadReachability(tx, [{ address, level: person?.level ?? 0 }])
    const decision = decide(recipient!, 'campaign')
    if (!decision.allowed) return { ok: false, code: decision.code, reason: decision.reason }
    const revisions = await freeze(tx, campaign, now)
    await sql`
      insert into message (shard, id, profile_id, revision_id, kind, origin, address, vars, options, priority, state,
        due_at, created_at)
      select ${shardOfId(profileId)}, nextval('message_number') * 64 + ${shardOfId(profileId)}, ${profileId},
        r.id, 'campaign', 'campaign', ${address}, ${JSON.stringify(campaign.content.test_vars)}::json, '{"test":true}'::json,
        ${PRIORITY.triggered}, 'queued', ${now}, ${now}
      from unnest(${revisions}::int[]) as r(id)`.execute(tx)
    return { ok: true }
  })
  if (outcome.ok) wakeDelivery()
  return outcome
}
