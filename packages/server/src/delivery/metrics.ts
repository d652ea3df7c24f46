import type { MessageKind } from '../consent/decide.ts'
import { type Metrics, QUICK, SLOW } from '../platform/metrics.ts'
import type { MessageState } from '../sends/message-table.ts'
import { waitClassOf } from './backoff.ts'
import { classify } from './classify.ts'
import type { TransmitOutcome } from './transport.ts'

/** What delivery counts. */
export interface DeliveryMetrics {
  /** Messages went to this state. @param waited milliseconds since they were meant to go out first */
  settled(kind: MessageKind, state: MessageState | 'held', waited: number): void
  /** What a server did with a message. */
  handedOver(outcome: TransmitOutcome): void
  /** No connection could be opened. */
  unreachable(): void
  /** What was counted since the start. */
  totals(): Totals
}

export interface Totals {
  states: { [state: string]: number }
  errors: { [errorClass: string]: number }
}

/** What a relay did other than accept, in few words: refusals by what they mean, and broken connections. */
export function relayErrorOf(outcome: TransmitOutcome): string | null {
  switch (outcome.kind) {
    case 'accepted':
      return null
    case 'unsendable':
      return 'unsendable'
    case 'broken':
      return outcome.isInDoubt ? 'in_doubt' : 'connection'
    case 'refused': {
      const kind = classify(outcome.reply)
      return kind === 'deferral' ? `deferred_${waitClassOf(outcome.reply)}` : kind
    }
  }
}

export function createDeliveryMetrics(metrics: Metrics): DeliveryMetrics {
  const messages = metrics.counter('fairlead_messages_total', 'Messages by where an attempt left them', [
    'kind',
    'state',
  ])
  const errors = metrics.counter('fairlead_relay_errors_total', 'What relays did other than accept', ['class'])
  const waits = metrics.histogram(
    'fairlead_message_wait_seconds',
    'From the moment a message was to go out to its acceptance by the relay',
    SLOW,
    ['kind'],
  )
  const transactions = metrics.histogram(
    'fairlead_smtp_transaction_seconds',
    'From MAIL to the acceptance of the content',
    QUICK,
  )
  const transaction = transactions.of()
  const totals: Totals = { states: {}, errors: {} }

  function failed(errorClass: string): void {
    errors.of(errorClass).value += 1
    totals.errors[errorClass] = (totals.errors[errorClass] ?? 0) + 1
  }

  return {
    settled(kind, state, waited) {
      const label = classOf(kind)
      messages.of(label, state).value += 1
      totals.states[state] = (totals.states[state] ?? 0) + 1
      if (state === 'sent') waits.of(label).observe(waited / 1_000)
    },
    handedOver(outcome) {
      if (outcome.kind === 'accepted') return transaction.observe(outcome.ms / 1_000)
      const errorClass = relayErrorOf(outcome)
      if (errorClass) failed(errorClass)
    },
    unreachable: () => failed('unreachable'),
    totals: () => ({ states: { ...totals.states }, errors: { ...totals.errors } }),
  }
}

/** Campaigns, and everything that one person waits for. */
const classOf = (kind: MessageKind) => (kind === 'campaign' ? 'campaign' : 'triggered')
