import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'
import { HELD_MESSAGES } from './batches.ts'
import type { Standing } from './depth.ts'
import { IN_DOUBT } from './in-doubt.ts'
import { type Selection, selected } from './requeue.ts'

/** A message that has not come to an end, as an operator looks at it. */
export interface QueuedMessage {
  id: number
  state: Standing
  kind: string
  address: string
  /** Name of the template or campaign. */
  content: string
  attempts: number
  createdAt: Date
  /** Null for those that do not wait. */
  dueAt: Date | null
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
  const chosen = selected(selection)
  const ordered = conditionsOf(state).map(
    (condition) =>
      sql`(select *, state as standing from message where ${condition} and ${chosen} order by due_at limit ${limit})`,
  )
  const held = sql`(select *, case when is_attempting then 'attempting' else 'leased' end as standing
    from ${HELD_MESSAGES} held where is_attempting = ${state === 'attempting'} and ${chosen} limit ${limit})`
  const isHeld = state === 'leased' || state === 'attempting'
  const { rows } = await sql<QueuedMessage>`
    select m.id, m.standing as state, m.kind, m.address, coalesce(t.name, c.name, '') as content, m.attempts,
      m.created_at as "createdAt", nullif(m.due_at, 'infinity') as "dueAt", m.reason, m.reply
    from (${isHeld ? held : sql.join(ordered, sql` union all `)}) m
    left join template t on t.id = m.template_id
    left join campaign c on c.id = m.campaign_id
    order by m.due_at, m.id limit ${limit}`.execute(q)
  return rows
}

/** Each along an index of its own. */
function conditionsOf(state: Listed | null): Array<RawBuilder<boolean>> {
  if (state === 'in_doubt') return [IN_DOUBT]
  const wanted =
    state === null
      ? sql`state <> 'in_doubt'`
      : state === 'held'
        ? sql`state = 'deferred' and reason = 'held'`
        : sql`state = ${state}`
  return [
    sql`due_at is not null and campaign_id is null and ${wanted}`,
    sql`due_at is not null and campaign_id is not null and ${wanted}`,
  ]
}
