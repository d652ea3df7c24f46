/**
 * Telling machines from people. Mail gateways, sandboxes and mail programs fetch what a message links to, often with
 * whole browsers; counted as people they would falsify statistics, and with `sailthru_lists` they would join lists. Each
 * sign gives points; who has enough of them is taken for a machine. None of this ever stands in the way of an opt-out.
 */

/** What a request tells about who made it. */
export interface Visitor {
  method: string
  userAgent: string
  acceptLanguage: string | undefined
  /** `Sec-Purpose`, or `Purpose` and `X-Moz` as browsers said before it. */
  purpose: string | undefined
}

/** Points from which on a visitor is a machine. */
export const MACHINE = 100
const SURE = MACHINE
const LIKELY = 60
/** A click this soon after the message was accepted is likely a gateway's, in ms. */
const QUICK = 10_000
/** So many links of one message within so many milliseconds are no person's work. */
const BURST = { links: 3, within: 2_000 }

/** Programs that say who they are: gateways, previews of chat programs, crawlers, libraries. */
const PROGRAMS = new RegExp(
  [
    'bot\\b|crawl|spider|slurp|preview|scan(?:ner)?\\b|checker|monitor|headless|phantomjs|lighthouse',
    'barracuda|mimecast|proofpoint|symantec|messagelabs|fireeye|trend ?micro|cloudmark|ironport|zscaler|bitdefender',
    'sophos|forcepoint|websense|checkpoint|fortinet|fortiguard|avanan|vade|safelinks|google-safety|googlesecurity',
    'facebookexternalhit|whatsapp|telegram|slack-imgproxy|skypeuripreview|linkedin|embedly|iframely',
    '^(?:curl|wget|python|go-http|java|ruby|perl|php|node|axios|got|libwww|okhttp|apache-http|guzzle|httpie|postman)',
  ].join('|'),
  'i',
)

/** Mail services that fetch a picture when a person opens the message, on behalf of that person. */
const PICTURE_PROXIES = /googleimageproxy|yahoomailproxy|duckduckgo/i

/** Points for a request by itself. */
export function scoreOf(type: 'open' | 'click', visitor: Visitor): number {
  const { method, userAgent, acceptLanguage, purpose } = visitor
  if (method !== 'GET' || (purpose !== undefined && /prefetch|preview|prerender/i.test(purpose))) return SURE
  const agent = userAgent.trim()
  if (type === 'open') {
    if (PICTURE_PROXIES.test(agent)) return 0
    // Apple's mail privacy protection fetches every picture on arrival and calls itself this, no more.
    return agent === '' || agent === 'Mozilla/5.0' || PROGRAMS.test(agent) ? SURE : 0
  }
  if (agent === '' || agent === 'Mozilla/5.0' || PROGRAMS.test(agent)) return SURE
  return acceptLanguage?.trim() ? 0 : LIKELY
}

/** The same, knowing when the message was accepted for the person. */
export function isMachine(type: 'open' | 'click', score: number, at: Date, sentAt: Date | null): boolean {
  const isQuick = type === 'click' && sentAt !== null && at.getTime() - sentAt.getTime() < QUICK
  return score + (isQuick ? LIKELY : 0) >= MACHINE
}

/** A click among the others on links of the same message. */
export interface Clicked {
  id: number
  link: number | null
  url: string | null
  at: Date
}

/** How long after a click others may still show that it was a machine's, in ms. */
export const SETTLE_AFTER = BURST.within + 3_000

/** Ids of the clicks that belong to a burst: several links of one message, followed faster than anybody reads. */
export function burstsIn(clicks: readonly Clicked[]): Set<number> {
  const sorted = clicks.toSorted((a, b) => a.at.getTime() - b.at.getTime())
  const found = new Set<number>()
  let from = 0
  for (let to = 0; to < sorted.length; to++) {
    while (sorted[to]!.at.getTime() - sorted[from]!.at.getTime() > BURST.within) from += 1
    const window = sorted.slice(from, to + 1)
    if (new Set(window.map(({ link, url }) => link ?? url)).size < BURST.links) continue
    for (const { id } of window) found.add(id)
  }
  return found
}
