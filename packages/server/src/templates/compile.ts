import {
  CompileError,
  compileMessage,
  lintMessage,
  type Message,
  type MessageSource,
  type Warning,
} from '@fairlead/zephyr'
import { parseAddress } from '../profiles/address.ts'
import type { TemplateFields } from './fields.ts'

/** Functions of the platform that templates may call today: those that delivery serves. */
export const HOST_FUNCTIONS: ReadonlySet<string> = new Set(['signup_confirm', 'message_id', 'public_share'])

/** The one template that may be sent to people who opted out, by its exact name. */
export const OPTIN_CONFIRM = 'Opt-in Confirm'

const NO_VIEW = 'there is no public version yet'
const NO_FORWARD = 'there is no page for forwarding yet'
const NO_INTERESTS = 'no interests are recorded yet, so it is 0 for everybody'

/** What templates may name and get nothing of, as it is not built yet. Once it is, its line goes. */
const UNSERVED: ReadonlyMap<string, string> = new Map([
  ['public_url', NO_VIEW],
  ['forward_url', NO_FORWARD],
  ['blast', 'only campaigns have it'],
  ['emailnum', 'recipients of campaigns are not numbered'],
  ['horizon_interest', NO_INTERESTS],
  ['horizon_count', NO_INTERESTS],
  ['horizon_select', 'no interests are recorded yet, so it takes the first items'],
  ['public_share', 'triggered mail has no public version, so it prints nothing'],
])

/** Compiles what a revision holds. @throws CompileError naming field, line and column */
export function compileFields(fields: TemplateFields, available: ReadonlySet<string>): Message {
  return compileMessage(sourceOf(fields), { available })
}

/** What is wrong with fields that are about to be saved: a sentence for their author, or null. */
export function problemWith(fields: TemplateFields, available: ReadonlySet<string>): string | null {
  for (const name of ['from_email', 'replyto_email'] as const) {
    const value = fields[name]
    // A sender has to be known, and proved to be the account's, before anything is rendered. RFC 5321 allows braces.
    if (value.includes('{')) return `${name} cannot hold Zephyr, it must be an email address: ${value}`
    if (value !== '' && !parseAddress(value)) return `${name} is not an email address: ${value}`
  }
  try {
    compileFields(fields, available)
    return null
  } catch (error) {
    if (error instanceof CompileError) return error.message
    throw error
  }
}

/** What is probably not meant in fields that can be saved, for their author to look at. */
export function warningsAbout(name: string, fields: TemplateFields, available: ReadonlySet<string>): Warning[] {
  const warnings = lintMessage(sourceOf(fields), { available, escaping: false, unserved: UNSERVED })
  // What is transactional, or asks for a yes, gets no opt-out footer.
  const hasFooter = !fields.is_basic && name !== OPTIN_CONFIRM
  return hasFooter ? warnings : warnings.filter(({ code }) => code !== 'no-optout-link')
}

function sourceOf(fields: TemplateFields): MessageSource {
  return {
    setup: fields.setup,
    from_name: fields.from_name,
    subject: fields.subject,
    content_html: withCrLf(fields.content_html),
    content_text: withCrLf(fields.content_text),
    link_params: linkParams(fields),
  }
}

/** Lines end as they end in mail, once for all messages and not in each of them. */
const withCrLf = (text: string) => text.replace(/\r\n?|\n/g, '\r\n')

function linkParams(fields: TemplateFields): string {
  return Object.entries(fields.link_params)
    .map(([name, value]) => `${encodeURIComponent(name)}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('&')
}
