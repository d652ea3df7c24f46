import { contentOf } from '../campaigns/freeze.ts'
import { SCHEDULE_TYPES } from '../campaigns/send-time.ts'
import { type CampaignPlan, CRITERIA, type Criterion, type Variant } from '../campaigns/tables.ts'
import type { Lists } from '../lists/lists.ts'
import type { JsonObject } from '../platform/json.ts'
import { parseAddress } from '../profiles/address.ts'
import { sampleOf, type TemplateChange, type TemplateFields } from '../templates/fields.ts'
import type { LoadedTemplate, Templates } from '../templates/templates.ts'
import { array, bool01, commaList, integer, number, text, time } from './coerce.ts'
import { ApiError, invalidEmail, invalidValue, tooLarge, unknownList, unknownTemplate } from './errors.ts'
import { isMap, type Params } from './parameters.ts'
import { choice, headerText, LONGEST_NAME, nameText, readChoices, readVars } from './person-params.ts'

/** Readers for what campaigns and their repeats take. */

/** Characters in one text of a campaign; mail programs cut messages off long before. */
const LONGEST_TEXT = 2_000_000
const MOST_LISTS = 100
const MOST_SEEDS = 100
const MOST_VARIANTS = 5
/** Hours over which a campaign may be spread. */
const MOST_HOURS = 72

/** Parameter → field of the content. */
const LINES = {
  from_name: 'from_name',
  from_email: 'from_email',
  replyto: 'replyto_email',
  subject: 'subject',
  link_domain: 'link_domain',
  ad_plan: 'ad_plan',
} as const
const TEXTS = [
  'content_html',
  'content_text',
  'content_sms',
  'setup',
  'data_feed_url',
  'content_app',
  'app_badge',
  'app_sound',
] as const
const MAPS = ['link_params', 'test_vars', 'app_data'] as const

/** What of the content a call gives. */
export function readContent(params: Params): TemplateChange {
  const change: TemplateChange = {}
  for (const [name, field] of Object.entries(LINES) as Array<[string, (typeof LINES)[keyof typeof LINES]]>) {
    const value = headerText(params, name)
    if (value !== null) change[field] = bounded(value, name)
  }
  for (const name of TEXTS) {
    const value = text(params, name)
    if (value !== null) change[name] = bounded(value, name)
  }
  for (const name of MAPS) {
    const value = readVars(params, name)
    if (value !== undefined) change[name] = value as JsonObject
  }
  const tracked = bool01(params, 'is_link_tracking')
  if (tracked !== null) change.is_link_tracking = tracked
  // The Java client has a name of its own for it.
  const analytics = bool01(params, 'is_google_analytics') ?? bool01(params, 'is_google_tracking')
  if (analytics !== null) change.is_google_analytics = analytics
  const labels = readChoices(params, 'labels')
  if (labels) change.labels = Object.fromEntries(labels)
  return change
}

function bounded(value: string, name: string): string {
  if (value.length > LONGEST_TEXT) throw tooLarge(`Parameter ${name}`, LONGEST_TEXT)
  return value
}

/**
 * What of the plan a call gives, without what has to be looked up.
 *
 * @param zone of times that name none
 */
export function readPlan(params: Params, now: Date, zone: string): Partial<CampaignPlan> {
  const plan: Partial<CampaignPlan> = {}
  const vars = readVars(params)
  if (vars !== undefined) plan.vars = vars
  const report = headerText(params, 'report_email')
  if (report !== null) plan.reportEmail = report === '' ? '' : oneAddress(report)
  const seeds = commaList(params, 'seed_emails')
  if (seeds) plan.seedEmails = addresses(seeds)
  const hours = integer(params, 'email_hour_range')
  if (hours !== null) {
    if (hours < 0 || hours > MOST_HOURS) throw invalidValue('email_hour_range', `0 to ${MOST_HOURS} hours`)
    plan.hours = hours
  }
  const percent = number(params, 'test_percent')
  if (percent !== null) {
    if (percent < 0 || percent > 100) throw invalidValue('test_percent', '0 to 100')
    plan.testPercent = percent
  }
  const flags = { is_public: 'isPublic', autoconvert_text: 'autoconvertText', capping_enabled: 'isCapped' } as const
  for (const [name, field] of Object.entries(flags)) {
    const value = bool01(params, name)
    if (value !== null) plan[field] = value
  }
  const type = choice(params, 'schedule_type', SCHEDULE_TYPES)
  if (type !== null) plan.scheduleType = type
  const fallback = readFallback(params, now, zone)
  if (fallback !== undefined) plan.fallbackTime = fallback
  return plan
}

const TIME_OF_DAY = /^\s*(\d{1,2})(?::(\d{2}))?(?::\d{2})?\s*([ap])?\.?m?\.?\s*$/i

