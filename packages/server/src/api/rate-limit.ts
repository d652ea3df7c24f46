/**
 * Request counting per API key, endpoint and method, in fixed windows of one minute. A window's counters are dropped
 * with it, so memory is bounded by what one minute can hold. Each process counts for itself.
 */

export type Method = 'GET' | 'POST' | 'DELETE'

export interface RateLimits {
  /** Off: everything is allowed; the headers are sent all the same. */
  enabled: boolean
  /** Requests per second by method; a window allows sixty times as many. */
  perSecond: Record<Method, number>
  /** Exceptions, keyed as in `POST send`. */
  exceptions: Record<string, number>
}

/** The documented figures of the Sailthru API. */
export const documentedLimits: RateLimits = {
  enabled: true,
  perSecond: { GET: 300, POST: 40, DELETE: 40 },
  exceptions: { 'POST send': 200, 'POST user': 300 },
}

export interface RateState {
  allowed: boolean
  /** Requests the window allows. */
  limit: number
  /** Requests left in it. */
  remaining: number
  /** Unix time in seconds at which it ends. */
  reset: number
}

/** Counts one request. `now` is the time in milliseconds. */
export type RateLimit = (apiKey: string, endpoint: string, method: Method, now: number) => RateState

const WINDOW_SECONDS = 60

export function createRateLimit(limits: RateLimits): RateLimit {
  const counters = new Map<string, number>()
  let window = 0
  return (apiKey, endpoint, method, now) => {
    const current = Math.floor(now / 1000 / WINDOW_SECONDS)
    if (current !== window) {
      counters.clear()
      window = current
    }
    const route = `${method} ${endpoint}`
    const limit = (limits.exceptions[route] ?? limits.perSecond[method]) * WINDOW_SECONDS
    const reset = (current + 1) * WINDOW_SECONDS
    if (!limits.enabled) return { allowed: true, limit, remaining: limit, reset }
    const id = `${route} ${apiKey}`
    const used = (counters.get(id) ?? 0) + 1
    counters.set(id, used)
    return { allowed: used <= limit, limit, remaining: Math.max(0, limit - used), reset }
  }
}
