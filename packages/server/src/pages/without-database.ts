import { setTimeout as sleep } from 'node:timers/promises'

/** How long a refusal waits for the database before it is noted on disk instead, in ms. */
const PATIENCE = 5_000

class TooLate extends Error {}

/**
 * Does something that needs the database, or fails within a time in which nobody gives up waiting. What comes too late
 * may still happen, so it must bear being done again.
 */
export async function soonEnough<T>(work: Promise<T>): Promise<T> {
  const late = new AbortController()
  try {
    return await Promise.race([
      work,
      sleep(PATIENCE, undefined, { signal: late.signal }).then(() => {
        throw new TooLate(`the database has not answered for ${PATIENCE / 1000} s`)
      }),
    ])
  } finally {
    late.abort()
  }
}