/** `fallback_time`: a time of day, or a date with a time; an empty text takes it away. */
function readFallback(params: Params, now: Date, zone: string): string | null | undefined {
  const given = params.fallback_time
  if (given === undefined || given === null) return undefined
  if (given === '') return null
  if (typeof given !== 'string' || !TIME_OF_DAY.test(given)) {
    return time(params, 'fallback_time', now, zone)?.toISOString()
  }
  const minutes = minutesIn(given, 'fallback_time')
  const two = (n: number) => String(n).padStart(2, '0')
  return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
}

/** `9:00 am`, `09:00`, `9pm` → minutes after midnight. */
export function minutesIn(value: string, name: string): number {
  const found = TIME_OF_DAY.exec(value)
  const half = found?.[3]?.toLowerCase()
  const hour = Number(found?.[1])
  const minute = Number(found?.[2] ?? 0)
  const isKnown = found && (half ? hour >= 1 && hour <= 12 : hour <= 23) && minute <= 59
  if (!isKnown) throw invalidValue(name, 'a time of day like 9:00 am')
  return ((half ? hour % 12 : hour) + (half === 'p' ? 12 : 0)) * 60 + minute
}

/** Addresses that exist in form, each mailbox once. */
export function addresses(given: readonly string[]): string[] {
  if (given.length > MOST_SEEDS) throw invalidValue('seed_emails', `at most ${MOST_SEEDS} addresses`)
  return [...new Map(given.map((email) => [parseAddress(email)?.lookup, oneAddress(email)])).values()]
}

function oneAddress(email: string): string {
  const address = parseAddress(email)
  if (!address) throw invalidEmail(email)
  return address.display
}

/** `previous_blast_id` with `message_criteria`: only those who did, or did not do, something with an earlier one. */
export async function readRetarget(
  params: Params,
  exists: (id: number) => Promise<boolean>,
): Promise<Pick<CampaignPlan, 'previousId' | 'criterion'> | null> {
  const given = text(params, 'previous_blast_id')
  if (given === null || given === '') return null
  const id = /^\d{1,9}$/.test(given) ? Number(given) : 0
  if (id === 0) throw new ApiError(99, 'previous_blast_id must be a positive integer')
  if (!(await exists(id))) throw new ApiError(99, `No blast found with id: ${id}`)
  const criterion = text(params, 'message_criteria') ?? ''
  if (!(CRITERIA as readonly string[]).includes(criterion)) throw new ApiError(99, 'invalid message criteria')
  return { previousId: id, criterion: criterion as Criterion }
}

/** Ids of lists; `suppress_list` is a list by commas, `list` the name of one list or an array. */
export async function readLists(
  params: Params,
  name: 'list' | 'suppress_list',
  lists: Pick<Lists, 'find' | 'byIds'>,
): Promise<number[] | undefined> {
  const isSeveral = name === 'suppress_list' || typeof params[name] === 'object'
  const names = isSeveral ? commaList(params, name) : oneName(nameText(params, name))
  if (names === null) return undefined
  if (names.length > MOST_LISTS) throw invalidValue(name, `at most ${MOST_LISTS} lists`)
  const found = await lists.find(names)
  for (const one of names) if (!found.has(one)) throw unknownList(one)
  const ids = [...new Set(names.map((one) => found.get(one)!))]
  await refuseSmart(ids, lists)
  return ids
}

const oneName = (name: string | null) => (name === null || name === '' ? null : [name])

async function refuseSmart(ids: readonly number[], lists: Pick<Lists, 'byIds'>): Promise<void> {
  for (const [, { type, name }] of await lists.byIds(ids)) {
    if (type === 'smart') throw new ApiError(99, `List ${name} is a smart list, and those have no members yet`)
  }
}

/**
 * `abtest`: up to five variants, by name. Each is a sample of the template that is copied, or else a template, whose
 * content is copied now. An empty value ends the comparison.
 */
export async function readVariants(
  params: Params,
  copied: LoadedTemplate | null,
  templates: Pick<Templates, 'byName'>,
): Promise<Variant[] | undefined> {
  const given = params.abtest
  if (given === undefined || given === null) return undefined
  const names = typeof given === 'string' ? commaList(params, 'abtest') : array(params, 'abtest')
  const variants: Variant[] = []
  for (const [index, one] of (names ?? []).entries()) {
    const name = isMap(one) ? text(one, 'template', `abtest[${index}][template]`) : one
    if (typeof name !== 'string' || name === '' || name.length > LONGEST_NAME) {
      throw invalidValue(`abtest[${index}]`, 'the name of a sample or template')
    }
    variants.push({ name, content: await variantContent(name, copied, templates) })
  }
  if (variants.length > MOST_VARIANTS) throw invalidValue('abtest', `at most ${MOST_VARIANTS} variants`)
  return variants
}

async function variantContent(
  name: string,
  copied: LoadedTemplate | null,
  templates: Pick<Templates, 'byName'>,
): Promise<TemplateFields> {
  const sample = copied && sampleOf(copied.fields, name)
  if (sample) return contentOf(sample)
  const template = await templates.byName(name)
  if (!template) throw unknownTemplate(name)
  return contentOf(template.fields)
}

/** Whether an id can be one of ours. */
export const isId = (id: number) => id > 0 && id < 2 ** 31
