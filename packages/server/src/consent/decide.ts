import type { Level } from './levels.ts'

/**
 * What is about to be written: a campaign, a triggered message of an ordinary template, one of a transactional
 * ("basic") template, a receipt that a purchase forces out, or the opt-in confirmation.
 */
export type MessageKind = 'campaign' | 'triggered' | 'basic' | 'receipt' | 'optin'

/** Whether the address takes mail at all: a fact about the mailbox, apart from what its owner wants. */
export type Deliverability = 'unknown' | 'ok' | 'softbounce' | 'hardbounce' | 'invalid'

/** What the decision needs to know about a person. */
export interface Recipient {
  /** False for text that is no address. */
  addressIsValid: boolean
  level: Level
  deliverability: Deliverability
  /** On the operator's own block list, or one that must never be written to. */
  block: 'blacklist' | 'never' | null
  /** Opted out of the very template that is to be sent. */
  isOutOfTemplate: boolean
}

/** Why a message may not be sent, as the API numbers it. */
export type RefusalReason =
  | 'invalid_email'
  | 'blacklisted'
  | 'never_mail'
  | 'hardbounce'
  | 'optout_template'
  | 'optout_all'
  | 'optout_marketing'
  | 'optout_blast'

export type Decision =
  | { allowed: true }
  | { allowed: false; code: 11 | 31 | 32 | 33 | 34 | 35 | 37; reason: RefusalReason }

const ALLOWED: Decision = { allowed: true }

/**
 * The one decision for reaching people, asked when a message is queued and again when it is handed over.
 * Facts about the address come first, then the most specific wish, then the general ones:
 * 11 → 31 / 34 → 35 → 33 → 32 → 37. Receipts and the opt-in confirmation pass the last two only.
 */
export function decide(recipient: Recipient, kind: MessageKind): Decision {
  if (!recipient.addressIsValid || recipient.deliverability === 'invalid') return refused(11, 'invalid_email')
  if (recipient.block === 'blacklist') return refused(31, 'blacklisted')
  if (recipient.block === 'never') return refused(34, 'never_mail')
  if (recipient.deliverability === 'hardbounce') return refused(35, 'hardbounce')
  // A campaign is not a template: leaving one template does not stop a campaign copied from it.
  if (recipient.isOutOfTemplate && kind !== 'campaign') return refused(33, 'optout_template')
  if (kind === 'receipt' || kind === 'optin') return ALLOWED
  if (recipient.level === 'all') return refused(32, 'optout_all')
  if (recipient.level === 'basic' && kind !== 'basic') return refused(37, 'optout_marketing')
  if (recipient.level === 'blast' && kind === 'campaign') return refused(37, 'optout_blast')
  return ALLOWED
}

function refused(code: Exclude<Decision, { allowed: true }>['code'], reason: RefusalReason): Decision {
  return { allowed: false, code, reason }
}
