import { sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'

/** Templates of the mails that the hosted pages send by themselves (pages/own-mails.ts). */
export const OWN_MAILS = ['Email Back On', 'Preference Link', 'Confirm Address', 'Address Change Notice'] as const

/** The id of a template; if there is none of this name any more, of the last that there was. */
export async function findTemplateId(q: Queryable, name: string): Promise<number | null> {
  const { rows } = await sql<{ id: number }>`
    select id from template where name = ${name} order by deleted_at is null desc, id desc limit 1`.execute(q)
  return rows[0]?.id ?? null
}

/** Names by id, those of removed templates too. */
export async function templateNames(q: Queryable, ids: readonly number[]): Promise<Map<number, string>> {
  const { rows } = await sql<{ id: number; name: string }>`
    select id, name from template where id = any(${ids}::int[])`.execute(q)
  return new Map(rows.map(({ id, name }) => [id, name]))
}
