import { CompileError, compileMessage, type Message } from '@fairlead/zephyr'
import { parseAddress } from '../profiles/address.ts'
import type { TemplateFields } from './fields.ts'

/** Functions of the platform that templates may call today: those that delivery serves. */
export const HOST_FUNCTIONS: ReadonlySet<string> = new Set(['signup_confirm', 'message_id'])

/** The one template that may be sent to people who opted out, by its exact name. */
export const OPTIN_CONFIRM = 'Opt-in Confirm'

/** Compiles what a revision holds. @throws CompileError naming field, line and column */
export function compileFields(fields: TemplateFields, available: ReadonlySet<string>): Message {
  return compileMessage(
    {
      setup: fields.setup,
      from_name: fields.from_name,
      subject: fields.subject,
      content_html: fields.content_html,
      content_text: fields.content_text,
      link_params: linkParams(fields),
    },
    { available },
  )
}

/** What is wrong with fields that are about to be saved: a sentence for their author, or null. */
export function problemWith(fields: TemplateFields, available: ReadonlySet<string>): string | null {
  for (const name of ['from_email', 'replyto_email'] as const) {
    const value = fields[name]
    // An address made by Zephyr is known only when it is rendered.
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

function linkParams(fields: TemplateFields): string {
  return Object.entries(fields.link_params)
    .map(([name, value]) => `${encodeURIComponent(name)}=${value}`)
    .join('&')
}
