/*
 * How fast to write to each domain. A domain that takes everything is not held back. One that says "too fast" gets
 * half as many messages at a time and a pause, which doubles while it keeps saying so; what it then takes earns it back
 * one more message at a time (additive increase, multiplicative decrease, as TCP does it).
 */

/** What a domain's server said to a message. */
export type Verdict = 'accepted' | 'slow-down' | 'other'

export interface Pacing {
  /** Milliseconds until a message to the domain may start: 0 now, Infinity when another one has ended. */
  wait(domain: string): number
  started(domain: string): void
  ended(domain: string, verdict: Verdict): void
}

interface Pace {
  inFlight: number
  /** Messages at a time; Infinity: it never complained. */
  limit: number
  pausedUntil: number
  /** The next pause, in ms. */
  pause: number
}

const SHORTEST_PAUSE = 1_000
const LONGEST_PAUSE = 60_000
/** A domain that takes this many at a time again is trusted as before. */
const RECOVERED = 32

/** @param time milliseconds of a clock that only runs forward */
export function createPacing(time: () => number = () => performance.now()): Pacing {
  const paces = new Map<string, Pace>()

  function slowDown(pace: Pace): void {
    // Refusals of messages that were under way together are one complaint.
    if (pace.pausedUntil > time()) return
    pace.limit = Math.max(1, Math.floor(Math.min(pace.limit, pace.inFlight + 1) / 2))
    pace.pausedUntil = time() + pace.pause
    pace.pause = Math.min(LONGEST_PAUSE, pace.pause * 2)
  }

  return {
    wait(domain) {
      const pace = paces.get(domain)
      if (!pace) return 0
      const pause = pace.pausedUntil - time()
      if (pause > 0) return pause
      return pace.inFlight < pace.limit ? 0 : Infinity
    },
    started(domain) {
      const pace = paces.get(domain)
      if (pace) pace.inFlight += 1
      else paces.set(domain, { inFlight: 1, limit: Infinity, pausedUntil: 0, pause: SHORTEST_PAUSE })
    },
    ended(domain, verdict) {
      const pace = paces.get(domain)
      if (!pace) return
      pace.inFlight -= 1
      if (verdict === 'slow-down') slowDown(pace)
      if (verdict === 'accepted' && pace.limit !== Infinity) {
        pace.limit += 1 / pace.limit
        pace.pause = Math.max(SHORTEST_PAUSE, pace.pause * 0.9)
        if (pace.limit >= RECOVERED) pace.limit = Infinity
      }
      // Nothing is known of a domain that never complained, so there is nothing to keep.
      if (pace.inFlight === 0 && pace.limit === Infinity) paces.delete(domain)
    },
  }
}
