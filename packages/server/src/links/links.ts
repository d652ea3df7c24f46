import type { Clock } from '../platform/clock.ts'
import { parseAddress } from '../profiles/address.ts'
import type { SigningKeys } from './keys.ts'
import { idsInside, publicIdOf } from './public-id.ts'
import { createLinkRewriter, type LinkRewriter } from './rewrite.ts'
import { kidOf, newTokenId, openToken, seal } from './tokens.ts'
import { createTrackedLinks, type TrackedLinks } from './tracked.ts'

/** The links that messages carry, and what opening them tells. No link holds an address. */
export interface Links {
  /** Opt-out page in the context of a message. Ends in a query string, since some callers append `&key=value`. */
  optoutPage(link: { messageId: number; profileId: number }): string
  /** Target of `List-Unsubscribe` (RFC 8058). Never expires. */
  oneClick(link: { messageId: number; profileId: number; address: string }): string
  /** Opt-in confirmation, good once within 30 days. `lists` null: opt back in only. `page`: thank-you page by name. */
  confirm(link: ConfirmLink): string
  /** @param hash may have `&key=value` appended, which is ignored */
  openOptoutPage(message: string, hash: string): { messageId: number; profileId: number } | null
  openOneClick(token: string): { messageId: number; profileId: number; addressHash: string } | null
  openConfirm(token: string): OpenedConfirm
  /** Whether a link's hash was made of this address, in any spelling. */
  isOfAddress(addressHash: string, address: string): boolean
  /** The keyed hash under which an address may stand in a token. */
  hashAddress(address: string): string
  /** Links and pixels that tell when they are followed, and the message in the browser. */
  tracked: TrackedLinks
  /** Puts tracked links in the place of an author's. */
  rewriter: LinkRewriter
  /** Learns of keys that another process made, if these tokens or hashes name one that is unknown here. */
  learnKeys(...texts: string[]): Promise<void>
}

export interface ConfirmLink {
  messageId: number | null
  profileId: number
  address: string
  lists: number[] | null
  page?: string
  /** `decided` of the person when the link is made: it lifts no refusal with a higher number. */
  asOf: number
}

export type OpenedConfirm =
  | { ok: true; confirm: Confirm }
  /** Genuine but too old: still tells whom it was for, so that a fresh one can be offered. */
  | { ok: false; problem: 'expired'; confirm: Confirm }
  | { ok: false; problem: 'bad' }

export interface Confirm {
  messageId: number | null
  profileId: number
  addressHash: string
  lists: number[] | null
  page: string | null
  /** `decided` of the person when the link was made; 0 for links from before there were numbers. */
  asOf: number
  /** Spent by the confirmation. */
  tokenId: string
  issuedAt: Date
}

const DAY = 86_400_000
/** Of message and person in an opt-out page's address, in characters. */
const LONGEST_IDS = 23
/** How long a confirmation link is good, in ms. */
export const CONFIRM_LIFETIME = 30 * DAY

/** The keys are read again this often at most on account of links that name an unknown one, in ms. */
const LEARN_EVERY = 500

export function createLinks(parts: { keys: SigningKeys; publicUrl: string; clock: Clock }): Links {
  const { keys, publicUrl, clock } = parts

  let learning = { at: Number.NEGATIVE_INFINITY, done: Promise.resolve() }

  const hashWith = (kid: number, address: string): string | null => {
    const mac = keys.mac(kid, 'address', parseAddress(address)?.lookup ?? address)
    return mac && `${kid}.${mac.subarray(0, 9).toString('base64url')}`
  }
  const hashAddress = (address: string) => hashWith(keys.currentKid(), address)!

  return {
    hashAddress,
    tracked: createTrackedLinks({ keys, publicUrl }),
    rewriter: createLinkRewriter({ publicUrl }),
    isOfAddress: (addressHash, address) => hashWith(kidOf(addressHash) ?? 0, address) === addressHash,

    optoutPage({ messageId, profileId }) {
      const kid = keys.currentKid()
      const message = publicIdOf(keys, kid, messageId, profileId)
      return `${publicUrl}/oc/${message}/${kid}.${keys.mac(kid, 'oc', `${kid}/${message}`)!.toString('base64url')}?v=2`
    },

    openOptoutPage(message, hash) {
      const proof = /^(\d{1,5})\.([\w-]{21}[AQgw])(?:&|$)/.exec(hash)
      if (!proof || message.length > LONGEST_IDS) return null
      const kid = Number(proof[1])
      if (!keys.verify(kid, 'oc', `${kid}/${message}`, Buffer.from(proof[2]!, 'base64url'))) return null
      const bare = /^([0-9a-z]{1,11})-([0-9a-z]{1,11})$/.exec(message)
      const ids = bare ? [Number.parseInt(bare[1]!, 36), Number.parseInt(bare[2]!, 36)] : idsInside(keys, kid, message)
      return ids && { messageId: ids[0]!, profileId: ids[1]! }
    },

    oneClick({ messageId, profileId, address }) {
      const stamp = { issuedAt: clock.now(), expiresAt: null, id: '' }
      return `${publicUrl}/u/${seal(keys, 'u', [messageId, profileId, hashAddress(address)], stamp)}`
    },

    openOneClick(token) {
      const opened = openToken(keys, 'u', token, clock.now())
      if (!opened.ok) return null
      const [messageId, profileId, addressHash] = opened.content as [number, number, string]
      return { messageId, profileId, addressHash }
    },

    confirm({ messageId, profileId, address, lists, page, asOf }) {
      const issuedAt = clock.now()
      const stamp = { issuedAt, expiresAt: new Date(issuedAt.getTime() + CONFIRM_LIFETIME), id: newTokenId() }
      const content = [messageId, profileId, hashAddress(address), lists, page ?? null, asOf]
      return `${publicUrl}/s/${seal(keys, 'confirm', content, stamp)}`
    },

    openConfirm(token) {
      const opened = openToken(keys, 'confirm', token, clock.now())
      if (!opened.ok && opened.problem === 'bad') return { ok: false, problem: 'bad' }
      const [messageId, profileId, addressHash, lists, page, asOf = 0] = opened.content as [
        number | null,
        number,
        string,
        number[] | null,
        string | null,
        number?,
      ]
      const { id: tokenId, issuedAt } = opened
      const confirm: Confirm = { messageId, profileId, addressHash, lists, page, asOf, tokenId, issuedAt }
      return opened.ok ? { ok: true, confirm } : { ok: false, problem: 'expired', confirm }
    },

    async learnKeys(...texts) {
      const unknown = texts.some((text) => {
        const kid = kidOf(text)
        return kid !== null && kid > keys.currentKid() && !keys.has(kid)
      })
      if (!unknown) return
      // Anybody can name a key that does not exist: those who come at the same time learn together.
      if (performance.now() - learning.at > LEARN_EVERY) learning = { at: performance.now(), done: keys.refresh() }
      await learning.done
    },
  }
}
