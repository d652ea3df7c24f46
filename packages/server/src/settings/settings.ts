import { sql } from 'kysely'
import { type Author, writeAudit } from '../account/audit.ts'
import { onBehalfOf } from '../platform/callers.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database, Queryable } from '../platform/database.ts'
import type { Json } from '../platform/json.ts'
import { readPattern } from '../profiles/address-pattern.ts'

declare module '../platform/database.ts' {
  interface Schema {
    setting: { name: string; value: Json; modified_at: Date }
  }
}

/** How the account works. Every setting has a default, which is what a migrating customer expects. */
export interface Settings {
  /** IANA zone of times without a zone, of templates and of flows. */
  timezone: string
  /** What `optout_email=none` by the API does: act, act only with a `consent` object, or mail a confirmation. */
  api_optin_policy: 'legacy' | 'attested' | 'confirm'
  /** What a list join brings to a flow that lifts opt-outs: see docs/consent.md. */
  flow_optin_policy: 'evidence' | 'legacy'
  /** Receipts named by `send_template` reach people who opted out. */
  force_receipts: boolean
  /** Most `Opt-in Confirm` messages to one opted-out address in 24 hours. */
  optin_confirm_limit: number
  /** Accept `hash=md5(email + secret)` on /manage links. */
  legacy_manage_hash: boolean
  /**
   * How a confirmation link of somebody who has not opted out acts: at the press of the button, or by itself as soon as
   * a person is seen at the page. Lifting an opt-out always takes the button.
   */
  confirm_mode: 'button' | 'auto'
  /**
   * What a click on a link with `sailthru_lists` or `sailthru_vars` does: act once it is certain that a person clicked,
   * ask on a page with a button, or nothing. See docs/consent.md.
   */
  link_list_mode: 'scored' | 'interstitial' | 'off'
  /** Campaigns with `capping_enabled` leave out who got so many campaign messages in the last days; 0: nobody. */
  frequency_cap: number
  /** The days in which `frequency_cap` counts. */
  frequency_cap_days: number
  /** Domains of the account's own websites, with commas between: links elsewhere change nothing. Empty: any. */
  site_domains: string
  /** People who said nothing about open pixels get none, as if they had refused. */
  pixel_needs_consent: boolean
  /** Opt-out level that the one-click header sets. */
  oneclick_level: 'basic' | 'all'
  /** Postal line at the foot of hosted pages. */
  sender_name: string
  /** Addresses and domains that templates may name as their sender, with commas between; empty: any. */
  verified_senders: string
  /** Where opt-out postbacks go; empty: nowhere. */
  optout_postback_url: string
  /** Where hard bounce postbacks go; empty: nowhere. */
  hardbounce_postback_url: string
  /** Where it is posted that somebody saved a preference page; empty: nowhere. */
  update_postback_url: string
  /** Whether opt-outs made by the API are posted back too. */
  postback_api_changes: boolean
  /** Rate limits of the API: documented figures, or none. */
  rate_limits: boolean
  /** Whether the API takes parameters in bracket style, whose signatures do not cover names. See docs/security.md. */
  bracket_style: 'on' | 'off'
  /** Whether POST and DELETE are refused when their signature was seen within a day. */
  refuse_seen_signatures: boolean
}

export const DEFAULTS: Settings = {
  timezone: 'UTC',
  api_optin_policy: 'legacy',
  flow_optin_policy: 'evidence',
  force_receipts: true,
  optin_confirm_limit: 5,
  legacy_manage_hash: true,
  confirm_mode: 'button',
  link_list_mode: 'scored',
  frequency_cap: 0,
  frequency_cap_days: 7,
  site_domains: '',
  pixel_needs_consent: false,
  oneclick_level: 'basic',
  sender_name: '',
  verified_senders: '',
  optout_postback_url: '',
  hardbounce_postback_url: '',
  update_postback_url: '',
  postback_api_changes: false,
  rate_limits: true,
  bracket_style: 'on',
  refuse_seen_signatures: false,
}

const CHOICES: { [name in keyof Settings]?: readonly string[] } = {
  api_optin_policy: ['legacy', 'attested', 'confirm'],
  flow_optin_policy: ['evidence', 'legacy'],
  confirm_mode: ['button', 'auto'],
  link_list_mode: ['scored', 'interstitial', 'off'],
  oneclick_level: ['basic', 'all'],
  bracket_style: ['on', 'off'],
}

