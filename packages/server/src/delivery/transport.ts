import SMTPConnection from 'nodemailer/lib/smtp-connection'
import type { Relay } from '../config.ts'
import type { SmtpReply } from './classify.ts'
import type { ComposedMessage } from './compose.ts'

/** What became of one handing over. */
export type TransmitOutcome =
  | { kind: 'accepted'; reply: string }
  /** The server said no, for now (4yz) or for good (5yz). */
  | { kind: 'refused'; reply: SmtpReply }
  /** The message cannot be sent at all: too large for the server, an address that it cannot take. */
  | { kind: 'unsendable'; problem: string }
  /** The connection broke; whether the message arrived is unknown. */
  | { kind: 'broken'; problem: string }

/** One connection to the relay, for one message at a time. */
export interface Connection {
  transmit(message: ComposedMessage): Promise<TransmitOutcome>
  /** False once it cannot carry another message. */
  isUsable(): boolean
  /** Says goodbye; cuts off what is under way. */
  close(): void
}

/** Milliseconds. */
const PATIENCE = { connect: 15_000, greeting: 30_000, silence: 120_000 }

/** Opens a connection and signs in. @throws Error when the relay is down, refuses, or does not know us */
export function openConnection(relay: Relay): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const smtp = new SMTPConnection({
      host: relay.host,
      port: relay.port,
      secure: relay.secure,
      connectionTimeout: PATIENCE.connect,
      greetingTimeout: PATIENCE.greeting,
      socketTimeout: PATIENCE.silence,
    })
    let usable = true
    const end = () => {
      usable = false
    }
    const fail = (error: Error) => {
      end()
      smtp.close()
      reject(error)
    }
    // After the connection stands, errors are told to whoever is sending; an idle one just becomes useless.
    smtp.on('error', fail)
    smtp.on('end', end)
    const ready = () =>
      resolve({
        isUsable: () => usable,
        close() {
          end()
          smtp.close()
        },
        transmit: (message) => transmit(smtp, message, end),
      })
    smtp.connect((error) => {
      if (error) return fail(error)
      if (relay.user === null) return ready()
      smtp.login({ credentials: { user: relay.user, pass: relay.password ?? '' } }, (refused) =>
        refused ? fail(refused) : ready(),
      )
    })
  })
}

function transmit(smtp: SMTPConnection, message: ComposedMessage, end: () => void): Promise<TransmitOutcome> {
  return new Promise((resolve) => {
    const broken = (error: Error) => finish({ kind: 'broken', problem: error.message })
    // The server's last words, if it had any, are told in the same turn: they say more than the end does.
    const brokenOff = () => setImmediate(() => finish({ kind: 'broken', problem: 'the connection was closed' }))
    const finish = (outcome: TransmitOutcome) => {
      smtp.off('error', broken)
      smtp.off('end', brokenOff)
      resolve(outcome)
    }
    smtp.once('error', broken)
    smtp.once('end', brokenOff)
    const { envelope, raw } = message
    smtp.send({ ...envelope, size: raw.length }, raw, (error, info) => {
      if (!error) return finish(outcomeOfSuccess(message, info))
      const outcome = outcomeOfError(error)
      if (outcome.kind === 'broken' || (outcome.kind === 'refused' && outcome.reply.code === 421)) {
        end()
        smtp.close()
        return finish(outcome)
      }
      // The envelope may still stand: the next message needs a clean one (RFC 5321 §4.1.1.5).
      smtp.reset((failed) => {
        if (failed) {
          end()
          smtp.close()
        }
        finish(outcome)
      })
    })
  })
}

/** With copies, the server may have taken some recipients and not the person the message is for. */
function outcomeOfSuccess({ envelope }: ComposedMessage, info: SMTPConnection.SentMessageInfo): TransmitOutcome {
  const refusal = (info.rejectedErrors ?? []).find(
    (error) => (error as { recipient?: string }).recipient === envelope.to[0],
  )
  if (!refusal?.responseCode) return { kind: 'accepted', reply: info.response }
  // The copies are out, so even a temporary refusal of the person is final: trying again would send them twice.
  const reply = { phase: 'rcpt' as const, code: refusal.responseCode, text: refusal.response ?? refusal.message }
  return { kind: 'refused', reply: reply.code < 500 ? { ...reply, code: 550 } : reply }
}

const PHASES: { [command: string]: SmtpReply['phase'] } = { 'MAIL FROM': 'mail', 'RCPT TO': 'rcpt', DATA: 'data' }

function outcomeOfError(error: SMTPConnection.SMTPError): TransmitOutcome {
  const phase = PHASES[error.command ?? '']
  if (phase && error.responseCode && error.responseCode >= 400) {
    const [first] = error.rejectedErrors ?? []
    const text = (phase === 'rcpt' && first?.response) || error.response || error.message
    return { kind: 'refused', reply: { phase, code: error.responseCode, text } }
  }
  // Closing down (RFC 5321 §3.8): said between two commands, it is no answer to either.
  if (error.responseCode === 421) {
    return { kind: 'refused', reply: { phase: 'mail', code: 421, text: error.response ?? error.message } }
  }
  if (error.code === 'EENVELOPE' || error.code === 'EMESSAGE') return { kind: 'unsendable', problem: error.message }
  return { kind: 'broken', problem: error.message }
}
