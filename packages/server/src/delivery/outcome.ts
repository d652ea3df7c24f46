import type { ProfileChange } from '../profiles/change.ts'
import { GIVE_UP_AFTER, type WaitClass, waitAfter, waitClassOf } from './backoff.ts'
import { classify, type ReplyClass, type SmtpReply } from './classify.ts'
import type { Verdict } from './pacing.ts'
import type { ClaimedMessage, Settlement } from './queue.ts'
import type { TransmitOutcome } from './transport.ts'

/** What a handing over means for the message and for the person. */
export interface Consequence {
  settlement: Settlement
  /** What was learnt about the address. */
  change: ProfileChange | null
  /** A refusal that is about us and not about one person: somebody should look. */
  alarm: ReplyClass | null
}

/** What a permanent refusal says about the address; classes that are missing say nothing about it. */
const TEACHES: { [name in ReplyClass]?: 'hardbounce' | 'softbounce' | 'invalid' } = {
  user: 'hardbounce',
  disabled: 'hardbounce',
  invalid: 'invalid',
  domain: 'softbounce',
  full: 'softbounce',
  soft: 'softbounce',
}

/**
 * The relay wants us to sign in, or to encrypt first (RFC 4954 §6, RFC 3207 §4). Every message would be refused until the
 * settings are put right, so none may be lost meanwhile.
 */
const WANTS_TO_KNOW_US: ReadonlySet<number> = new Set([530, 534, 535, 538])

/**
 * @param attempts made so far, this one included
 */
export function consequenceOf(
  outcome: TransmitOutcome,
  message: ClaimedMessage,
  revisionId: number,
  attempts: number,
  now: Date,
): Consequence {
  const base = { id: message.id, reason: null, reply: null, dueAt: null, revisionId, attempted: true }
  const isOld = now.getTime() - (message.scheduled_for ?? message.created_at).getTime() >= GIVE_UP_AFTER
  const later = (wait: WaitClass, reply: string): Settlement => ({
    ...base,
    state: 'deferred',
    reply,
    dueAt: new Date(now.getTime() + waitAfter(wait, attempts)),
  })
  switch (outcome.kind) {
    case 'accepted':
      return { settlement: { ...base, state: 'sent', reply: outcome.reply }, change: null, alarm: null }
    case 'unsendable': {
      const settlement: Settlement = { ...base, state: 'failed', reason: 'unsendable', reply: outcome.problem }
      return { settlement, change: null, alarm: 'content' }
    }
    case 'broken': {
      // A connection says nothing about the person, however long it stays away.
      const reply = outcome.isInDoubt ? `in doubt: ${outcome.problem}` : outcome.problem
      return { settlement: afterBreak(outcome.isInDoubt, reply), change: null, alarm: null }
    }
    case 'refused':
      return refused(outcome.reply)
  }

  /**
   * In doubt, a message that one person waits for is tried again under the same Message-ID, once: a server that takes
   * messages and never says so would send it over and over. A campaign's is not tried again.
   */
  function afterBreak(isInDoubt: boolean, reply: string): Settlement {
    if (isInDoubt && message.kind === 'campaign') return { ...base, state: 'in_doubt', reply, isInDoubt }
    if (isInDoubt && message.doubts > 0) return { ...base, state: 'failed', reason: 'in_doubt', reply, isInDoubt }
    const settlement: Settlement = isOld
      ? { ...base, state: 'failed', reason: 'expired', reply }
      : later('connection', reply)
    return { ...settlement, isInDoubt }
  }

  function refused(reply: SmtpReply): Consequence {
    const kind = classify(reply)
    if (WANTS_TO_KNOW_US.has(reply.code) && !isOld) {
      return { settlement: later('connection', reply.text), change: null, alarm: 'config' }
    }
    if (kind === 'deferral' && !isOld) {
      return { settlement: later(waitClassOf(reply), reply.text), change: null, alarm: null }
    }
    // Given up: the mailbox, if it was the mailbox that kept refusing, counts as softly bounced.
    const state = kind === 'deferral' ? (reply.phase === 'rcpt' ? 'softbounce' : undefined) : TEACHES[kind]
    const reason = state ?? (kind === 'deferral' ? 'expired' : 'refused')
    const change = state ? bounce(message, state, kind, reply.text) : null
    const alarm = state || kind === 'deferral' ? null : kind
    return { settlement: { ...base, state: 'failed', reason, reply: reply.text }, change, alarm }
  }
}

function bounce(
  { id, profile_id, address }: ClaimedMessage,
  state: 'hardbounce' | 'softbounce' | 'invalid',
  kind: ReplyClass,
  detail: string,
): ProfileChange {
  return {
    person: { kind: 'id', value: profile_id },
    create: false,
    act: { via: 'bounce', evidence: 0, messageId: id, reason: detail.slice(0, 500) },
    deliverability: { address, state, class: kind, detail: detail.slice(0, 500) },
  }
}

/**
 * A server that ends a connection between two messages (RFC 5321 §3.8), with a word or without, has had enough of the
 * connection: it says nothing about the message, which goes on over the next one. Only for a connection that carried
 * messages before: a new one that ends so is an attempt.
 */
export function isFarewell(outcome: TransmitOutcome): boolean {
  if (outcome.kind === 'broken') return outcome.phase === 'mail'
  if (outcome.kind !== 'refused' || outcome.reply.phase !== 'mail' || outcome.reply.code !== 421) return false
  return verdictOn(outcome) !== 'slow-down' || /\b(connection|session)\b/i.test(outcome.reply.text)
}

/** Whether the recipient's domain, or the relay on its behalf, asks for fewer messages at a time. */
export function verdictOn(outcome: TransmitOutcome): Verdict {
  if (outcome.kind === 'accepted') return 'accepted'
  const isTooFast = outcome.kind === 'refused' && outcome.reply.code < 500 && waitClassOf(outcome.reply) === 'throttled'
  return isTooFast ? 'slow-down' : 'other'
}
