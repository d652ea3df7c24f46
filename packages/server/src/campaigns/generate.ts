import { sql } from 'kysely'
import type { Database, Tx } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import type { SettingsCache } from '../settings/settings.ts'
import type { Templates } from '../templates/templates.ts'
import { saveCampaign } from './campaigns.ts'
import { contentOf } from './freeze.ts'
import { problemWithNeeds } from './needs.ts'
import { dueOccurrence } from './recurrence.ts'
import { fromRow, type Repeat, type RepeatRow } from './repeats.ts'

export interface GenerateParts {
  db: Database
  log: Log
  settings: SettingsCache
  templates: Pick<Templates, 'byIds'>
}

/**
 * Makes the campaign of one repeat whose time has come: `generateHours` before it is sent. Exactly one an occurrence,
 * whoever dies: the campaign and the repeat's next time are written together.
 *
 * @returns false when none is due that another worker is not at
 */
export async function generateDue(parts: GenerateParts, now: Date): Promise<boolean> {
  const { timezone } = await parts.settings.get()
  return parts.db.transaction().execute(async (tx) => {
    const { rows } = await sql<RepeatRow>`
      select * from campaign_repeat
      where status = 'active' and next_at is not null
        and next_at - make_interval(hours => (rule ->> 'generateHours')::int) <= ${now}
      order by next_at limit 1 for update skip locked`.execute(tx)
    if (!rows[0]) return false
    const repeat = fromRow(rows[0])
    const { occurrence, following } = dueOccurrence(repeat.rule, repeat.nextAt!, now, timezone)
    const problem = occurrence && (await make(parts, tx, repeat, occurrence, now))
    if (problem) parts.log.warn({ repeat: repeat.id, problem }, 'a repeated campaign could not be made')
    await sql`
      update campaign_repeat set next_at = ${following}::timestamptz, problem = ${problem}::text,
        problem_at = case when ${problem}::text is not null then ${now}::timestamptz end
      where id = ${repeat.id}`.execute(tx)
    return true
  })
}

/** @returns what stands in the way; null: made, or it was there already */
async function make(
  { templates }: GenerateParts,
  tx: Tx,
  repeat: Repeat,
  occurrence: Date,
  now: Date,
): Promise<string | null> {
  const { rows } = await sql`
    select from campaign where repeat_id = ${repeat.id} and occurs_at = ${occurrence}`.execute(tx)
  if (rows.length > 0) return null
  const template = (await templates.byIds([repeat.templateId])).get(repeat.templateId)
  if (!template) return 'its template does not exist any more'
  if (template.isDisabled) return `its template ${template.name} is disabled`
  const lacking = await problemWithNeeds(tx, { ...repeat, ...repeat.plan })
  if (lacking !== null) return lacking
  const { reportEmail, seedEmails, previousId, criterion, dataFeedUrl } = repeat.plan
  const outcome = await saveCampaign(
    tx,
    null,
    {
      name: repeat.name,
      base: contentOf(template.fields),
      content: dataFeedUrl === '' ? {} : { data_feed_url: dataFeedUrl },
      plan: { reportEmail, seedEmails, previousId, criterion, copiedFrom: template.name },
      listIds: repeat.listIds,
      suppressIds: repeat.suppressIds,
      scheduledFor: occurrence,
    },
    repeat.modifiedBy,
    now,
  )
  if (!outcome.ok) {
    if (outcome.reason === 'invalid') return outcome.problem
    return outcome.reason === 'missing' ? `its template has no ${outcome.field}` : outcome.reason
  }
  await sql`
    update campaign set repeat_id = ${repeat.id}, occurs_at = ${occurrence}
    where id = ${outcome.campaign.id}`.execute(tx)
  return null
}
