import { addressField } from './address.ts'
import { checkName, dateField, type FieldOutcome, messageIdField, oneLineField, textField } from './header.ts'
import { type ExtraHeader, type Mailboxes, type OutgoingMessage, type Refusal, refusal } from './message.ts'

/** The header of a message up to where the description of its body begins. */
export interface Head {
  ok: true
  text: string
  /** The addresses of To, Cc and Bcc, each once. */
  recipients: string[]
  /** Some address has a local part beyond ASCII. */
  smtpUtf8: boolean
}

/** Writes what RFC 5322 §3.6 describes, in its order, then the extra headers. */
export function writeHead(message: OutgoingMessage, smtpUtf8Offered: boolean): Head | Refusal {
  const recipients = new Set<string>()
  let text = ''
  let smtpUtf8 = false
  let refused: Refusal | null = null

  const add = (outcome: FieldOutcome) => {
    if (outcome.ok) text += outcome.field
    else refused ??= outcome
  }
  const address = (name: string, given: Mailboxes | undefined, kind: { most?: number; receives?: boolean } = {}) => {
    const outcome = addressField(name, given, kind.most)
    if (!outcome.ok) return add(outcome)
    if (outcome.smtpUtf8 && !smtpUtf8Offered) return add(needsSmtpUtf8(name))
    smtpUtf8 ||= outcome.smtpUtf8
    if (kind.receives) for (const one of outcome.addresses) recipients.add(one)
    // Blind copies are blind: their field is never written (RFC 5322 §3.6.3).
    if (name !== 'Bcc') text += outcome.field
  }

  add(dateField(message.date))
  address('From', message.from, { most: 1 })
  address('Sender', message.sender, { most: 1 })
  address('Reply-To', message.replyTo)
  address('To', message.to, { receives: true })
  address('Cc', message.cc, { receives: true })
  address('Bcc', message.bcc, { receives: true })
  add(messageIdField(message.messageId))
  add(textField('Subject', message.subject))
  for (const header of lastOfEach(message.headers ?? [])) add(extraField(header))

  if (refused) return refused
  if (recipients.size === 0) return refusal('address', 'To', 'the message is for nobody')
  return { ok: true, text, recipients: [...recipients], smtpUtf8 }
}

function extraField({ name, value, oneLine }: ExtraHeader): FieldOutcome {
  return checkName(name) ?? (oneLine ? oneLineField(name, value) : textField(name, value))
}

/** Of headers of one name the last, in the place of the first. */
function lastOfEach(headers: readonly ExtraHeader[]): Iterable<ExtraHeader> {
  return new Map(headers.map((header) => [header.name.toLowerCase(), header])).values()
}

function needsSmtpUtf8(field: string): Refusal {
  const problem = `an address in ${field} has letters beyond ASCII before its @, and the relay does not offer SMTPUTF8`
  return refusal('needs-smtputf8', field, problem)
}
