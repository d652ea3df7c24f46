import type { RenderedMessage } from '@fairlead/zephyr'
import MailComposer from 'nodemailer/lib/mail-composer'
import type { Sender } from '../config.ts'
import type { Links } from '../links/links.ts'
import { parseAddress } from '../profiles/address.ts'
import type { LoadedTemplate } from '../templates/templates.ts'
import { withOptoutFooter } from './footer.ts'
import type { ClaimedMessage } from './queue.ts'

/** Who hands over to whom (RFC 5321 §2.3.1), and everything after DATA. */
export interface ComposedMessage {
  envelope: { from: string; to: string[] }
  raw: Buffer
}

export type ComposeOutcome = { ok: true; composed: ComposedMessage } | { ok: false; problem: string }

export interface ComposeParts {
  links: Pick<Links, 'oneClick'>
  sendIdOf: (messageId: number) => string
  /** The account's sender, used where the template has none, and as return path. */
  from: Sender
}

/** What is put together: a message, its template, and what the template printed for this person. */
export interface Draft {
  message: ClaimedMessage
  template: LoadedTemplate
  rendered: RenderedMessage
  optoutUrl: string
  /** The person's own name for the To header; null: none known. */
  recipientName: string | null
  /** Only the text part. */
  textOnly: boolean
  now: Date
}

/** Writes the message as it goes over the wire: RFC 5322 headers, then text and HTML as alternatives. */
export async function compose(parts: ComposeParts, draft: Draft): Promise<ComposeOutcome> {
  const { message, template, rendered } = draft
  const { options } = message
  const isCommercial = !template.isBasic && message.kind !== 'receipt' && !isConfirmation(draft)
  const body = isCommercial ? withOptoutFooter(rendered, draft.optoutUrl) : rendered
  const from = { name: rendered.fromName || parts.from.name, address: template.fields.from_email || parts.from.address }
  const headers = { ...options.headers }
  const copies = { cc: takeHeader(headers, 'cc'), bcc: takeHeader(headers, 'bcc') }
  const fields = {
    from,
    to: { name: draft.recipientName ?? '', address: message.address },
    subject: options.test ? `[TEST] ${rendered.subject}` : rendered.subject,
    sender: options.behalf_email,
    replyTo: options.replyto || template.fields.replyto_email || undefined,
    cc: copies.cc,
  }
  const problem = findLineBreak({ ...fields, from: from.address, name: from.name, to: message.address, ...headers })
  if (problem) return { ok: false, problem }
  if (body.html === '' && body.text === '') return { ok: false, problem: 'the template has neither HTML nor text' }

  const sendId = parts.sendIdOf(message.id)
  const composer = new MailComposer({
    ...fields,
    messageId: `<${sendId}@${from.address.slice(from.address.lastIndexOf('@') + 1)}>`,
    date: draft.now,
    html: draft.textOnly || body.html === '' ? undefined : body.html,
    text: body.text === '' ? undefined : body.text,
    headers: { 'X-Fairlead-Ref': sendId, ...unsubscribeHeaders(parts, draft), ...headers },
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  const raw = await composer.compile().build()
  const to = [message.address, ...addressesIn(copies.cc), ...addressesIn(copies.bcc)]
  return { ok: true, composed: { envelope: { from: returnPath(parts, message), to }, raw } }
}

/** The one confirmation of an opt-in: it asks for a yes, so it carries no way to say no again. */
function isConfirmation({ message, template }: Draft): boolean {
  return message.kind === 'optin' || template.isOptinConfirm
}

/**
 * Where bounces go. One address for all until bounces are read; then the message's number goes in here (VERP), which
 * is why it is asked for by message.
 */
function returnPath({ from }: ComposeParts, _message: ClaimedMessage): string {
  return from.address
}

/** One-click unsubscription (RFC 8058 §3.1), on everything that is not transactional. */
function unsubscribeHeaders({ links }: ComposeParts, draft: Draft): Record<string, string | PreparedHeader> {
  const { message, template } = draft
  if (template.isBasic || isConfirmation(draft)) return {}
  const url = links.oneClick({ messageId: message.id, profileId: message.profile_id, address: message.address })
  return {
    // Kept on one line: some receivers do not put a folded address together again.
    'List-Unsubscribe': { prepared: true, foldLines: false, value: `<${url}>` },
    'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
  }
}

interface PreparedHeader {
  prepared: true
  foldLines: false
  value: string
}

function takeHeader(headers: Record<string, string>, name: string): string | undefined {
  const key = Object.keys(headers).find((header) => header.toLowerCase() === name)
  if (key === undefined) return undefined
  const value = headers[key]
  delete headers[key]
  return value || undefined
}

/** Plain addresses in a list by commas. */
export function addressesIn(list: string | undefined): string[] {
  return (list ?? '').split(',').flatMap((item) => {
    const bare = /<([^<>]*)>\s*$/.exec(item)?.[1] ?? item
    return parseAddress(bare)?.display ?? []
  })
}

/** A line break in a header would let its author add headers of any kind. */
function findLineBreak(values: { [name: string]: unknown }): string | null {
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === 'string' && /[\r\n\0]/.test(name + value)) return `line break in ${JSON.stringify(name)}`
  }
  return null
}
