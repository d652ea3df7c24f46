import { sql } from 'kysely'
import type { Queryable, Tx } from '../platform/database.ts'
import { HOST_FUNCTIONS, problemWith } from '../templates/compile.ts'
import { EMPTY_FIELDS, type TemplateFields } from '../templates/fields.ts'
import type { CampaignLabel } from '../templates/templates.ts'
import type { Campaign } from './read.ts'
import type { Variant } from './tables.ts'

/**
 * Writes down what a campaign sends, as it is now, where delivery finds contents. What is written down never changes:
 * an edit of the template it came from, or of the campaign before it begins, makes other rows.
 *
 * @returns ids of revisions: the campaign's own content, then its variants
 */
export async function freeze(q: Queryable, campaign: Campaign, now: Date): Promise<number[]> {
  const { id, name, content, plan, listIds, suppressIds } = campaign
  const lists = await sql<{ id: number; name: string }>`
    select id, name from list where id = any(${[...listIds, ...suppressIds]}::int[])`.execute(q)
  const names = new Map(lists.rows.map((row) => [row.id, row.name]))
  const label: CampaignLabel = {
    id,
    name,
    list: names.get(listIds[0] ?? 0) ?? '',
    suppressList: suppressIds.flatMap((one) => names.get(one) ?? []).join(', '),
    vars: plan.vars,
  }
  const contents = [content, ...plan.variants.map((variant) => variant.content)].map((one) => JSON.stringify(one))
  const { rows } = await sql<{ id: number }>`
    insert into template_revision (campaign, fields, created_at)
    select ${JSON.stringify(label)}::json, c.fields, ${now}::timestamptz
    from unnest(${contents}::json[]) with ordinality as c(fields, n) order by c.n
    returning id`.execute(q)
  return rows.map((row) => row.id).sort((a, b) => a - b)
}

/** Freezes the content for the campaign's own sending. */
export async function withFrozenContent(tx: Tx, campaign: Campaign, now: Date): Promise<Campaign> {
  const revisionIds = await freeze(tx, campaign, now)
  await sql`update campaign set revision_ids = ${revisionIds}::int[] where id = ${campaign.id}`.execute(tx)
  return { ...campaign, revisionIds }
}

/**
 * The content of a template as a campaign may have it: what says whom a template reaches stays behind, for a campaign
 * reaches those who take campaigns.
 */
export function contentOf(fields: TemplateFields): TemplateFields {
  const { is_basic, is_disabled, is_optin, is_invite, samples } = EMPTY_FIELDS
  return { ...fields, is_basic, is_disabled, is_optin, is_invite, samples, labels: [], list: '' }
}

/** What is wrong with the contents of a campaign: a sentence for its author, or null. */
export function problemWithContents(content: TemplateFields, variants: readonly Variant[]): string | null {
  const own = problemWith(content, HOST_FUNCTIONS)
  if (own !== null) return own
  for (const { name, content: other } of variants) {
    const problem = problemWith(other, HOST_FUNCTIONS)
    if (problem !== null) return `variant ${name}: ${problem}`
  }
  return null
}

/** What is missing before a campaign can be sent, named as the API names it; null: nothing. */
export function missingIn(content: TemplateFields): 'subject' | 'content_html' | null {
  if (content.subject === '') return 'subject'
  return content.content_html === '' && content.content_text === '' ? 'content_html' : null
}
