/** A person or a house with an address (RFC 5322 §3.4). `name` may be empty. */
export interface Mailbox {
  name: string
  address: string
}

/** One mailbox, several, or a list as people write it: `Ada <ada@example.com>, bob@example.com`. */
export type Mailboxes = string | Mailbox | readonly Mailbox[]

/** A header field that the writer knows nothing of. */
export interface ExtraHeader {
  name: string
  /** Text of any kind; surrounding spaces are dropped. */
  value: string
  /**
   * Neither folded nor encoded: for fields that some receivers read without putting a folded line together again, such
   * as `List-Unsubscribe`. Printable ASCII only, and short enough for one line (998 octets with the name).
   */
  oneLine?: boolean
}

/** What a message says, before anybody thinks about bytes. */
export interface OutgoingMessage {
  from: Mailbox
  to: Mailboxes
  cc?: Mailboxes
  /** Goes into `recipients`, never into the message. */
  bcc?: Mailboxes
  /** Who sends on behalf of `from`: one mailbox. */
  sender?: Mailboxes
  replyTo?: Mailboxes
  subject: string
  /** With its angle brackets: `<1.abc@example.com>`. */
  messageId: string
  date: Date
  /** Of two with one name, in whatever case, the later one counts. */
  headers?: readonly ExtraHeader[]
  /** Absent: no such part; empty: an empty part. One of the two is needed. */
  text?: string
  html?: string
}

/** What the server said to EHLO. */
export interface RelayAbilities {
  /** 8BITMIME (RFC 6152). Leave it off for messages that are signed: a later relay may have to re-encode them. */
  eightBit: boolean
  /** SMTPUTF8 (RFC 6531). */
  smtpUtf8: boolean
}

/** A message as it goes over the wire. */
export interface WrittenMessage {
  ok: true
  /** Header and body, lines ended by CRLF, the last one too; not dot-stuffed. */
  raw: Buffer
  /** Where the body begins in `raw`. */
  bodyAt: number
  /** For RCPT: the addresses of To, Cc and Bcc, each once, domains as A-labels. */
  recipients: string[]
  /** MAIL needs `BODY=8BITMIME`. */
  eightBit: boolean
  /** MAIL needs `SMTPUTF8`. */
  smtpUtf8: boolean
  /** Whether any line begins with a dot; if none does, there is nothing to stuff (RFC 5321 §4.5.2). */
  leadingDot: boolean
}

/** Why a message cannot be written. */
export interface Refusal {
  ok: false
  reason: /** A line break or NUL in a header: it would let its author add headers of any kind. */
    | 'line-break'
    /** No header of this name may be given, or none can have such a name. */
    | 'header-name'
    /** No email address. */
    | 'address'
    /** An address that only servers with SMTPUTF8 take, and this one is none. */
    | 'needs-smtputf8'
    /** A value that a field of this kind cannot have. */
    | 'value'
    /** Neither text nor HTML. */
    | 'no-content'
  /** The header field, spelled as in the message; for `no-content` the body. */
  field: string
  /** One sentence for people. */
  problem: string
}

export function refusal(reason: Refusal['reason'], field: string, problem: string): Refusal {
  return { ok: false, reason, field, problem }
}
