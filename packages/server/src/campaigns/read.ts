import { sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'
import { EMPTY_FIELDS, type TemplateFields } from '../templates/fields.ts'
import { type CampaignPlan, type CampaignStatus, type CampaignTable, EMPTY_PLAN } from './tables.ts'

/** A campaign as it is kept. */
export interface Campaign {
  id: number
  name: string
  status: CampaignStatus
  content: TemplateFields
  plan: CampaignPlan
  listIds: number[]
  suppressIds: number[]
  scheduledFor: Date | null
  revisionIds: number[]
  repeatId: number | null
  startedAt: Date | null
  stoppedAt: Date | null
  createdAt: Date
  modifiedAt: Date
  modifiedBy: string | null
  problem: string | null
}

/** Which campaigns somebody asks for. */
export interface CampaignFilter {
  statuses: readonly CampaignStatus[]
  listId?: number
  /** Scheduled, or if never scheduled made, at or after this moment. */
  since?: Date
  until?: Date
  /** Oldest first unless said otherwise. */
  newestFirst?: boolean
  skip?: number
  /** 0: all. */
  limit?: number
}

type CampaignRow = Omit<CampaignTable, 'id'> & { id: number }

/** One campaign; null when there is none. @param lock hold it until the transaction ends */
export async function readCampaign(q: Queryable, id: number, lock = false): Promise<Campaign | null> {
  const { rows } = await sql<CampaignRow>`
    select * from campaign where id = ${id} ${sql.raw(lock ? 'for update' : '')}`.execute(q)
  return rows[0] ? fromRow(rows[0]) : null
}

const MOMENT = sql.raw('coalesce(started_at, scheduled_for, created_at)')

/** Those that fit, and how many fit without regard to `skip` and `limit`. */
export async function listCampaigns(
  q: Queryable,
  { statuses, listId, since, until, newestFirst = false, skip = 0, limit = 0 }: CampaignFilter,
): Promise<{ campaigns: Campaign[]; total: number }> {
  const fits = sql`status = any(${[...statuses]}::text[])
    and (${listId ?? null}::int is null or ${listId ?? null} = any(list_ids))
    and (${since ?? null}::timestamptz is null or ${MOMENT} >= ${since ?? null})
    and (${until ?? null}::timestamptz is null or ${MOMENT} <= ${until ?? null})`
  const order = sql.raw(newestFirst ? 'desc' : 'asc')
  const { rows } = await sql<CampaignRow & { total: number }>`
    select *, count(*) over ()::int as total from campaign where ${fits}
    order by ${MOMENT} ${order}, id ${order}
    limit ${limit === 0 ? null : limit} offset ${skip}`.execute(q)
  if (rows.length > 0 || skip === 0) return { campaigns: rows.map(fromRow), total: rows[0]?.total ?? 0 }
  const counted = await sql<{ n: number }>`select count(*)::int as n from campaign where ${fits}`.execute(q)
  return { campaigns: [], total: counted.rows[0]?.n ?? 0 }
}

/** How many campaigns are in each status; those without any are missing. */
export async function countByStatus(q: Queryable): Promise<Map<CampaignStatus, number>> {
  const { rows } = await sql<{ status: CampaignStatus; n: number }>`
    select status, count(*)::int as n from campaign group by status`.execute(q)
  return new Map(rows.map((row) => [row.status, row.n]))
}

export const fromRow = (row: CampaignRow): Campaign => ({
  id: row.id,
  name: row.name,
  status: row.status,
  content: { ...EMPTY_FIELDS, ...row.content },
  plan: { ...EMPTY_PLAN, ...row.plan },
  listIds: row.list_ids,
  suppressIds: row.suppress_ids,
  scheduledFor: row.scheduled_for,
  revisionIds: row.revision_ids,
  repeatId: row.repeat_id,
  startedAt: row.started_at,
  stoppedAt: row.stopped_at,
  createdAt: row.created_at,
  modifiedAt: row.modified_at,
  modifiedBy: row.modified_by,
  problem: row.problem,
})
