/** What the argument of `signup_confirm` came to. */
export type SignupRequest =
  /** `signup_confirm()`: opt back in, no list. */
  | { kind: 'optin' }
  /** Join these lists; `page` is the thank-you page by name. */
  | { kind: 'lists'; lists: string[]; page?: string }
  /** The argument was missing or empty: must never lift an opt-out. */
  | { kind: 'nothing'; page?: string }

export interface SendRequest {
  template: string
  /** Absent: this user. */
  email?: string
  vars?: unknown
  schedule_time?: unknown
  options?: unknown
  evars?: unknown
}

/**
 * The platform behind the functions that are more than computation. Calls are synchronous: whatever needs
 * a database is loaded before rendering, and effects are gathered here and carried out by the caller after
 * the rendering succeeded. Arguments and results are plain data.
 */
export interface Host {
  /** URL of a confirmation link. */
  signupConfirm?(request: SignupRequest): string
  messageId?(): string
  /** `type` as written: `fblike`, `fbshare`, `twitter`, `google`, `url`. */
  publicShare?(type: string, text: string): string
  /** Default: plain share addresses of the networks. */
  socialShare?(mode: string, url: string, description: string, media: string): string
  personalize?(options: Record<string, unknown>): unknown[]
  /** Interest of this user in one tag, 1 = average; `null` when unknown. */
  interest?(tag: string): number | null
  /** Page views of this user for one tag. */
  pageViews?(tag: string): number | null
  /** Called once per message however often the template asks. */
  promotion?(): Record<string, unknown>
  ad?(section: string): string
  adinfo?(section: string): Record<string, unknown> | null
  /** 0 … 6; `null` without a profile. */
  engagement?(): number | null
  geoHome?(field: string): unknown
  /** Regions as `[name, latitude, longitude, miles]`. */
  geoRegion?(regions: unknown[]): string | null
  /** Default: by `profile.purchases`. */
  purchasedItems?(items: unknown[], show: boolean, lookbackDays: number): unknown[]
  apiUser?(options: Record<string, unknown>, id: string | null): void
  apiSend?(request: SendRequest): void
  apiEvent?(event: Record<string, unknown>): void
  appendUserVar?(name: string, value: unknown, cap: number | null): void
}

/** One `href` of the source, counted once however often a loop prints it. */
export interface LinkSource {
  /** The address as written, tags included; identifies the link in reports. */
  readonly source: string
  /** Literal texts of the element's attributes, by lower-case name. */
  readonly attributes: ReadonlyMap<string, string>
  /** Whether it holds tags. */
  readonly dynamic: boolean
  readonly line: number
  readonly column: number
  /** Position among the links of the part, from 0. */
  readonly index: number
}

/** What a rendering needs besides data. */
export interface Env {
  /** UNIX seconds; default: the clock of the machine. */
  readonly now?: number
  /** UNIX seconds of the sending; what `date()` prints. Default: `now`. */
  readonly sendTime?: number
  /** IANA name of the account's zone. Default `UTC`. */
  readonly timeZone?: string
  /** Message id and recipient: the same seed gives the same `random()`. */
  readonly seed?: string
  readonly host?: Host
  readonly limits?: Partial<import('./limits.ts').Limits>
  /**
   * Called for every `href` of `<a>` and `<area>` as it is rendered, with the finished attribute text (character
   * references included); what it returns is printed instead. `params`: what the message's link parameters came to.
   */
  readonly link?: (url: string, link: LinkSource, params: string) => string
  /** The `params` of `link`. Messages fill it in. */
  readonly linkParams?: string
  /** Milliseconds for the time budget; default `performance.now`. */
  readonly clock?: () => number
}
