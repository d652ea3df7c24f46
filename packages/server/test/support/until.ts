import { setTimeout as sleep } from 'node:timers/promises'

/**
 * The one bound on waiting in tests, in milliseconds: far more than a busy machine needs, and less than a test may take,
 * so that the message below is what a failure shows. `expect.poll` has the same one (vitest.config.ts).
 */
export const PATIENCE = 120_000

/**
 * Looks until something is so.
 *
 * @param what said when it never comes to be so: a few words, or how it stands instead
 * @param look gives what is waited for, or something false; an error ends the waiting
 * @returns what `look` gave at last
 */
export async function until<Seen>(
  what: string | (() => string),
  look: () => Seen | Promise<Seen>,
): Promise<Exclude<Seen, false | null | undefined>> {
  const deadline = performance.now() + PATIENCE
  for (;;) {
    const seen = await look()
    if (seen) return seen as Exclude<Seen, false | null | undefined>
    if (performance.now() > deadline) {
      throw new Error(`not so after ${PATIENCE / 1_000} s: ${typeof what === 'string' ? what : what()}`)
    }
    await sleep(10)
  }
}
