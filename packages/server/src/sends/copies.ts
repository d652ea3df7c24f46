import { loadCopies, type WantedCopy } from '../consent/copies.ts'
import { type Decision, decide, type MessageKind, type Recipient, type RefusalReason } from '../consent/decide.ts'
import type { WishesOf } from '../consent/refusals.ts'
import { parseMailboxes, printMailboxes } from '../delivery/mime/address.ts'
import type { Mailbox } from '../delivery/mime/message.ts'
import type { Queryable } from '../platform/database.ts'
import { parseAddress } from '../profiles/address.ts'
import { holdsConfirmation } from '../templates/reads.ts'
import type { LoadedTemplate } from '../templates/templates.ts'
import type { SendOptions } from './message-table.ts'

/** A message that may name copies. */
export interface Copied {
  /** Whom it is for. */
  address: string
  kind: MessageKind
  template: LoadedTemplate
  options: SendOptions
}

/** A copy that is left out. */
export interface RefusedCopy {
  /** As the caller spelled it. */
  address: string
  code: number
  /** `confirmation`: the message holds a link that proves whose mailbox it reached. */
  reason: RefusalReason | 'confirmation'
}

/** What a message may carry. */
export interface DecidedCopies {
  /** The given ones where nothing had to go. */
  options: SendOptions
  refused: readonly RefusedCopy[]
}

/**
 * Decides about the copies (`Cc`, `Bcc`) of messages. Each mailbox is decided like a recipient, by the kind of the
 * message; a refused one is taken out of the header, and so out of the envelope. A mailbox that gets the message
 * anyway, as its recipient or as an earlier copy, is taken out as well. A message that holds a confirmation link has
 * no copies. One statement for all of them, none where no message has a copy.
 *
 * @returns in the order of the messages; undefined where there is no copy
 */
export async function decideCopies(
  q: Queryable,
  wishesOf: WishesOf,
  messages: ReadonlyArray<Copied | null>,
): Promise<Array<DecidedCopies | undefined>> {
  if (!messages.some((message) => message?.options.headers)) return []
  const copied = messages.map((message) => message && readCopies(message))
  const wanted = new Map<string, WantedCopy>()
  for (const copies of copied) {
    if (!copies || copies.isConfirmation) continue
    const { named, template } = copies
    for (const { lookup } of named) if (lookup !== null) wanted.set(keyOf(lookup, template), { lookup, template })
  }
  const owners = await loadCopies(q, wishesOf, [...wanted.values()])
  const known = new Map([...wanted.keys()].map((key, index) => [key, owners[index]!]))
  return copied.map((copies) => (copies?.named.length ? decideOn(copies, known) : undefined))
}

/** A copy as its header names it. */
interface Copy {
  field: 'Cc' | 'Bcc'
  mailbox: Mailbox
  /** Null for text that is no address. */
  lookup: string | null
}

interface Copies {
  message: Copied
  template: WantedCopy['template']
  isConfirmation: boolean
  named: Copy[]
  /** Headers that name nobody. */
  others: { [name: string]: string }
}

const keyOf = (lookup: string, template: WantedCopy['template']) => `${template?.id ?? ''} ${lookup}`

/** Reads headers as the mail is written from them (delivery/mime). */
function readCopies(message: Copied): Copies {
  const { options, template } = message
  const named: Copy[] = []
  const others: Copies['others'] = {}
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    const field = /^cc$/i.test(name) ? 'Cc' : /^bcc$/i.test(name) ? 'Bcc' : null
    if (field === null) others[name] = value
    else {
      for (const mailbox of parseMailboxes(value)) {
        named.push({ field, mailbox, lookup: parseAddress(mailbox.address)?.lookup ?? null })
      }
    }
  }
  const isConfirmation = named.length > 0 && holdsConfirmation(template)
  return { message, template: template.campaign ? null : template, isConfirmation, named, others }
}

function decideOn(copies: Copies, known: ReadonlyMap<string, Recipient>): DecidedCopies {
  const { message, template, isConfirmation, named, others } = copies
  const judge = (lookup: string | null): Verdict => {
    if (isConfirmation) return CONFIRMATION
    return lookup === null ? NO_ADDRESS : decide(known.get(keyOf(lookup, template))!, message.kind)
  }
  const seen = new Set<string | null>([parseAddress(message.address)?.lookup ?? null])
  const kept: Copy[] = []
  const refused: RefusedCopy[] = []
  for (const copy of named) {
    const { lookup, mailbox } = copy
    if (lookup !== null && seen.has(lookup)) continue
    seen.add(lookup)
    const address = mailbox.address.trim()
    const verdict = judge(lookup)
    if (verdict.allowed) kept.push(copy)
    else refused.push({ address, code: verdict.code, reason: verdict.reason })
  }
  if (kept.length === named.length) return { options: message.options, refused }
  return { options: { ...message.options, headers: { ...headersOf(kept), ...others } }, refused }
}

type Verdict = Decision | ({ allowed: false } & Pick<RefusedCopy, 'code' | 'reason'>)

const NO_ADDRESS: Verdict = { allowed: false, code: 11, reason: 'invalid_email' }
const CONFIRMATION: Verdict = { allowed: false, code: 99, reason: 'confirmation' }

function headersOf(copies: readonly Copy[]): { [name: string]: string } {
  const headers: { [name: string]: string } = {}
  for (const field of ['Cc', 'Bcc'] as const) {
    const mailboxes = copies.filter((copy) => copy.field === field).map(({ mailbox }) => mailbox)
    if (mailboxes.length > 0) headers[field] = printMailboxes(mailboxes)
  }
  return headers
}
