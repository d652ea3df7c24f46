/** What a connection can be waiting for. `block`: that a piece of the content leaves; `final`: the answer to its end. */
export type Step =
  | 'connect'
  | 'greeting'
  | 'tls'
  | 'hello'
  | 'auth'
  | 'rset'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'block'
  | 'final'

/** The longest wait of each step, in milliseconds. */
export type Timeouts = Record<Step, number>

const MINUTE = 60_000

/**
 * RFC 5321 §4.5.3.2 where it speaks. The wait for the last answer is long on purpose: who gives up earlier sends a
 * message again that the server was about to accept (RFC 1047).
 */
export const TIMEOUTS: Timeouts = {
  connect: 15_000,
  greeting: 5 * MINUTE,
  tls: 30_000,
  hello: 5 * MINUTE,
  auth: 2 * MINUTE,
  rset: 5 * MINUTE,
  mail: 5 * MINUTE,
  rcpt: 5 * MINUTE,
  data: 2 * MINUTE,
  block: 3 * MINUTE,
  final: 10 * MINUTE,
}

const WAITED_FOR: Record<Step, string> = {
  connect: 'connection',
  greeting: 'greeting',
  tls: 'TLS handshake',
  hello: 'answer to EHLO',
  auth: 'answer to AUTH',
  rset: 'answer to RSET',
  mail: 'answer to MAIL',
  rcpt: 'answer to RCPT',
  data: 'answer to DATA',
  block: 'progress in sending the content',
  final: 'answer to the content',
}

/** `no answer to MAIL within 300 s` */
export function waitedInVain(step: Step, milliseconds: number): string {
  return `no ${WAITED_FOR[step]} within ${milliseconds >= 1_000 ? `${milliseconds / 1_000} s` : `${milliseconds} ms`}`
}

/** Watches over one connection's waits. */
export interface Watch {
  /** A wait begins; the one before it is over. */
  expect(step: Step): void
  /** Nothing is waited for. */
  rest(): void
  stop(): void
}

/** The timer looks so many times within the shortest wait. */
const LOOKS = 8

/**
 * One timer that never stops, and no look at the clock: several waits begin and end with each message, thousands of
 * times a second, so a wait only sets a count to zero and the timer counts up. Whoever is late is found out late by one
 * turn of the timer at most, and never early. A process that stood still blames nobody for it: its own turns are
 * counted, not the time that passed.
 *
 * @param late called once, when a wait took too long
 */
export function createWatch(timeouts: Timeouts, late: (problem: string) => void): Watch {
  const period = Math.max(1, Math.floor(Math.min(...Object.values(timeouts)) / LOOKS))
  let step: Step | null = null
  let turns = 0
  const timer = setInterval(() => {
    // The turn in which the wait began does not count: it was nearly over, perhaps.
    if (step !== null && turns++ * period >= timeouts[step]) late(waitedInVain(step, timeouts[step]))
  }, period)
  // The socket keeps the process alive; the timer need not.
  timer.unref()
  return {
    expect(next) {
      step = next
      turns = 0
    },
    rest() {
      step = null
    },
    stop: () => clearInterval(timer),
  }
}
