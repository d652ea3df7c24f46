import type { AddressInfo } from 'node:net'
import { SMTPServer } from 'smtp-server'
import { until } from './until.ts'

/** A message as the sink received it. */
export interface ReceivedMessage {
  /** Envelope sender (RFC 5321 §4.1.1.2). */
  from: string
  /** Envelope recipients that were accepted. */
  to: string[]
  /** Everything after DATA, dots unstuffed. */
  raw: string
}

/** An answer to give instead of accepting. */
export interface Refusal {
  phase: 'connect' | 'mail' | 'rcpt' | 'data'
  /** Reply code and text: `{ code: 550, text: '5.1.1 no such user' }`. */
  code: number
  text: string
  /** Only for this recipient; in the phase `data`, for messages to it. */
  recipient?: string
  /** How many times; unset: until `accept()`. */
  times?: number
}

/** A real SMTP server that keeps what it gets. */
export interface SmtpSink {
  port: number
  /** For FAIRLEAD_SMTP_URL. */
  url: string
  messages: ReceivedMessage[]
  /** Answers so from now on; the first that fits wins. */
  refuse(refusal: Refusal): void
  /** Accepts everything again. */
  accept(): void
  /** Waits until so many messages have come in all, and returns them. */
  waitFor(count: number): Promise<ReceivedMessage[]>
  close(): Promise<void>
}

/** Starts a sink on a free port of this machine. */
export async function startSmtpSink(options: { port?: number } = {}): Promise<SmtpSink> {
  const messages: ReceivedMessage[] = []
  let refusals: Array<Refusal & { left: number }> = []

  const refusalFor = (phase: Refusal['phase'], recipients: string[]): Error | null => {
    const found = refusals.find(
      (one) =>
        one.phase === phase && one.left > 0 && (one.recipient === undefined || recipients.includes(one.recipient)),
    )
    if (!found) return null
    found.left -= 1
    return Object.assign(new Error(found.text), { responseCode: found.code })
  }

  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    disableReverseLookup: true,
    onConnect: (_session, done) => done(refusalFor('connect', [])),
    onMailFrom: (_address, _session, done) => done(refusalFor('mail', [])),
    onRcptTo: (address, _session, done) => done(refusalFor('rcpt', [address.address])),
    onData(stream, session, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope
        const to = rcptTo.map((recipient) => recipient.address)
        const refusal = refusalFor('data', to)
        if (refusal) return done(refusal)
        messages.push({ from: mailFrom ? mailFrom.address : '', to, raw: Buffer.concat(chunks).toString('utf8') })
        done()
      })
    },
  })
  // A client that breaks off is part of what is tested.
  server.on('error', () => {})
  await new Promise<void>((resolve, reject) => {
    server.server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  const { port } = server.server.address() as AddressInfo

  return {
    port,
    url: `smtp://127.0.0.1:${port}`,
    messages,
    refuse: (refusal) => refusals.push({ ...refusal, left: refusal.times ?? Number.POSITIVE_INFINITY }),
    accept() {
      refusals = []
    },
    async waitFor(count) {
      await until(
        () => `${messages.length} of ${count} messages came`,
        () => messages.length >= count,
      )
      return messages
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
