import type { RenderedMessage } from '@fairlead/zephyr'
import type { Sender } from '../config.ts'
import type { Links } from '../links/links.ts'
import type { SendOptions } from '../sends/message-table.ts'
import { readsOptoutLink } from '../templates/reads.ts'
import type { LoadedTemplate } from '../templates/templates.ts'
import type { DkimKey } from './dkim/key.ts'
import { signDkim } from './dkim/sign.ts'
import { withOptoutFooter } from './footer.ts'
import { asciiDomain } from './mime/domain.ts'
import type { ExtraHeader } from './mime/message.ts'
import type { MimeWriter } from './mime/writer.ts'
import type { ClaimedMessage } from './queue.ts'
import type { Capabilities } from './smtp/capabilities.ts'
import type { Transmittable } from './transport.ts'

export type ComposeOutcome = { ok: true; composed: Transmittable } | { ok: false; problem: string }

export interface ComposeParts {
  links: Pick<Links, 'oneClick'>
  sendIdOf: (messageId: number) => string
  /** The account's sender, used where the template has none. */
  from: Sender
  /** Envelope sender of a message; null: the account's sender for all. */
  returnPathOf: ((messageId: number) => string) | null
  mime: MimeWriter
  /** Keys to sign with: those of the sender's domain. */
  dkim: readonly DkimKey[]
}

/** What is put together: a message, its template, and what the template printed for this person. */
export interface Draft {
  message: ClaimedMessage
  template: LoadedTemplate
  /** Those of the message, with the copies that were decided about. */
  options: SendOptions
  /** It holds a link that proves whose mailbox it reached: no copies. */
  isForOne: boolean
  rendered: RenderedMessage
  optoutUrl: string
  /** The person's own name for the To header; null: none known. */
  recipientName: string | null
  /** Only the text part. */
  textOnly: boolean
  now: Date
}

/** Writes the message as it goes to a server that offers this: RFC 5322 headers, then text and HTML as alternatives. */
export async function compose(parts: ComposeParts, draft: Draft, offers: Capabilities): Promise<ComposeOutcome> {
  const { message, template, rendered, options, isForOne } = draft
  const isCommercial = !template.isBasic && message.kind !== 'receipt' && !isConfirmation(draft)
  const body = isCommercial ? withOptoutFooter(rendered, draft.optoutUrl, readsOptoutLink(template)) : rendered
  if (body.html === '' && body.text === '') return { ok: false, problem: 'the template has neither HTML nor text' }
  const from = { name: rendered.fromName || parts.from.name, address: template.fields.from_email || parts.from.address }
  const domain = from.address.slice(from.address.lastIndexOf('@') + 1)
  const signer = asciiDomain(domain).toLowerCase()
  const keys = parts.dkim.filter((key) => key.domain === signer)
  const sendId = parts.sendIdOf(message.id)
  const given = { ...options.headers }
  const [cc, bcc] = [takeHeader(given, 'cc'), takeHeader(given, 'bcc')]
  const written = parts.mime.write(
    {
      from,
      to: { name: draft.recipientName ?? '', address: message.address },
      cc: isForOne ? undefined : cc,
      bcc: isForOne ? undefined : bcc,
      sender: options.behalf_email || undefined,
      replyTo: options.replyto || template.fields.replyto_email || undefined,
      subject: options.test ? `[TEST] ${rendered.subject}` : rendered.subject,
      messageId: `<${sendId}@${domain}>`,
      date: draft.now,
      headers: [
        { name: 'X-Fairlead-Ref', value: sendId },
        ...unsubscribeHeaders(parts, draft),
        ...Object.entries(given).map(([name, value]) => ({ name, value, oneLine: /^list-unsubscribe/i.test(name) })),
      ],
      html: draft.textOnly || body.html === '' ? undefined : body.html,
      text: body.text === '' ? undefined : body.text,
    },
    // A signature does not survive being re-encoded by a later server that takes 7 bits only (RFC 6376 §5.3).
    { eightBit: offers.eightBit && keys.length === 0, smtpUtf8: offers.utf8 },
  )
  if (!written.ok) return { ok: false, problem: written.problem }
  const raw = keys.length === 0 ? written.raw : await signed(written.raw, keys, draft.now)
  const sender = parts.returnPathOf?.(message.id) ?? from.address
  const envelope = { from: sender, to: written.recipients, envelopeId: sendId }
  return { ok: true, composed: { envelope, raw, traits: written } }
}

async function signed(raw: Buffer, keys: readonly DkimKey[], now: Date): Promise<Buffer> {
  return Buffer.concat([await signDkim(raw, keys, now), raw])
}

/** The one confirmation of an opt-in: it asks for a yes, so it carries no way to say no again. */
function isConfirmation({ message, template }: Draft): boolean {
  return message.kind === 'optin' || template.isOptinConfirm
}

/** One-click unsubscription (RFC 8058 §3.1), on everything that is not transactional. */
function unsubscribeHeaders({ links }: ComposeParts, draft: Draft): ExtraHeader[] {
  const { message, template } = draft
  if (template.isBasic || isConfirmation(draft)) return []
  const url = links.oneClick({ messageId: message.id, profileId: message.profile_id, address: message.address })
  return [
    // Kept on one line: some receivers do not put a folded address together again.
    { name: 'List-Unsubscribe', value: `<${url}>`, oneLine: true },
    { name: 'List-Unsubscribe-Post', value: 'List-Unsubscribe=One-Click', oneLine: true },
  ]
}

function takeHeader(headers: Record<string, string>, name: string): string | undefined {
  const key = Object.keys(headers).find((header) => header.toLowerCase() === name)
  if (key === undefined) return undefined
  const value = headers[key]
  delete headers[key]
  return value || undefined
}
