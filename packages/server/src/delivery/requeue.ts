import { domainToUnicode } from 'node:url'
import { type RawBuilder, sql } from 'kysely'
import type { Database, Queryable } from '../platform/database.ts'

/** Which messages an operator means; what is not named does not matter. */
export interface Selection {
  /** Lower case, as A-labels. */
  domain?: string
  templateId?: number
  campaignId?: number
}

/** Messages changed in one transaction: a worker that wants one of them waits no longer than this takes. */
const AT_ONCE = 5_000

/** Deferred messages that are not held, and wait for a later time. */
const deferred = (selection: Selection, now: Date) =>
  sql<boolean>`state = 'deferred' and reason is distinct from 'held' and due_at > ${now} and ${selected(selection)}`

export async function countDeferred(q: Queryable, selection: Selection, now: Date): Promise<number> {
  let count = 0
  for (const part of PARTS) {
    const { rows } = await sql<{ n: number }>`
      select count(*)::int as n from message where ${part} and ${deferred(selection, now)}`.execute(q)
    count += rows[0]?.n ?? 0
  }
  return count
}

/** Makes deferred messages due now. @returns how many */
export function retryDeferred(db: Database, selection: Selection, now: Date): Promise<number> {
  return changeAll(db, (part) => ({ where: sql`${part} and ${deferred(selection, now)}`, set: sql`due_at = ${now}` }))
}

/** Makes held messages due now, as if they had never been held. @returns how many */
export function releaseHeld(db: Database, selection: Selection, now: Date): Promise<number> {
  return changeAll(db, (part) => ({
    where: sql`${part} and state = 'deferred' and reason = 'held' and ${selected(selection)}`,
    set: sql`due_at = ${now}, reason = null, reply = null,
      state = case when attempts > 0 then 'deferred' else 'queued' end`,
  }))
}

/** Messages that wait have two indexes: those of campaigns and the others. */
const PARTS = [
  sql<boolean>`due_at is not null and campaign_id is null`,
  sql<boolean>`due_at is not null and campaign_id is not null`,
]

type Change = { where: RawBuilder<unknown>; set: RawBuilder<unknown> }

async function changeAll(db: Database, change: (part: RawBuilder<boolean>) => Change): Promise<number> {
  let count = 0
  for (const part of PARTS) {
    const { where, set } = change(part)
    for (;;) {
      const { numAffectedRows } = await sql`
        update message m set ${set}
        from (select shard, id from message where ${where} limit ${AT_ONCE} for update skip locked) chosen
        where m.shard = chosen.shard and m.id = chosen.id`.execute(db)
      count += Number(numAffectedRows)
      if (numAffectedRows !== BigInt(AT_ONCE)) break
    }
  }
  return count
}

export function selected({ domain, templateId, campaignId }: Selection): RawBuilder<boolean> {
  const conditions = [sql<boolean>`true`]
  if (domain !== undefined) {
    // An address is kept as its owner spells it.
    const spellings = [...new Set([domain, domainToUnicode(domain)])]
    conditions.push(sql`lower(split_part(address, '@', 2)) = any(${spellings}::text[])`)
  }
  if (templateId !== undefined) conditions.push(sql`template_id = ${templateId}`)
  if (campaignId !== undefined) conditions.push(sql`campaign_id = ${campaignId}`)
  return sql.join(conditions, sql` and `) as RawBuilder<boolean>
}
