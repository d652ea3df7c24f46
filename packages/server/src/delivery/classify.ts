/** The answer of a mail server to one command (RFC 5321 §4.2), with its enhanced status code if it has one (RFC 3463). */
export interface SmtpReply {
  phase: 'mail' | 'rcpt' | 'data'
  code: number
  /** As it came. */
  text: string
}

/**
 * What a refusal means.
 *
 * - `deferral`: try again;
 * - `user`, `disabled`: the mailbox is not there, or no longer used: never write to it again;
 * - `invalid`: not an address that can exist;
 * - `domain`, `full`, `soft`: did not work now and may work another day;
 * - `content`: this message is unacceptable, whoever it is for;
 * - `block`: refused for the sender's reputation or by policy;
 * - `config`: our own sender address, authentication or protocol is at fault.
 */
export type ReplyClass =
  | 'deferral'
  | 'user'
  | 'disabled'
  | 'invalid'
  | 'domain'
  | 'full'
  | 'soft'
  | 'content'
  | 'block'
  | 'config'

interface Rule {
  /** Enhanced status codes; unset: any or none. */
  status?: RegExp
  /** Words in the text; unset: any. */
  text?: RegExp
  class: ReplyClass
}

const ABSENT =
  /user unknown|unknown (user|recipient|mailbox|local part)|no such (user|mailbox|recipient|person|address)|(user|mailbox|recipient|account|address) (does not|doesn't) exist|(user|mailbox|recipient|account|address) (was |is )?(not found|unknown|invalid)|no mailbox here|not a valid mailbox|invalid (mailbox|recipient|user)|mailbox unavailable or not local|user not local|recipient address rejected: (undeliverable|unverified|unknown|user)/i
const DISABLED =
  /(mailbox|account|user|recipient|address).{0,40}(disabled|suspended|deactivated|inactive|closed|discontinued)/i
const FULL = /(mailbox|account|quota|storage).{0,40}(full|exceed|over)|over ?quota|quota exceeded|insufficient storage/i
const POLICY =
  /spam|blocklist|blacklist|block list|black list|block-?listed|\bdnsbl\b|\brbl\b|spamhaus|reputation|policy|unsolicited|access denied|not authori[sz]ed to send/i

/** First match wins. Words come before codes: where the two contradict, servers mean the words. */
const RULES: readonly Rule[] = [
  { status: /^5\.7\.(2[0-7]|515)$/, class: 'config' },
  { status: /^5\.(1\.[78]|5\.\d+)$/, class: 'config' },
  { text: ABSENT, class: 'user' },
  { text: DISABLED, class: 'disabled' },
  { status: /^5\.4\.1$/, text: /recipient address rejected/i, class: 'user' },
  { status: /^5\.2\.2$/, class: 'full' },
  { text: FULL, class: 'full' },
  { text: POLICY, class: 'block' },
  { status: /^5\.1\.[16]$/, class: 'user' },
  { status: /^5\.(1\.2|4\.4)$/, class: 'domain' },
  { status: /^5\.1\.(3|10)$/, class: 'invalid' },
  { status: /^5\.(2\.1|7\.13)$/, class: 'disabled' },
  { status: /^5\.(2\.3|3\.4|6\.\d+)$/, class: 'content' },
  { status: /^5\.7\.\d+$/, class: 'block' },
]

const STATUS = /\b([245]\.\d{1,3}\.\d{1,3})\b/

/** The enhanced status code in a reply: `5.1.1`; null when it has none. */
export function enhancedStatus(text: string): string | null {
  return STATUS.exec(text)?.[1] ?? null
}

/** Says what a refusal (4yz or 5yz) means. Refusals of the sender are about us, whatever they say. */
export function classify({ phase, code, text }: SmtpReply): ReplyClass {
  if (code < 500) return 'deferral'
  if (phase === 'mail') return 'config'
  const status = enhancedStatus(text)
  for (const rule of RULES) {
    if (rule.status && !(status && rule.status.test(status))) continue
    if (rule.text && !rule.text.test(text)) continue
    return rule.class
  }
  // Nothing said. After the content was seen, it is more likely about the content than about the mailbox.
  return phase === 'data' ? 'content' : 'soft'
}
