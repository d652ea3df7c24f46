import { enhancedStatus, type SmtpReply } from './classify.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** Messages that could not be handed over for this long are given up (RFC 5321 §4.5.4.1 asks for days), in ms. */
export const GIVE_UP_AFTER = 72 * HOUR

/** Waits before the next attempts; the last one repeats. */
const WAITS = {
  /** The connection broke. */
  connection: [30_000, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE],
  /** Not now: greylisting, a server under load. */
  temporary: [2 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR],
  /** Too much from us: trying sooner makes it worse. */
  throttled: [10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR],
  /** Somebody has to tidy up first. */
  full: [HOUR, 4 * HOUR, 8 * HOUR],
} as const

export type WaitClass = keyof typeof WAITS

/** The longest of these waits, in ms. A full mailbox waits longer. */
export const LONGEST_WAIT = 4 * HOUR

/** @param attempts made so far, at least 1 */
export function waitAfter(kind: WaitClass, attempts: number): number {
  const waits = WAITS[kind]
  return waits[Math.min(attempts, waits.length) - 1]!
}

/** How patient to be after a temporary refusal. */
export function waitClassOf({ code, text }: SmtpReply): WaitClass {
  const status = enhancedStatus(text)
  if (status === '4.2.2' || /quota|mailbox full/i.test(text)) return 'full'
  if (/rate|too many|throttl|limit exceeded|try again later.*(volume|traffic)/i.test(text)) return 'throttled'
  return code === 421 && status?.startsWith('4.7.') ? 'throttled' : 'temporary'
}
