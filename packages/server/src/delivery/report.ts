import type { Log } from '../platform/log.ts'
import type { DeliveryMetrics, Totals } from './metrics.ts'

/**
 * What delivery says in the log: once a minute what it did, if anything, and each kind of trouble with the relay when
 * it comes up. Single messages are not logged: their rows say what became of them (`fairlead queue list`), and a relay
 * that refuses a campaign would write a line a recipient. Addresses stay out.
 */
export interface DeliveryReport {
  /** A refusal that is about us and not about one person: one line for each class a minute. */
  problem(problemClass: string, messageId: number, reply: string | null): void
  /** What became of messages cannot be written: one line a minute, however many they are. */
  unwritten(error: unknown): void
  /** Recipients of a campaign cannot be written: the same. */
  unfilled(error: unknown): void
  start(): void
  /** Says what was done since the last line. */
  stop(): void
}

const PERIOD = 60_000

export function createDeliveryReport(log: Log, metrics: DeliveryMetrics): DeliveryReport {
  const said = new Set<string>()
  let before = metrics.totals()
  let timer: NodeJS.Timeout | null = null

  function summary(): void {
    said.clear()
    const now = metrics.totals()
    const line = { ...grown(before.states, now.states), ...relayPart(before, now) }
    before = now
    if (Object.keys(line).length > 0) log.info(line, 'delivery')
  }

  function isNew(what: string): boolean {
    if (said.has(what)) return false
    said.add(what)
    return true
  }

  return {
    problem(problemClass, messageId, reply) {
      if (!isNew(problemClass)) return
      log.warn(
        { class: problemClass, message: messageId, reply: reply && withoutAddresses(reply) },
        'the relay refuses messages; more of this kind are only counted for a minute',
      )
    },
    unwritten(error) {
      if (isNew('unwritten')) log.warn({ err: error }, 'what became of messages could not be written yet')
    },
    unfilled(error) {
      if (isNew('unfilled')) log.error({ err: error }, 'recipients of a campaign could not be written')
    },
    start() {
      timer = setInterval(summary, PERIOD)
      timer.unref()
    },
    stop() {
      if (timer) clearInterval(timer)
      summary()
    },
  }
}

function relayPart(before: Totals, now: Totals): { relay?: { [errorClass: string]: number } } {
  const relay = grown(before.errors, now.errors)
  return Object.keys(relay).length > 0 ? { relay } : {}
}

function grown(before: { [name: string]: number }, now: { [name: string]: number }): { [name: string]: number } {
  const differences = Object.entries(now).map(([name, value]) => [name, value - (before[name] ?? 0)] as const)
  return Object.fromEntries(differences.filter(([, difference]) => difference > 0))
}

/** Servers like to repeat the address that they refuse; logs go to places where addresses do not belong. */
export function withoutAddresses(text: string): string {
  return text.replace(/[^\s<>()[\]"',;:]+@[^\s<>()[\]"',;:]+/g, '(address)')
}
