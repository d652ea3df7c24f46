import { sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'

/** A caught message without its content. */
export interface CaughtSummary {
  id: number
  receivedAt: Date
  from: string
  to: string[]
  subject: string
}

/** The newest caught messages, newest first. @param to only those to this address */
export async function listCaught(q: Queryable, limit: number, to: string | null = null): Promise<CaughtSummary[]> {
  const { rows } = await sql<CaughtSummary>`
    select id, received_at as "receivedAt", mail_from as "from", rcpt_to as "to", subject from caught_mail
    where ${to}::text is null or lower(${to}) = any(select lower(one) from unnest(rcpt_to) one)
    order by id desc limit ${limit}`.execute(q)
  return rows
}

/** A caught message as it came over the wire; null when there is none. @param id null: the newest */
export async function readCaught(q: Queryable, id: number | null): Promise<(CaughtSummary & { raw: Buffer }) | null> {
  const { rows } = await sql<CaughtSummary & { raw: Buffer }>`
    select id, received_at as "receivedAt", mail_from as "from", rcpt_to as "to", subject, raw from caught_mail
    where ${id}::bigint is null or id = ${id} order by id desc limit 1`.execute(q)
  return rows[0] ?? null
}
