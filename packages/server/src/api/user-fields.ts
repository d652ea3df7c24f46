import { type Activity, NO_ACTIVITY } from '../activity/read.ts'
import type { Deliverability } from '../consent/decide.ts'
import { formatRfc2822 } from '../platform/time-text.ts'
import type { ProfileState } from '../profiles/change.ts'
import { engagementOf } from '../profiles/engagement.ts'
import { describeKeys } from '../profiles/ids.ts'
import { describe } from '../purchases/order.ts'
import { countSent } from '../sends/read.ts'
import type { Answer } from './answer.ts'
import { map, number } from './coerce.ts'
import type { Params } from './parameters.ts'
import type { ApiParts } from './parts.ts'
import type { People } from './people.ts'

/** What a person looks like through `GET user`: fields by name, each made only when it is asked for. */

const FIELDS = [
  'keys',
  'vars',
  'lists',
  'engagement',
  'optout_email',
  'activity',
  'device',
  'lifetime',
  'purchases',
  'purchase_incomplete',
  'smart_lists',
  'optout_sms_status',
  'sms_marketing_status',
  'sms_transactional_status',
  'pixel_tracking_consent',
  'optout_templates',
  'hardbounce',
  'email_status',
] as const
export type Field = (typeof FIELDS)[number]

/** Field → 1, or how many are wanted. */
export type Fields = ReadonlyMap<Field, number>

const DEFAULT_FIELDS: Fields = new Map(
  (['keys', 'vars', 'lists', 'engagement', 'optout_email'] as const).map((field) => [field, 1]),
)
const MOST_PURCHASES = 1_000
const ALL_PURCHASES = 100

/** The fields named in `fields`; null when none that we know is. Names we do not know are passed over. */
export function readFields(params: Params): Fields | null {
  const given = map(params, 'fields')
  if (given === null) return null
  const fields = new Map<Field, number>()
  for (const field of FIELDS) {
    const wanted = number(given, field, `fields[${field}]`)
    if (wanted !== null && wanted > 0) fields.set(field, wanted)
  }
  return fields.size > 0 ? fields : null
}

type Parts = Pick<ApiParts, 'db' | 'lists' | 'templates' | 'purchases'> & { people: People }

/** Shows a person. @param fields null: the usual ones */
export async function showUser(
  parts: Parts,
  profile: ProfileState,
  fields: Fields | null,
  { now, zone }: { now: Date; zone: string },
): Promise<Answer> {
  const wanted = fields ?? DEFAULT_FIELDS
  const time = (at: Date) => formatRfc2822(at, zone)
  const needsMailbox = wanted.has('engagement') || wanted.has('hardbounce') || wanted.has('email_status')
  const needsActivity = wanted.has('engagement') || wanted.has('activity') || wanted.has('lifetime')
  const [lists, mailbox, activity] = await Promise.all([
    wanted.has('lists') ? listTimes(parts, profile, time) : null,
    needsMailbox ? parts.people.deliverability(profile) : ('unknown' as const),
    needsActivity ? parts.people.activity(profile) : NO_ACTIVITY,
  ])
  const makers: Record<Field, (count: number) => unknown> = {
    keys: () => describeKeys(profile),
    vars: () => profile.vars,
    lists: () => lists,
    engagement: () => engagementOf(profile, mailbox, now, activity),
    optout_email: () => profile.level,
    activity: () => timesOf(profile, activity, time),
    device: () => ({}),
    lifetime: () => lifetimeOf(parts, profile, activity),
    purchases: async (count) => {
      const limit = count === 1 ? ALL_PURCHASES : Math.min(Math.trunc(count), MOST_PURCHASES)
      return (await parts.purchases.of(profile.id, limit)).map((purchase) => describe(purchase, time))
    },
    purchase_incomplete: async () => {
      const cart = await parts.purchases.cart(profile.id)
      return cart ? [describe(cart, time)] : []
    },
    smart_lists: () => [],
    optout_sms_status: () => (profile.sms.marketing === 'opt-out' ? 'opt-out' : profile.sms.marketing && 'opt-in'),
    sms_marketing_status: () => profile.sms.marketing,
    sms_transactional_status: () => profile.sms.transactional,
    pixel_tracking_consent: () => profile.pixelConsent,
    optout_templates: () => templateOptouts(parts, profile),
    hardbounce: () => (mailbox === 'hardbounce' || mailbox === 'invalid' ? 1 : 0),
    email_status: () => statusOf(mailbox),
  }
  const answer: Answer = {}
  for (const [field, count] of wanted) answer[field] = (await makers[field](count)) ?? null
  return answer
}

async function listTimes({ lists }: Parts, profile: ProfileState, time: (at: Date) => string): Promise<Answer | null> {
  if (profile.lists.size === 0) return null
  const names = await lists.byIds([...profile.lists.keys()])
  const joined: Answer = {}
  for (const [id, at] of profile.lists) {
    const name = names.get(id)?.name
    if (name !== undefined) joined[name] = time(at)
  }
  return Object.keys(joined).length > 0 ? joined : null
}

function statusOf(mailbox: Deliverability): 'valid' | 'hardbounce' | 'softbounce' {
  if (mailbox === 'hardbounce' || mailbox === 'invalid') return 'hardbounce'
  return mailbox === 'softbounce' ? 'softbounce' : 'valid'
}

/** Times of what happened; what never happened is left out. */
function timesOf(profile: ProfileState, { openedAt, clickedAt }: Activity, time: (at: Date) => string): Answer {
  const { createdAt, signupAt, loginAt, optoutAt } = profile
  return {
    ...(signupAt && { signup_time: time(signupAt) }),
    create_time: time(createdAt),
    ...(openedAt && { open_time: time(openedAt) }),
    ...(clickedAt && { click_time: time(clickedAt) }),
    ...(loginAt && { login_time: time(loginAt) }),
    ...(optoutAt && { optout_time: time(optoutAt) }),
  }
}

async function lifetimeOf({ db, purchases }: Parts, profile: ProfileState, activity: Activity): Promise<Answer> {
  const [messages, { orders, price }] = await Promise.all([countSent(db, profile.id), purchases.lifetime(profile.id)])
  const { opens, clicks } = activity
  const seen = { lifetime_message: messages, lifetime_open: opens, lifetime_click: clicks }
  return { ...seen, lifetime_purchase: orders, lifetime_purchase_price: price }
}

/** Template name → 0 for each template the person left: as it would be written. */
export async function templateOptouts(
  { templates }: Pick<ApiParts, 'templates'>,
  profile: ProfileState,
): Promise<Record<string, 0>> {
  const ids = [...profile.templateOptouts.keys()]
  const left = ids.length > 0 ? await templates.byIds(ids) : new Map()
  return Object.fromEntries([...left.values()].map((template) => [template.name, 0 as const]))
}
