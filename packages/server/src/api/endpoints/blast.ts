import { Type } from 'typebox'
import { type CampaignChange, isEditable } from '../../campaigns/campaigns.ts'
import { contentOf } from '../../campaigns/freeze.ts'
import type { Campaign } from '../../campaigns/read.ts'
import { createTotals } from '../../campaigns/totals.ts'
import type { LoadedTemplate } from '../../templates/templates.ts'
import type { Answer } from '../answer.ts'
import { isId, readContent, readLists, readPlan, readRetarget, readVariants } from '../blast-params.ts'
import { ASKED, type BlastFacts, showBlast, showItem } from '../blast-view.ts'
import { bool01, integer, required, text, time } from '../coerce.ts'
import type { Context, Endpoint } from '../endpoints.ts'
import {
  ApiError,
  alreadySent,
  invalidEmail,
  invalidValue,
  keyConflict,
  missingField,
  missingParameter,
  type RefusalCode,
  refusedRecipient,
  templateDisabled,
  unknownBlast,
  unknownList,
  unknownTemplate,
  unverifiedSender,
} from '../errors.ts'
import type { Params } from '../parameters.ts'
import type { ApiParts } from '../parts.ts'
import { choice, headerText, nameText } from '../person-params.ts'
import { isVerifiedSender } from '../verified-senders.ts'
import { blastParams } from './blast-schemas.ts'
import { flag, nameOf, timeText } from './schemas.ts'

/** Campaigns shown when nobody says how many. */
const SHOWN = 20

type Parts = Pick<ApiParts, 'campaigns' | 'config' | 'db' | 'lists' | 'settings' | 'templates'>

