import { sql } from 'kysely'
import type { Clock } from '../platform/clock.ts'
import type { Database, Queryable } from '../platform/database.ts'
import type { SettingsCache } from '../settings/settings.ts'
import { nextOccurrence } from './recurrence.ts'
import type { RepeatPlan, RepeatRule, RepeatTable } from './tables.ts'

/** A campaign that is made again and again from a template. */
export interface Repeat {
  id: number
  name: string
  status: RepeatTable['status']
  templateId: number
  listIds: number[]
  suppressIds: number[]
  rule: RepeatRule
  plan: RepeatPlan
  /** Null: none any more. */
  nextAt: Date | null
  createdAt: Date
  createdBy: string | null
  modifiedAt: Date
  modifiedBy: string | null
  problem: string | null
  problemAt: Date | null
}

/** Everything that an author decides about a repeat. */
export type RepeatDraft = Pick<Repeat, 'name' | 'status' | 'templateId' | 'listIds' | 'suppressIds' | 'rule' | 'plan'>

export interface Repeats {
  get(id: number): Promise<Repeat | null>
  /** By name. */
  all(): Promise<Repeat[]>
  /** Creates a repeat (`id` null) or replaces one. Null: there is none with this id. */
  save(id: number | null, draft: RepeatDraft, by: string | null): Promise<Repeat | null>
  /** Campaigns that it made stay. False: there is none. */
  remove(id: number): Promise<boolean>
}

export function createRepeats(parts: {
  db: Database
  clock: Clock
  settings: SettingsCache
  /** Called when a repeat may be due. */
  wake: () => void
}): Repeats {
  const { db, clock, settings, wake } = parts
  return {
    get: (id) => readRepeat(db, id),

    async all() {
      const { rows } = await sql<RepeatRow>`select * from campaign_repeat order by name, id`.execute(db)
      return rows.map(fromRow)
    },

    async save(id, draft, by) {
      const now = clock.now()
      const { timezone } = await settings.get()
      const nextAt = draft.status === 'active' ? nextOccurrence(draft.rule, now, timezone) : null
      const columns = sql`${draft.name}, ${draft.status}, ${draft.templateId}::int, ${draft.listIds}::int[],
        ${draft.suppressIds}::int[], ${JSON.stringify(draft.rule)}::json, ${JSON.stringify(draft.plan)}::json,
        ${nextAt}::timestamptz, ${now}::timestamptz, ${by}::text`
      const names = sql.raw(
        'name, status, template_id, list_ids, suppress_ids, rule, plan, next_at, modified_at, modified_by',
      )
      const { rows } =
        id === null
          ? await sql<RepeatRow>`
              insert into campaign_repeat (${names}, created_at, created_by)
              values (${columns}, ${now}, ${by}) returning *`.execute(db)
          : await sql<RepeatRow>`
              update campaign_repeat set (${names}) = (${columns}), problem = null, problem_at = null
              where id = ${id} returning *`.execute(db)
      wake()
      return rows[0] ? fromRow(rows[0]) : null
    },

    async remove(id) {
      const { numAffectedRows } = await sql`delete from campaign_repeat where id = ${id}`.execute(db)
      return numAffectedRows === 1n
    },
  }
}

/** Whether a repeat makes its campaigns of the template, or a campaign will take its content from it. */
export async function isTemplateOfCampaigns(q: Queryable, templateId: number): Promise<boolean> {
  const { rows } = await sql`
    select from campaign_repeat where template_id = ${templateId} and status = 'active'
    union all
    select from campaign where status = 'scheduled' and (plan ->> 'evalTemplateId')::int = ${templateId}
    limit 1`.execute(q)
  return rows.length > 0
}

/** One repeat; null when there is none. */
export async function readRepeat(q: Queryable, id: number): Promise<Repeat | null> {
  const { rows } = await sql<RepeatRow>`select * from campaign_repeat where id = ${id}`.execute(q)
  return rows[0] ? fromRow(rows[0]) : null
}

export type RepeatRow = Omit<RepeatTable, 'id'> & { id: number }

export const fromRow = (row: RepeatRow): Repeat => ({
  id: row.id,
  name: row.name,
  status: row.status,
  templateId: row.template_id,
  listIds: row.list_ids,
  suppressIds: row.suppress_ids,
  rule: row.rule,
  plan: row.plan,
  nextAt: row.next_at,
  createdAt: row.created_at,
  createdBy: row.created_by,
  modifiedAt: row.modified_at,
  modifiedBy: row.modified_by,
  problem: row.problem,
  problemAt: row.problem_at,
})
