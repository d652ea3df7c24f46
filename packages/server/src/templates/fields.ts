import type { Json, JsonObject } from '../platform/json.ts'

/** What one revision of a template holds, named as the Sailthru API docs name it. Texts are never null, only empty. */
export interface TemplateFields {
  labels: string[]
  /** What subscribers see; empty: the name. */
  public_name: string
  from_name: string
  /** Empty: the account's default sender. */
  from_email: string
  replyto_email: string
  subject: string
  content_html: string
  content_text: string
  content_sms: string
  success_url: string
  error_url: string
  verify_post_url: string
  /** Transactional: reaches people at level `basic`. */
  is_basic: boolean
  is_link_tracking: boolean
  is_google_analytics: boolean
  is_invite: boolean
  is_disabled: boolean
  is_unviewable: boolean
  is_optin: boolean
  list: string
  teams: Json[]
  type: string
  mode: string
  test_vars: JsonObject
  link_domain: string
  /** Name → Zephyr source of the value. */
  link_params: JsonObject
  ad_plan: string
  setup: string
  data_feed_url: string
  content_app: string
  app_badge: string
  app_sound: string
  app_data: JsonObject
  /** Variants by name: what differs from the template itself. */
  samples: { [name: string]: Partial<Content> }
}

const CONTENT = [
  'from_name',
  'from_email',
  'replyto_email',
  'subject',
  'content_html',
  'content_text',
  'content_sms',
  'setup',
  'data_feed_url',
  'content_app',
  'app_badge',
  'app_sound',
  'app_data',
  'test_vars',
  'link_domain',
  'link_params',
] as const
/** What a variant may say in its own way. Whom a template reaches, and what it is called, is the same for all. */
type Content = Pick<TemplateFields, (typeof CONTENT)[number]>

export const EMPTY_FIELDS: TemplateFields = {
  labels: [],
  public_name: '',
  from_name: '',
  from_email: '',
  replyto_email: '',
  subject: '',
  content_html: '',
  content_text: '',
  content_sms: '',
  success_url: '',
  error_url: '',
  verify_post_url: '',
  is_basic: false,
  is_link_tracking: false,
  is_google_analytics: false,
  is_invite: false,
  is_disabled: false,
  is_unviewable: false,
  is_optin: false,
  list: '',
  teams: [],
  type: '',
  mode: 'email',
  test_vars: {},
  link_domain: '',
  link_params: {},
  ad_plan: '',
  setup: '',
  data_feed_url: '',
  content_app: '',
  app_badge: '',
  app_sound: '',
  app_data: {},
  samples: {},
}

/** A save: only what is given changes. Labels are a map of those to set (true) and to take away (false). */
export type TemplateChange = Partial<Omit<TemplateFields, 'labels' | 'samples'>> & {
  labels?: { [label: string]: boolean }
}

/** The fields after a change. Header-bound texts lose the line breaks around them, which would lose the mail. */
export function withChange(fields: TemplateFields, change: TemplateChange): TemplateFields {
  const { labels, ...rest } = change
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
  const changed: TemplateFields = { ...fields, ...given, labels: withLabels(fields.labels, labels ?? {}) }
  for (const name of ['subject', 'from_name', 'from_email', 'replyto_email'] as const) {
    changed[name] = changed[name].trim()
  }
  return changed
}

/** The fields after a change of one variant: content goes to the variant, everything else to the template. */
export function withSampleChange(fields: TemplateFields, change: TemplateChange, sample: string): TemplateFields {
  const content: readonly string[] = CONTENT
  const given = Object.entries(change).filter(([, value]) => value !== undefined)
  const shared = Object.fromEntries(given.filter(([name]) => !content.includes(name)))
  const own = Object.fromEntries(given.filter(([name]) => content.includes(name))) as Partial<Content>
  const names = Object.keys(own)
  const tidy = Object.entries(withChange(EMPTY_FIELDS, own)).filter(([name]) => names.includes(name))
  const before = Object.hasOwn(fields.samples, sample) ? fields.samples[sample] : {}
  const samples = new Map(Object.entries(fields.samples)).set(sample, { ...before, ...Object.fromEntries(tidy) })
  return { ...withChange(fields, shared), samples: Object.fromEntries(samples) }
}

/** A variant as a whole: its own content in place of the template's. Null when there is none of that name. */
export function sampleOf(fields: TemplateFields, sample: string): TemplateFields | null {
  return Object.hasOwn(fields.samples, sample) ? { ...fields, ...fields.samples[sample] } : null
}

function withLabels(labels: readonly string[], change: { [label: string]: boolean }): string[] {
  const after = new Set(labels)
  for (const [label, isSet] of Object.entries(change)) {
    if (isSet) after.add(label)
    else after.delete(label)
  }
  return [...after].sort()
}
