import { sql } from 'kysely'
import type { Database, Tx } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import { type Profiles, retrying } from '../profiles/door.ts'
import type { Templates } from '../templates/templates.ts'
import { readPeople } from './audience.ts'
import { writeRecipients } from './fill.ts'
import { contentOf, missingIn, problemWithContents, withFrozenContent } from './freeze.ts'
import { problemWithNeeds } from './needs.ts'
import { type Campaign, readCampaign } from './read.ts'

export interface StartParts {
  db: Database
  log: Log
  profiles: Pick<Profiles, 'changeIn'>
  templates: Pick<Templates, 'byIds'>
}

/** Begins one campaign whose time has come. @returns false when there is none that another worker is not at */
export async function startDue(parts: StartParts, now: Date): Promise<boolean> {
  const outcome = await retrying(() => parts.db.transaction().execute((tx) => startOne(parts, tx, now)))
  if (outcome?.problem) {
    parts.log.warn(
      { campaign: outcome.id, problem: outcome.problem },
      'a campaign could not begin: it is a draft again',
    )
  }
  return outcome !== null
}

async function startOne(parts: StartParts, tx: Tx, now: Date): Promise<{ id: number; problem: string | null } | null> {
  const { rows } = await sql<{ id: number }>`
    select id from campaign where status = 'scheduled' and begins_at <= ${now}
    order by begins_at, id limit 1 for update skip locked`.execute(tx)
  const id = rows[0]?.id
  if (id === undefined) return null
  const campaign = (await readCampaign(tx, id))!
  const { problem, begun } = await withContentOfNow(parts, tx, campaign, now)
  if (problem !== null) {
    await sql`
      update campaign set status = 'created', scheduled_for = null, begins_at = null, problem = ${problem}
      where id = ${id}`.execute(tx)
    return { id, problem }
  }
  await sql`
    with begun as (insert into campaign_fill (campaign_id) values (${id}))
    update campaign set status = 'sending', started_at = ${now} where id = ${id}`.execute(tx)
  await sql`update list set sent_at = ${now} where id = any(${begun.listIds}::int[])`.execute(tx)
  await writeSeeds(parts, tx, begun, now)
  return { id, problem: null }
}

/** A campaign that evaluates a template takes the template's content at this moment. */
async function withContentOfNow(
  { templates }: StartParts,
  tx: Tx,
  campaign: Campaign,
  now: Date,
): Promise<{ problem: string | null; begun: Campaign }> {
  const stop = (problem: string) => ({ problem, begun: campaign })
  const lacking = await problemWithNeeds(tx, { ...campaign, ...campaign.plan })
  if (lacking !== null) return stop(lacking)
  const { evalTemplateId } = campaign.plan
  if (evalTemplateId === null) return { problem: null, begun: campaign }
  const template = (await templates.byIds([evalTemplateId])).get(evalTemplateId)
  if (!template) return stop('its template does not exist any more')
  if (template.isDisabled) return stop(`its template ${template.name} is disabled`)
  const content = contentOf(template.fields)
  const problem =
    problemWithContents(content, []) ?? (missingIn(content) && `its template has no ${missingIn(content)}`)
  if (problem) return stop(problem)
  await sql`update campaign set content = ${JSON.stringify(content)}::json where id = ${campaign.id}`.execute(tx)
  return { problem: null, begun: await withFrozenContent(tx, { ...campaign, content }, now) }
}

/** Seeds come before everybody else, and only once if they are on the list too. No cap keeps it from them: they are there to see it. */
async function writeSeeds({ profiles }: StartParts, tx: Tx, campaign: Campaign, now: Date): Promise<void> {
  const { seedEmails } = campaign.plan
  if (seedEmails.length === 0) return
  const act = { via: 'api' as const, evidence: 0 as const, actor: campaign.modifiedBy ?? undefined }
  const made = await profiles.changeIn(
    tx,
    seedEmails.map((value) => ({ person: { kind: 'email' as const, value }, act })),
  )
  const ids = [...new Set(made.flatMap((outcome) => (outcome.ok ? [outcome.profileId] : [])))]
  const people = await readPeople(tx, ids, { suppressIds: [], previousId: null, criterion: null })
  const filling = {
    id: campaign.id,
    list_ids: campaign.listIds,
    suppress_ids: campaign.suppressIds,
    plan: { ...campaign.plan, isCapped: false },
    revision_ids: campaign.revisionIds,
    started_at: now,
    place: 0,
    after_shard: 0,
    after_profile: 0,
  }
  await writeRecipients(tx, filling, people, { place: 0, shard: 0, profileId: 0 }, null, now)
}
