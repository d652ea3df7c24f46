import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'
import type { Campaign } from './read.ts'

/** What a campaign counts on beside its own row. */
export type Needs = Pick<Campaign, 'listIds' | 'suppressIds'> & Pick<Campaign['plan'], 'previousId' | 'criterion'>

/** Whether some of these lists are gone. A membership is deleted after its list, never before (lists/lists.ts). */
export const areSomeGone = (ids: RawBuilder<unknown>): RawBuilder<boolean> =>
  sql<boolean>`exists (
    select from unnest(${ids}) as wanted(id) where not exists (select from list where list.id = wanted.id))`

/** Which of its lists a campaign lacks; a row of `campaign` named `c` is in reach. */
export const LACKS = sql<Lack | null>`case
  when ${areSomeGone(sql`c.list_ids`)} then 'list' when ${areSomeGone(sql`c.suppress_ids`)} then 'suppress_list' end`

export type Lack = 'list' | 'suppress_list'

/**
 * Why a campaign cannot be sent as its author meant it; null: it can. All of its lists have to be there: who is on a
 * suppress list must not be written to, and of several audiences the author counted on each.
 */
export async function problemWithNeeds(q: Queryable, needs: Needs): Promise<string | null> {
  const { listIds, suppressIds, previousId, criterion } = needs
  const ids = [...listIds, ...suppressIds]
  const { rows } = await sql<{ id: number; name: string; type: string }>`
    select id, name, type from list where id = any(${ids}::int[])`.execute(q)
  const found = new Map(rows.map((row) => [row.id, row]))
  if (!listIds.every((id) => found.has(id))) return sayLack('list', listIds)
  if (!suppressIds.every((id) => found.has(id))) return sayLack('suppress_list', suppressIds)
  const smart = rows.find(({ type }) => type === 'smart')
  if (smart) return `its list ${smart.name} is a smart list, and those have no members yet`
  if (previousId === null || criterion === null) return null
  const previous = await sql`select from campaign where id = ${previousId}`.execute(q)
  return previous.rows.length > 0 ? null : 'the campaign that it follows does not exist any more'
}

/** @param ids all its lists of that kind */
export function sayLack(lack: Lack, ids: readonly number[]): string {
  const what = lack === 'list' ? 'list' : 'suppress list'
  return ids.length > 1 ? `one of its ${what}s does not exist any more` : `its ${what} does not exist any more`
}
