import type { Pacing } from './pacing.ts'
import type { ReadyMessage } from './prepare.ts'

/**
 * Messages that wait for a connection. What a person waits for goes before campaigns; among the same kind each
 * recipient's domain takes its turn, so that a slow one holds up nobody else.
 */
export interface Line {
  readonly size: number
  add(messages: readonly ReadyMessage[]): void
  /** Takes the next ones that their domains are ready for; `pacing` counts them as started. */
  take(most: number): ReadyMessage[]
  /** Takes out what waits for domains that want to be left alone for longer than this, a domain each. */
  takePaused(milliseconds: number): Array<{ messages: ReadyMessage[]; wait: number }>
  /** Takes out what belongs to these campaigns. */
  takeCampaigns(ids: ReadonlySet<number>): ReadyMessage[]
  /** Campaigns that messages in line belong to. */
  campaigns(): Set<number>
  drain(): ReadyMessage[]
  /** Milliseconds until `take` may give something although nothing changes; Infinity when it waits for others. */
  wait(): number
}

type Tier = Map<string, ReadyMessage[]>

export function createLine(pacing: Pacing): Line {
  const urgent: Tier = new Map()
  const campaigns: Tier = new Map()
  const tiers = [urgent, campaigns]
  let size = 0

  /** Goes round the domains, one message of each, until there are enough or no domain is ready. */
  function takeFrom(tier: Tier, most: number, taken: ReadyMessage[]): void {
    let isStuck = false
    while (taken.length < most && !isStuck) {
      isStuck = true
      for (const [domain, waiting] of tier) {
        if (taken.length >= most) break
        if (pacing.wait(domain) > 0) continue
        const message = waiting.shift()!
        pacing.started(domain)
        taken.push(message)
        isStuck = false
        // Behind the others for the next turn.
        tier.delete(domain)
        if (waiting.length > 0) tier.set(domain, waiting)
      }
    }
  }

  return {
    get size() {
      return size
    },
    add(messages) {
      for (const message of messages) {
        const tier = message.message.kind === 'campaign' ? campaigns : urgent
        const domain = domainOf(message)
        const waiting = tier.get(domain)
        if (waiting) waiting.push(message)
        else tier.set(domain, [message])
      }
      size += messages.length
    },
    take(most) {
      const taken: ReadyMessage[] = []
      for (const tier of tiers) takeFrom(tier, most, taken)
      size -= taken.length
      return taken
    },
    takePaused(milliseconds) {
      const paused: Array<{ messages: ReadyMessage[]; wait: number }> = []
      for (const tier of tiers) {
        for (const [domain, waiting] of tier) {
          const wait = pacing.wait(domain)
          if (wait <= milliseconds || wait === Infinity) continue
          tier.delete(domain)
          paused.push({ messages: waiting, wait })
          size -= waiting.length
        }
      }
      return paused
    },
    takeCampaigns(ids) {
      const taken: ReadyMessage[] = []
      for (const [domain, waiting] of campaigns) {
        const [gone, left] = [[] as ReadyMessage[], [] as ReadyMessage[]]
        for (const ready of waiting) (ids.has(campaignOf(ready)) ? gone : left).push(ready)
        taken.push(...gone)
        if (left.length > 0) campaigns.set(domain, left)
        else campaigns.delete(domain)
      }
      size -= taken.length
      return taken
    },
    campaigns() {
      const ids = new Set<number>()
      for (const waiting of campaigns.values()) for (const ready of waiting) ids.add(campaignOf(ready))
      ids.delete(NONE)
      return ids
    },
    drain() {
      const all = tiers.flatMap((tier) => [...tier.values()].flat())
      for (const tier of tiers) tier.clear()
      size = 0
      return all
    },
    wait() {
      let shortest = Infinity
      for (const tier of tiers) for (const domain of tier.keys()) shortest = Math.min(shortest, pacing.wait(domain))
      return shortest
    },
  }
}

/** Tests of a campaign go by its kind and belong to none. */
const NONE = 0
const campaignOf = ({ message }: ReadyMessage) => message.campaign_id ?? NONE

/** The domain that a message goes to, as pacing knows it. */
export function domainOf({ message: { address } }: ReadyMessage): string {
  return address.slice(address.lastIndexOf('@') + 1).toLowerCase()
}
