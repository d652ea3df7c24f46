/** Counts requests by network, in memory: a brake for whoever tries many addresses, not a lock. */
export interface Throttle {
  allows(ip: string): boolean
}

/** Networks remembered at once; beyond, the oldest are forgotten. */
const REMEMBERED = 10_000

/** @param time in ms */
export function createThrottle({ most, within }: { most: number; within: number }, time: () => number): Throttle {
  const seen = new Map<string, { since: number; count: number }>()
  return {
    allows(ip) {
      const network = networkOf(ip)
      const now = time()
      const known = seen.get(network)
      if (known && now - known.since < within) {
        known.count += 1
        return known.count <= most
      }
      seen.delete(network)
      seen.set(network, { since: now, count: 1 })
      if (seen.size > REMEMBERED) seen.delete(seen.keys().next().value!)
      return true
    },
  }
}

/** One customer of a provider has a whole /64 of IPv6. */
function networkOf(ip: string): string {
  if (!ip.includes(':') || ip.includes('.')) return ip
  const [head = '', tail = ''] = ip.split('::')
  const [left, right] = [head.split(':').filter(Boolean), tail.split(':').filter(Boolean)]
  const zeros = ip.includes('::') ? Array<string>(8 - left.length - right.length).fill('0') : []
  return [...left, ...zeros, ...right].slice(0, 4).join(':')
}
