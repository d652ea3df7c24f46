import { sql } from 'kysely'
import type { Queryable, Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import { type ChangeOutcome, HUMAN, type PersonRef, type ProfileChange } from '../profiles/change.ts'
import { retrying } from '../profiles/door.ts'
import { findIds } from '../profiles/read.ts'
import type { PageParts } from './parts.ts'

/** A change that was applied, and what of it was left out because something newer speaks against it. */
export interface Applied {
  outcome: ChangeOutcome
  /** Ids of lists and templates that stay left. */
  stayed: { lists: number[]; templates: number[] }
}

/**
 * Applies what somebody decided on a page or by a link, unless a newer decision speaks against it: a list or template
 * that the person, or somebody who answers for it, left after `since` is neither joined nor taken up again. (The level
 * is guarded by `unlessRefusedAfter`.)
 *
 * @param since when the page was shown or the link was made
 * @param also what belongs into the same transaction; may run more than once, when writers collide
 */
export async function applyNewest(
  parts: Pick<PageParts, 'db' | 'profiles'>,
  change: ProfileChange,
  since: Date,
  also?: (tx: Tx, outcome: ChangeOutcome & { ok: true }) => Promise<void>,
): Promise<Applied> {
  const joins = [...(change.lists ?? [])].filter(([, join]) => join).map(([list]) => list)
  const returns = [...(change.templates ?? [])].filter(([, { out }]) => !out).map(([template]) => template)
  if (joins.length + returns.length === 0 && !also) {
    return { outcome: await parts.profiles.change(change), stayed: { lists: [], templates: [] } }
  }
  return retrying(() =>
    parts.db.transaction().execute(async (tx) => {
      const stayed = await newerLeavings(tx, change.person, { lists: joins, templates: returns }, since)
      const outcome = (await parts.profiles.changeIn(tx, [without(change, stayed)]))[0]!
      if (outcome.ok) await also?.(tx, outcome)
      return { outcome, stayed }
    }),
  )
}

/** Takes the lock on the person first, so that nothing can be left between the look and the change. */
async function newerLeavings(
  tx: Tx,
  person: PersonRef,
  wanted: Applied['stayed'],
  since: Date,
): Promise<Applied['stayed']> {
  const [id] = await findIds(tx, [person])
  if (id === null || id === undefined) return { lists: [], templates: [] }
  await sql`select 1 from profile where shard = ${shardOfId(id)} and id = ${id} for update`.execute(tx)
  return leftSince(tx, id, wanted, since)
}

/** Of some lists and templates, those that the person, or somebody who answers for it, left after a moment. */
export async function leftSince(
  q: Queryable,
  profileId: number,
  { lists, templates }: Applied['stayed'],
  since: Date,
): Promise<Applied['stayed']> {
  if (lists.length + templates.length === 0) return { lists: [], templates: [] }
  const person = sql`shard = ${shardOfId(profileId)} and profile_id = ${profileId}`
  const human = sql`via = any(${[...HUMAN]}::text[])`
  const { rows } = await sql<{ list: number | null; template: number | null }>`
    select list_id as list, null::int as template from list_left
    where ${person} and list_id = any(${lists}::int[]) and left_at > ${since} and ${human}
    union all
    select null, template_id from template_optout
    where ${person} and template_id = any(${templates}::int[]) and at > ${since} and ${human}`.execute(q)
  return {
    lists: rows.flatMap(({ list }) => list ?? []),
    templates: rows.flatMap(({ template }) => template ?? []),
  }
}

function without(change: ProfileChange, { lists, templates }: Applied['stayed']): ProfileChange {
  return {
    ...change,
    ...(change.lists ? { lists: new Map([...change.lists].filter(([id]) => !lists.includes(id))) } : {}),
    ...(change.templates
      ? { templates: new Map([...change.templates].filter(([id]) => !templates.includes(id))) }
      : {}),
  }
}
