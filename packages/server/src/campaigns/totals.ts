import { sql } from 'kysely'
import { keepCostly } from '../platform/costly.ts'
import type { Database, Queryable } from '../platform/database.ts'
import type { MessageState } from '../sends/message-table.ts'

/** What became of a campaign's audience so far. */
export interface Totals {
  /** Everybody who was looked at. */
  audience: number
  /** Who gets it, got it or was to get it: the audience without those left out. */
  recipients: number
  sent: number
  /** On its way: waiting, being made or tried again. */
  waiting: number
  failed: number
  cancelled: number
  inDoubt: number
  /** Why people were left out, when the campaign was put together or later, at the hand-over. */
  leftOut: { [reason: string]: number }
  /** Why messages failed: `hardbounce`, `softbounce`, `refused` … */
  failures: { [reason: string]: number }
  /** Sent by content: the campaign's own first, then its variants. */
  sentByRevision: Map<number, number>
}

interface Row {
  campaign_id: number
  revision_id: number
  state: MessageState
  reason: string | null
  n: number
}

/** Counts messages by campaign id; campaigns without any are missing. */
export async function countMessages(q: Queryable, ids: readonly number[]): Promise<Map<number, Totals>> {
  const { rows } = await sql<Row>`
    select campaign_id, revision_id, state, reason, count(*)::int as n from message
    where campaign_id = any(${ids}::int[])
    group by campaign_id, revision_id, state, reason`.execute(q)
  const found = new Map<number, Totals>()
  for (const row of rows) {
    const totals = found.get(row.campaign_id) ?? emptyTotals()
    found.set(row.campaign_id, totals)
    add(totals, row)
  }
  return found
}

function add(totals: Totals, { state, reason, revision_id, n }: Row): void {
  totals.audience += n
  if (state !== 'suppressed') totals.recipients += n
  if (state === 'suppressed') tally(totals.leftOut, reason ?? 'unknown', n)
  else if (state === 'failed') tally(totals.failures, reason ?? 'unknown', n)
  if (state === 'sent') {
    totals.sent += n
    totals.sentByRevision.set(revision_id, (totals.sentByRevision.get(revision_id) ?? 0) + n)
  } else if (state === 'failed') totals.failed += n
  else if (state === 'cancelled') totals.cancelled += n
  else if (state === 'in_doubt') totals.inDoubt += n
  else if (state !== 'suppressed') totals.waiting += n
}

function tally(into: { [name: string]: number }, name: string, n: number): void {
  into[name] = (into[name] ?? 0) + n
}

export const emptyTotals = (): Totals => ({
  audience: 0,
  recipients: 0,
  sent: 0,
  waiting: 0,
  failed: 0,
  cancelled: 0,
  inDoubt: 0,
  leftOut: {},
  failures: {},
  sentByRevision: new Map(),
})

/** Counts messages of campaigns, one after the other, and keeps what was expensive to count for a while. */
export function createTotals(db: Database): (ids: readonly number[]) => Promise<Map<number, Totals>> {
  const count = keepCostly((ids) => countMessages(db, ids))
  return async (ids) => {
    const answers = new Map<number, Totals>()
    for (const id of ids) answers.set(id, (await count([id])).get(id) ?? emptyTotals())
    return answers
  }
}
