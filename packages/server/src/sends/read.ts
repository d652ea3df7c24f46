import { sql } from 'kysely'
import type { Clock } from '../platform/clock.ts'
import type { Database, Queryable } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import { idsOf } from '../profiles/moved.ts'
import type { MessageState } from './message-table.ts'

/** A message as its sender may ask about it. */
export interface SendRecord {
  messageId: number
  profileId: number
  address: string
  template: string
  state: MessageState
  scheduledFor: Date | null
  createdAt: Date
  sentAt: Date | null
  /** When a person, no machine, first opened it and first followed a link of it. */
  openedAt: Date | null
  clickedAt: Date | null
  /** Why it ended as it did; null while it is on its way or when it was sent. */
  reason: string | null
  dataFeedUrl: string | null
}

/** Send ids older than this are unknown, in ms. */
const REMEMBERED = 90 * 86_400_000

const RECORD = sql.raw(`m.id as "messageId", m.profile_id as "profileId", m.address, t.name as template, m.state,
  m.scheduled_for as "scheduledFor", m.created_at as "createdAt", m.sent_at as "sentAt", m.reason,
  (select min(e.at) from message_event e where e.shard = m.shard and e.message_id = m.id and e.type = 'open'
    and not e.machine) as "openedAt",
  (select min(e.at) from message_event e where e.shard = m.shard and e.message_id = m.id and e.type = 'click'
    and not e.machine) as "clickedAt",
  m.options->>'data_feed_url' as "dataFeedUrl"`)

/** Null when there is no such message, or when it is older than 90 days. */
export async function readSend(q: Queryable, messageId: number, now: Date): Promise<SendRecord | null> {
  const { rows } = await sql<SendRecord>`
    select ${RECORD} from message m join template t on t.id = m.template_id
    where m.shard = ${shardOfId(messageId)} and m.id = ${messageId}
      and coalesce(m.scheduled_for, m.created_at) > ${new Date(now.getTime() - REMEMBERED)}`.execute(q)
  return rows[0] ?? null
}

/** The newest messages to a person, those that went out and those that wait, newest first. */
export async function recentSends(q: Queryable, profileId: number, limit: number): Promise<SendRecord[]> {
  const { rows } = await sql<SendRecord>`
    select ${RECORD} from ${idsOf(profileId)} whose join message m on m.shard = whose.shard and m.profile_id = whose.id
    join template t on t.id = m.template_id
    where m.kind <> 'campaign' order by m.created_at desc, m.id desc limit ${limit}`.execute(q)
  return rows
}

/** How many messages to a person the mail server has taken. */
export async function countSent(q: Queryable, profileId: number): Promise<number> {
  const { rows } = await sql<{ n: number }>`
    select count(*)::int as n
    from ${idsOf(profileId)} whose join message m on m.shard = whose.shard and m.profile_id = whose.id
    where m.state = 'sent'`.execute(q)
  return rows[0]?.n ?? 0
}

export type CancelOutcome = 'cancelled' | 'too_late' | 'unknown'

/** Takes back a scheduled message that has not left yet. */
export async function cancelSend(db: Database, clock: Clock, messageId: number): Promise<CancelOutcome> {
  const now = clock.now()
  const { numAffectedRows } = await sql`
    update message set state = 'cancelled', due_at = null, reason = 'cancelled by the caller', settled_at = ${now}
    where shard = ${shardOfId(messageId)} and id = ${messageId}
      and state = 'queued' and scheduled_for > ${now}`.execute(db)
  if (numAffectedRows === 1n) return 'cancelled'
  const record = await readSend(db, messageId, now)
  if (!record) return 'unknown'
  return record.state === 'cancelled' ? 'cancelled' : 'too_late'
}

/** Whether messages that wait for their time need the template. */
export async function hasScheduledSends(q: Queryable, templateId: number): Promise<boolean> {
  const { rows } = await sql`
    select from message where template_id = ${templateId} and scheduled_for is not null
      and due_at is not null and campaign_id is null limit 1`.execute(q)
  return rows.length > 0
}
