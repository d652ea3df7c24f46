import { enhancedOf, type Reply, textOf } from './reply.ts'

/** A server's no to a message (RFC 5321 §4.2.1): 4yz for now, 5yz for good. */
export interface Refusal {
  /** What it answered: MAIL, RCPT, or DATA and the content. */
  phase: 'mail' | 'rcpt' | 'data'
  code: number
  /** Enhanced status code (RFC 3463): `5.1.1`; null: none was given. */
  enhanced: string | null
  /** The whole reply on one line, code first. */
  text: string
}

/** What became of one handing over. */
export type TransmitOutcome =
  /** The server has taken the message over. `ms`: how long that took. */
  | { kind: 'accepted'; reply: string; ms: number }
  | { kind: 'refused'; reply: Refusal }
  /** The message cannot be sent to this server at all: too large, or an address that it cannot take. */
  | { kind: 'unsendable'; problem: string }
  | Broken

/** The connection ended before an answer came. */
export interface Broken {
  kind: 'broken'
  problem: string
  /** What was under way: a command, the content, or after its end the wait for the last answer. */
  phase: 'mail' | 'rcpt' | 'data' | 'content' | 'final'
  /** True in the phase `final`: the server may have taken the message. False: it certainly has not. */
  isInDoubt: boolean
}

export function refused(phase: Refusal['phase'], reply: Reply): TransmitOutcome {
  return { kind: 'refused', reply: { phase, code: reply.code, enhanced: enhancedOf(reply), text: textOf(reply) } }
}

export function broken(phase: Broken['phase'], problem: string): Broken {
  return { kind: 'broken', problem, phase, isInDoubt: phase === 'final' }
}