/** `blast`: campaigns. */
export function blastEndpoint({ campaigns, config, db, lists, settings, templates }: Parts): Endpoint {
  const totalsOf = createTotals(db)

  return {
    get: {
      summary: 'Show one campaign, or those of a status',
      params: Type.Object({
        blast_id: Type.Optional(Type.Integer({ description: 'One campaign, with all of its fields' })),
        status: Type.Optional(Type.Enum(['created', 'scheduled', 'sending', 'sent'])),
        limit: Type.Optional(Type.Integer({ description: `Most shown; default ${SHOWN}, 0: all` })),
        skip: Type.Optional(Type.Integer()),
        list: Type.Optional(nameOf('the list')),
        start_date: Type.Optional(timeText('Not before')),
        end_date: Type.Optional(timeText('Not after')),
        vars: Type.Optional(flag('Show the vars of each')),
      }),
      async handle({ now }, params) {
        const id = integer(params, 'blast_id')
        if (id !== null) return show(await known(id))
        const word = text(params, 'status')
        if (!word) throw missingParameter('blast_id')
        return collection(word, params, now)
      },
    },

    post: {
      summary: 'Create, change, schedule, pause, resume or cancel a campaign',
      params: blastParams,
      async handle(context, params) {
        const id = integer(params, 'blast_id')
        const status = choice(params, 'status', ['draft', 'created', 'scheduled', 'sent'])
        const paused = bool01(params, 'paused')
        if (id !== null) {
          const campaign = await known(id)
          if (status === 'sent') return steer(campaign, 'cancel', context)
          if (paused || (paused === false && !isEditable(campaign)))
            return steer(campaign, paused ? 'pause' : 'resume', context)
        }
        return save(id, status, context, params)
      },
    },

    delete: {
      summary: 'Delete a campaign that has not begun',
      params: Type.Object({ blast_id: Type.Integer() }),
      async handle(_, params) {
        const id = required(integer(params, 'blast_id'), 'blast_id')
        const outcome = isId(id) ? await campaigns.remove(id) : 'unknown'
        if (outcome === 'unknown') throw unknownBlast(id)
        if (outcome === 'too_late') throw alreadySent(String(id))
        return { ok: true, blast_id: id }
      },
    },
  }

  async function known(id: number): Promise<Campaign> {
    const campaign = isId(id) ? await campaigns.get(id) : null
    if (!campaign) throw unknownBlast(id)
    return campaign
  }

  async function steer(campaign: Campaign, what: 'pause' | 'resume' | 'cancel', { apiKey }: Context): Promise<Answer> {
    const outcome = await campaigns.control(campaign.id, what, apiKey.key)
    if (outcome.ok) return show(outcome.campaign)
    if (outcome.reason === 'unknown') throw unknownBlast(campaign.id)
    throw new ApiError(99, `Unable to ${what} blast ${campaign.id}: its status does not allow it`, 403)
  }

  async function save(id: number | null, status: string | null, context: Context, params: Params): Promise<Answer> {
    const { key } = context.apiKey
    const before = id === null ? null : await known(id)
    const change = await readChange(id === null, context, params)
    if (status === 'draft' || status === 'created') change.scheduledFor = null
    if (status === 'scheduled' && !change.scheduledFor && !before?.scheduledFor) {
      throw missingField('schedule_time', 'blast')
    }
    const outcome = await campaigns.save(id, change, key)
    if (!outcome.ok) {
      if (outcome.reason === 'unknown') throw unknownBlast(id ?? 0)
      if (outcome.reason === 'missing') throw missingField(outcome.field, 'blast')
      if (outcome.reason === 'invalid') throw new ApiError(99, outcome.problem)
      throw new ApiError(99, `Unable to change blast ${id}: it has begun, and can only be paused or cancelled`, 403)
    }
    const test = headerText(params, 'test_email')
    if (test) await sendTest(outcome.campaign, test, key)
    return show(outcome.campaign)
  }

  async function sendTest(campaign: Campaign, email: string, key: string): Promise<void> {
    const outcome = await campaigns.test(campaign, email, key)
    if (outcome.ok) return
    if (outcome.reason === 'key_conflict') throw keyConflict('email')
    throw outcome.code === 11 ? invalidEmail(email) : refusedRecipient(outcome.code as RefusalCode, email)
  }

  async function readChange(isNew: boolean, context: Context, params: Params): Promise<CampaignChange> {
    const source = await readSource(params)
    const content = readContent(params)
    const name = nameText(params, 'name')?.trim()
    const listIds = await readLists(params, 'list', lists)
    if (isNew && !source) requireContent(params)
    if (isNew && !listIds && !source?.listIds) throw missingParameter('list')
    const sender = content.from_email ?? source?.base?.from_email ?? ''
    if (!isVerifiedSender(sender, { settings: await settings.get(), from: config.from })) throw unverifiedSender(sender)
    const retarget = await readRetarget(params, async (id) => isId(id) && (await campaigns.get(id)) !== null)
    const variants = await readVariants(params, source?.template ?? null, templates)
    const { timezone } = await settings.get()
    const scheduledFor = readTime(params, context.now, timezone)
    return {
      name: name || (isNew ? source?.name : undefined),
      base: source?.base,
      content,
      plan: {
        ...source?.plan,
        ...readPlan(params, context.now, timezone),
        ...retarget,
        ...(variants ? { variants } : {}),
      },
      listIds: listIds ?? (isNew ? source?.listIds : undefined),
      suppressIds: (await readLists(params, 'suppress_list', lists)) ?? (isNew ? source?.suppressIds : undefined),
      scheduledFor,
    }
  }

  /** Where the content comes from, if not from the call: a template, another campaign, a template at the time of sending. */
  async function readSource(params: Params) {
    const copied = nameText(params, 'copy_template')
    if (copied) {
      const template = await requireTemplate(copied)
      const plan = { copiedFrom: copied, evalTemplateId: null }
      return { template, name: copied, base: contentOf(template.fields), plan }
    }
    const evaluated = nameText(params, 'eval_template')
    if (evaluated) {
      const template = await requireTemplate(evaluated)
      const plan = { copiedFrom: evaluated, evalTemplateId: template.id }
      return { template, name: evaluated, base: contentOf(template.fields), plan }
    }
    const other = integer(params, 'copy_blast')
    if (other === null) return null
    const { name, content, plan, listIds, suppressIds } = await known(other)
    return { template: null, name, base: content, plan, listIds, suppressIds }
  }

  async function requireTemplate(name: string): Promise<LoadedTemplate> {
    const template = await templates.byName(name)
    if (!template) throw unknownTemplate(name)
    if (template.isDisabled) throw templateDisabled(name)
    return template
  }

  async function collection(word: string, params: Params, now: Date): Promise<Answer> {
    const asked = Object.hasOwn(ASKED, word) ? ASKED[word] : undefined
    if (!asked) throw invalidValue('status', 'created, scheduled, sending or sent')
    const { timezone } = await settings.get()
    const listName = nameText(params, 'list')
    const listId = listName ? (await lists.find([listName])).get(listName) : undefined
    if (listName && listId === undefined) throw unknownList(listName)
    const skip = natural(params, 'skip') ?? 0
    const found = await campaigns.list({
      statuses: asked.of,
      listId,
      since: time(params, 'start_date', now, timezone) ?? undefined,
      until: time(params, 'end_date', now, timezone) ?? undefined,
      newestFirst: asked.status === 'sent',
      skip,
      limit: natural(params, 'limit') ?? SHOWN,
    })
    const counts = await campaigns.countByStatus()
    const count = (of: string) => (ASKED[of]?.of ?? []).reduce((sum, status) => sum + (counts.get(status) ?? 0), 0)
    const facts = await factsOf(found.campaigns)
    const withVars = bool01(params, 'vars') === true
    return {
      unscheduled_count: count('created'),
      scheduled_count: count('scheduled'),
      sending_count: count('sending'),
      sent_count: count('sent'),
      blast_count: [...counts.values()].reduce((sum, n) => sum + n, 0),
      filtered_count: found.total,
      status: asked.status,
      skip,
      blasts: found.campaigns.map((campaign) => ({
        ...showItem(campaign, facts(campaign)),
        ...(withVars ? { vars: campaign.plan.vars } : {}),
      })),
    }
  }

  async function show(campaign: Campaign): Promise<Answer> {
    return showBlast(campaign, (await factsOf([campaign]))(campaign))
  }

  async function factsOf(shown: readonly Campaign[]): Promise<(campaign: Campaign) => BlastFacts> {
    const begun = shown.filter((campaign) => !isEditable(campaign)).map(({ id }) => id)
    const listIds = [...new Set(shown.flatMap((campaign) => [...campaign.listIds, ...campaign.suppressIds]))]
    const waiting = [...new Set(shown.filter(isEditable).flatMap((campaign) => campaign.listIds))]
    const [{ timezone }, names, totals, members] = await Promise.all([
      settings.get(),
      lists.byIds(listIds),
      totalsOf(begun),
      lists.sizes(waiting),
    ])
    return (campaign) => ({
      timezone,
      lists: names,
      totals: totals.get(campaign.id) ?? null,
      expected: campaign.listIds.reduce((sum, id) => sum + (members.get(id) ?? 0), 0),
    })
  }
}

/** What a new campaign whose content comes from nowhere else cannot do without. One of the two parts may be empty. */
function requireContent(params: Params): void {
  for (const name of ['name', 'list', 'from_name', 'from_email', 'subject']) {
    if (name !== 'list') required(headerText(params, name), name)
    else if (params.list === undefined || params.list === null || params.list === '') throw missingParameter('list')
  }
  for (const name of ['content_html', 'content_text']) if (text(params, name) === null) throw missingParameter(name)
  if (text(params, 'content_html') === '' && text(params, 'content_text') === '') throw missingParameter('content_html')
}

/** A time, `null` for an empty text (take it off the schedule), undefined when it is not given. */
function readTime(params: Params, now: Date, zone: string): Date | null | undefined {
  const given = params.schedule_time
  if (given === undefined || given === null) return undefined
  if (given === '') return null
  const at = time(params, 'schedule_time', now, zone)
  return at !== null && at < now ? now : at
}

function natural(params: Params, name: string): number | null {
  const value = integer(params, name)
  if (value !== null && value < 0) throw invalidValue(name, 'no negative number')
  return value
}