/** Reads all settings as the database holds them now. */
export async function readSettings(db: Queryable): Promise<Settings> {
  const rows = await db.selectFrom('setting').select(['name', 'value']).execute()
  return { ...DEFAULTS, ...Object.fromEntries(rows.map((row) => [row.name, row.value])) }
}

/** Settings that may be some seconds old, for hot paths; a change by this process is seen at once. */
export interface SettingsCache {
  /** @param q for callers inside a transaction, who must not wait for another connection */
  get(q?: Queryable): Promise<Settings>
  forget(): void
}

const STALE_AFTER = 2_000

export function cacheSettings(db: Queryable): SettingsCache {
  let cached: { at: number; settings: Promise<Settings> } | null = null
  return {
    get(q = db) {
      if (!cached || performance.now() - cached.at > STALE_AFTER) {
        // Others may wait for it too, so it goes on when whoever asked first has been answered.
        const settings = onBehalfOf([], () => readSettings(q))
        settings.catch(() => {
          cached = null
        })
        cached = { at: performance.now(), settings }
      }
      return cached.settings
    },
    forget() {
      cached = null
    },
  }
}

/** Stores one setting, given as text, and writes down who changed it. Returns what is wrong with it, or null. */
export async function changeSetting(
  db: Database,
  clock: Clock,
  name: string,
  text: string,
  author: Author = { via: 'command', actor: null },
): Promise<string | null> {
  if (!Object.hasOwn(DEFAULTS, name)) return `unknown setting ${name}: one of ${Object.keys(DEFAULTS).join(', ')}`
  const key = name as keyof Settings
  const value = parse(key, text)
  if (value instanceof Error) return value.message
  const at = clock.now()
  await db.transaction().execute(async (tx) => {
    const before = (await readSettings(tx))[key]
    await sql`insert into setting (name, value, modified_at) values (${name}, ${JSON.stringify(value)}, ${at})
      on conflict (name) do update set value = excluded.value, modified_at = excluded.modified_at`.execute(tx)
    if (before === value) return
    const change = { subject: name, from: String(before), to: String(value), reason: null }
    await writeAudit(tx, { ...author, at, action: 'setting', ...change })
  })
  return null
}

/** The largest number that a setting may be, where more makes no sense. */
const MOST: { [name in keyof Settings]?: number } = { frequency_cap: 1_000, frequency_cap_days: 365 }

function parse(name: keyof Settings, text: string): Json | Error {
  const fallback = DEFAULTS[name]
  if (typeof fallback === 'boolean') {
    if (text !== 'true' && text !== 'false') return new Error(`${name} is true or false, not ${text}`)
    return text === 'true'
  }
  if (typeof fallback === 'number') {
    const value = Number(text)
    const most = MOST[name]
    if (most !== undefined && value > most) return new Error(`${name} is at most ${most}, not ${text}`)
    return Number.isInteger(value) && value >= 0 ? value : new Error(`${name} is a whole number, not ${text}`)
  }
  const choices = CHOICES[name]
  if (choices && !choices.includes(text)) return new Error(`${name} is one of ${choices.join(', ')}, not ${text}`)
  if (name === 'timezone' && !isTimeZone(text)) return new Error(`${text} is not an IANA time zone`)
  if (name === 'verified_senders') {
    const wrong = text.split(',').find((part) => part.trim() !== '' && readPattern(part) === null)
    if (wrong !== undefined) return new Error(`${wrong.trim()} is neither an email address nor a domain`)
  }
  if (name === 'site_domains') {
    const wrong = text.split(',').find((part) => part.trim() !== '' && !URL.canParse(`https://${part.trim()}/`))
    if (wrong !== undefined) return new Error(`${wrong.trim()} is not a domain`)
  }
  if (name.endsWith('_url') && text !== '' && !URL.canParse(text)) return new Error(`${text} is not a URL`)
  return text
}

function isTimeZone(text: string): boolean {
  // JavaScript takes +02:00 for a zone as well; to PostgreSQL that means two hours west of Greenwich.
  if (/^[+-]/.test(text)) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: text })
    return true
  } catch {
    return false
  }
}
