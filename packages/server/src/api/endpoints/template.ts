import { type TSchema, Type } from 'typebox'
import type { JsonObject } from '../../platform/json.ts'
import { formatRfc2822 } from '../../platform/time-text.ts'
import { sampleOf, type TemplateChange } from '../../templates/fields.ts'
import type { LoadedTemplate } from '../../templates/templates.ts'
import type { Answer } from '../answer.ts'
import { bool01, integer, required, text } from '../coerce.ts'
import type { Endpoint } from '../endpoints.ts'
import { ApiError, templateInUse, tooLarge, unknownSample, unknownTemplate, unverifiedSender } from '../errors.ts'
import type { Params } from '../parameters.ts'
import type { ApiParts } from '../parts.ts'
import { headerText, nameText, readChoices, readVars } from '../person-params.ts'
import { isVerifiedSender } from '../verified-senders.ts'
import { anyMap, choices, flag, nameOf } from './schemas.ts'

/** Characters in one text of a template; mail programs cut messages off long before. */
const LONGEST_TEXT = 2_000_000

const LINES = ['public_name', 'from_name', 'from_email', 'replyto_email', 'subject', 'link_domain'] as const
const TEXTS = [
  'content_html',
  'content_text',
  'content_sms',
  'success_url',
  'error_url',
  'verify_post_url',
  'setup',
  'data_feed_url',
  'content_app',
  'app_badge',
  'app_sound',
  'list',
] as const
const FLAGS = {
  is_basic: 'Transactional: reaches people at level `basic`',
  is_disabled: 'Cannot be sent',
  is_link_tracking: 'Track clicks',
  is_google_analytics: 'Mark links for analytics',
  is_invite: 'Kept, without effect',
  is_unviewable: 'Kept, without effect',
  is_optin: 'Confirms joining `list`',
} as const
type Flag = keyof typeof FLAGS
const MAPS = { link_params: 'Parameters added to links', test_vars: 'Vars for previews', app_data: '' } as const
type MapName = keyof typeof MAPS

const revision = Type.Integer({ description: 'The id of a revision' })
const each = <Name extends string>(names: readonly Name[], schema: (name: Name) => TSchema) =>
  Object.fromEntries(names.map((name) => [name, Type.Optional(schema(name))]))

/** `template`: what triggered messages are made of. */
export function templateEndpoint({
  config,
  templates,
  settings,
}: Pick<ApiParts, 'config' | 'templates' | 'settings'>): Endpoint {
  return {
    get: {
      summary: 'Show one template, one of its revisions, or all templates',
      params: Type.Object({
        template: Type.Optional(nameOf('the template')),
        revision: Type.Optional(revision),
        sample: Type.Optional(nameOf('the variant to show')),
      }),
      async handle(_, params) {
        const name = nameText(params, 'template')
        const revisionId = integer(params, 'revision')
        const sample = nameText(params, 'sample') || null
        if (revisionId !== null) return show(await ofRevision(revisionId, name), sample)
        if (!name) return { templates: await collection() }
        const template = await templates.byName(name)
        if (!template) throw unknownTemplate(name)
        return show(template, sample)
      },
    },

    post: {
      summary: 'Create a template, or change what is given; every save makes a revision',
      params: Type.Object({
        template: nameOf('the template'),
        revision: Type.Optional(Type.Integer({ description: 'Begin from this revision' })),
        sample: Type.Optional(nameOf('the variant whose content to change')),
        ...each(LINES, () => Type.String({ description: 'One line' })),
        ...each(TEXTS, () => Type.String()),
        ...each(Object.keys(FLAGS) as Flag[], (name) => flag(FLAGS[name])),
        ...each(Object.keys(MAPS) as MapName[], (name) => anyMap(MAPS[name])),
        labels: Type.Optional(choices('1 sets a label, 0 takes it away')),
      }),
      async handle({ apiKey }, params) {
        const name = required(nameText(params, 'template')?.trim() ?? null, 'template')
        const change = readChange(params)
        const revisionId = integer(params, 'revision')
        const sample = nameText(params, 'sample')?.trim() || undefined
        if (revisionId !== null) await ofRevision(revisionId, name)
        const senders = { settings: await settings.get(), from: config.from }
        const sender = change.from_email?.trim() ?? ''
        if (!isVerifiedSender(sender, senders)) throw unverifiedSender(sender)
        const outcome = await templates.save(name, change, {
          restore: revisionId ?? undefined,
          sample,
          author: { via: 'api', actor: apiKey.key },
        })
        if (!outcome.ok) throw new ApiError(99, outcome.problem)
        const shown = await show(outcome.template, sample ?? null)
        // A field of our own, left out where there is nothing to say.
        return outcome.warnings.length > 0 ? { ...shown, warnings: outcome.warnings } : shown
      },
    },

    delete: {
      summary: 'Delete a template',
      params: Type.Object({ template: nameOf('the template') }),
      async handle(_, params) {
        const name = required(nameText(params, 'template'), 'template')
        const outcome = await templates.remove(name)
        if (!outcome.ok) throw outcome.reason === 'in_use' ? templateInUse(name) : unknownTemplate(name)
        return { template: name, ok: true }
      },
    },
  }

  async function ofRevision(id: number, name: string | null): Promise<LoadedTemplate> {
    const isId = id > 0 && id < 2 ** 31
    const found = isId ? (await templates.byRevisions([id])).get(id) : undefined
    if (!found || found.campaign || (name && found.name !== name))
      throw new ApiError(99, `Unknown revision: ${id}`, 404)
    return found
  }

  async function collection(): Promise<Answer[]> {
    const { timezone } = await settings.get()
    return (await templates.all()).map(({ id, name, fields, modifiedAt }) => ({
      template_id: id,
      name,
      labels: fields.labels,
      tags: fields.labels,
      subject: fields.subject,
      modify_time: formatRfc2822(modifiedAt, timezone),
      mode: fields.mode,
      data_feed_url: fields.data_feed_url,
      is_disabled: fields.is_disabled,
      is_basic: fields.is_basic,
      teams: fields.teams,
    }))
  }

  async function show({ id, name, fields, revisionId }: LoadedTemplate, sample: string | null): Promise<Answer> {
    const shown = sample === null ? fields : sampleOf(fields, sample)
    if (!shown) throw unknownSample(sample ?? '')
    const revisionIds = await templates.revisionIds(id)
    const { samples: _, ...visible } = shown
    return { template_id: id, name, sample, ...visible, revision_id: revisionId, revision_ids: revisionIds }
  }
}

function readChange(params: Params): TemplateChange {
  const change: TemplateChange = {}
  for (const name of LINES) {
    const value = headerText(params, name)
    if (value !== null) change[name] = bounded(value, name)
  }
  for (const name of TEXTS) {
    const value = text(params, name)
    if (value !== null) change[name] = bounded(value, name)
  }
  for (const name of Object.keys(FLAGS) as Flag[]) {
    const value = bool01(params, name)
    if (value !== null) change[name] = value
  }
  for (const name of Object.keys(MAPS) as MapName[]) {
    const value = readVars(params, name)
    if (value !== undefined) change[name] = value as JsonObject
  }
  const labels = readChoices(params, 'labels')
  if (labels) change.labels = Object.fromEntries(labels)
  return change
}

function bounded(value: string, name: string): string {
  if (value.length > LONGEST_TEXT) throw tooLarge(`Parameter ${name}`, LONGEST_TEXT)
  return value
}
