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
}

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
}

/** A save: only what is given changes. Labels are a map of those to set (true) and to take away (false). */
export type TemplateChange = Partial<Omit<TemplateFields, 'labels'>> & { labels?: { [label: string]: boolean } }

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

function withLabels(labels: readonly string[], change: { [label: string]: boolean }): string[] {
  const after = new Set(labels)
  for (const [label, isSet] of Object.entries(change)) {
    if (isSet) after.add(label)
    else after.delete(label)
  }
  return [...after].sort()
}
