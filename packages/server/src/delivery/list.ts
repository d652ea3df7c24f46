import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'
import type { MessageState } from '../sends/message-table.ts'
import { type Selection, selected } from './requeue.ts'

/** A message that has not come to an end, as an operator looks at it. */
export interface QueuedMessage {
  id: number
  state: MessageState
  kind: string
  address: string
  /** Name of the template or campaign. */
  content: string
  attempts: number
  createdAt: Date
  dueAt: Date
  reason: string | null
  /** What a mail server said last. */
  reply: string | null
}

export const LISTED = ['queued', 'deferred', 'held', 'leased', 'attempting', 'in_doubt'] as const
export type Listed = (typeof LISTED)[number]

/** The messages that are due first. @param state null: those that wait */
export async function listMessages(
  q: Queryable,
  state: Listed | null,
  selection: Selection,
  limit: number,
): Promise<QueuedMessage[]> {
  const ordered = conditionsOf(state).map(
    (condition) =>
      sql`(select * from message where ${condition} and ${selected(selection)} order by due_at limit ${limit})`,
  )
  const { rows } = await sql<QueuedMessage>`
    select m.id, m.state, m.kind, m.address, coalesce(t.name, c.name, '') as content, m.attempts,
      m.created_at as "createdAt", m.due_at as "dueAt", m.reason, m.reply
    from (${sql.join(ordered, sql` union all `)}) m
    left join template t on t.id = m.template_id
    left join campaign c on c.id = m.campaign_id
    order by m.due_at, m.id limit ${limit}`.execute(q)
  return rows
}

/** Each along an index of its own. */
function conditionsOf(state: Listed | null): Array<RawBuilder<boolean>> {
  if (state === 'in_doubt') return [sql`state = 'in_doubt'`]
  if (state === 'leased' || state === 'attempting') return [sql`state in ('leased', 'attempting') and state = ${state}`]
  const wanted =
    state === null ? sql`true` : state === 'held' ? sql`state = 'deferred' and reason = 'held'` : sql`state = ${state}`
  return [
    sql`state in ('queued', 'deferred') and campaign_id is null and ${wanted}`,
    sql`state in ('queued', 'deferred') and campaign_id is not null and ${wanted}`,
  ]
}
