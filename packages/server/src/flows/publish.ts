import { sql } from 'kysely'
import type { Clock } from '../platform/clock.ts'
import type { Database, Queryable, Tx } from '../platform/database.ts'
import type { Settings } from '../settings/settings.ts'
import { completeDefinition } from './complete.ts'
import { checksumOf, entryOf, type FlowDefinition } from './definition.ts'
import { entryType } from './steps/index.ts'
import type { Problem, References } from './steps/step-type.ts'
import './tables.ts'
import { type Reviewed, reviewDefinition } from './validate.ts'

export interface PublishParts {
  db: Database
  clock: Clock
  references: References
  settings: Settings
}

export type Published =
  /** `version` is the one in force; `isNew` is false when it was in force already, word for word. */
  | { ok: true; flowId: number; version: number; isNew: boolean; warnings: Problem[] }
  | { ok: false; problems: Problem[] }

/** Checks a flow without publishing it. */
export async function checkFlow(parts: PublishParts, candidate: unknown): Promise<Reviewed> {
  const previous = await activeDefinition(parts.db, nameOf(candidate))
  const complete = completeDefinition(candidate, parts.settings.timezone, previous)
  return reviewDefinition(complete, parts.references, parts.settings)
}

/**
 * Makes a definition the version in force of the flow with its name, creating the flow where there is none. The
 * version never changes again. People inside stay on the version they started with.
 * Lists that the entry names are made where they are missing.
 */
export async function publishFlow(parts: PublishParts, candidate: unknown): Promise<Published> {
  const reviewed = await checkFlow(parts, candidate)
  if (!reviewed.ok) return reviewed
  const { definition, problems: warnings } = reviewed
  const { step } = entryOf(definition)
  const entry = entryType(step)
  const listIds = await parts.references.lists.ensure(entry.lists(step.params))
  const triggers = entry.triggers(step.params, listIds)
  // People are taken out when they opt out, wherever that happens.
  if (definition.settings.onOptOut === 'exit') triggers.push({ type: 'optout_changed', key: '' })
  const now = parts.clock.now()
  return parts.db.transaction().execute(async (tx) => {
    const written = await writeVersion(tx, definition, now)
    await replaceTriggers(tx, written, triggers)
    return { ok: true, ...written, warnings }
  })
}

async function writeVersion(
  tx: Tx,
  definition: FlowDefinition,
  now: Date,
): Promise<{ flowId: number; version: number; isNew: boolean }> {
  // Two publishers of one name wait for each other on its row.
  const { rows } = await sql<{ id: number; active_version: number | null; status: string; checksum: string | null }>`
    with flow as (
      insert into flow (name, status, created_at, modified_at) values (${definition.name}, 'inactive', ${now}, ${now})
      on conflict (name) do update set modified_at = excluded.modified_at, deleted_at = null
      returning id, active_version, status)
    select flow.*, v.checksum from flow
    left join flow_version v on v.flow_id = flow.id and v.version = flow.active_version`.execute(tx)
  const { id: flowId, active_version, status, checksum } = rows[0]!
  const isNew = checksumOf(definition) !== checksum
  const version = isNew ? (active_version ?? 0) + 1 : active_version!
  if (isNew) {
    await sql`insert into flow_version (flow_id, version, definition, checksum, published_at)
      values (${flowId}, ${version}, ${JSON.stringify(definition)}, ${checksumOf(definition)}, ${now})`.execute(tx)
  }
  if (isNew || status !== 'active') {
    await sql`update flow set status = 'active', active_version = ${version} where id = ${flowId}`.execute(tx)
    await sql`insert into flow_log (shard, at, flow_id, version, type) values
      (0, ${now}, ${flowId}, ${version}, 'flow.published')`.execute(tx)
  }
  return { flowId, version, isNew }
}

async function replaceTriggers(
  tx: Tx,
  { flowId, version }: { flowId: number; version: number },
  triggers: readonly { type: string; key: string }[],
): Promise<void> {
  await sql`delete from flow_trigger where flow_id = ${flowId}`.execute(tx)
  await sql`insert into flow_trigger (type, key, flow_id, version)
    select type, key, ${flowId}, ${version}
    from unnest(${triggers.map(({ type }) => type)}::text[], ${triggers.map(({ key }) => key)}::text[])
      as t(type, key)`.execute(tx)
}

async function activeDefinition(q: Queryable, name: string): Promise<FlowDefinition | null> {
  const row = await q
    .selectFrom('flow')
    .innerJoin('flow_version', (join) =>
      join.onRef('flow_version.flow_id', '=', 'flow.id').onRef('flow_version.version', '=', 'flow.active_version'),
    )
    .select('flow_version.definition')
    .where('flow.name', '=', name)
    .executeTakeFirst()
  return row?.definition ?? null
}

function nameOf(candidate: unknown): string {
  const name = (candidate as { name?: unknown } | null)?.name
  return typeof name === 'string' ? name : ''
}
