import { hash, timingSafeEqual } from 'node:crypto'
import type { Purpose, SigningKeys } from './keys.ts'
import type { LinkActs } from './link-parameters.ts'
import { idInside, PUBLIC_ID, publicIdOf } from './public-id.ts'

/**
 * Links that tell when they are followed. A token carries all that its door needs, target included, so that redirecting
 * reads nothing; and as it is signed, it leads only to what was in the message when it was made.
 *
 * A click's token is `{key}.{message}.{link}.{flags}.{target}.{mac}`: the message as its public id, the link's number in
 * base 36, the target in base64url. A
 * mail carries a dozen of them, which are made for every single message, so the signature takes one hash: each message
 * has a key of its own, made by HMAC, and the text stands between two copies of it. Of the hash 132 bits are kept, which
 * leaves nothing to extend it by.
 */
export interface TrackedLinks {
  /** Makes the links of one message. */
  ofMessage(message: TrackedMessage): MessageLinks
  openClick(token: string): Click | null
  openPixel(token: string): TrackedMessage | null
  /** The id of the message that may be shown. */
  openView(token: string): number | null
}

export interface TrackedMessage {
  id: number
  /** Tests lead where they should and are not recorded. */
  isTest: boolean
}

export interface MessageLinks {
  /** @param link number in the HTML part; null: in the text part, where links have none */
  click(link: number | null, target: Target): string
  /** Address of the open pixel. */
  pixel(): string
  /** Address of the message in the browser. */
  view(): string
}

/** What a link leads to, in the form in which tokens carry it: made once for links that are the same in all messages. */
export type Target = string & { readonly isTarget: unique symbol }

/** A token that was opened. */
export interface Click {
  message: TrackedMessage
  link: number | null
  /** http or https. */
  url: string
  acts: LinkActs | null
}

const FLAGS = { plainHttp: 1, acts: 2, test: 4 } as const
/** Longer addresses are left as they are: their tokens would not fit into a request. */
export const LONGEST_TARGET = 4_000
const LONGEST_TOKEN = 16_384
/** Characters of a signature: 132 bits. */
const MAC = 22
const SHORT = new RegExp(`^((\\d{1,5})\\.(${PUBLIC_ID})\\.([04]))\\.([\\w-]{21}[AQgw])$`)
const CLICK = new RegExp(`^((\\d{1,5})\\.(${PUBLIC_ID})\\.([0-9a-z]{0,5})\\.([0-7])\\.([\\w-]+))\\.([\\w-]{22})$`)

/** Prepares a target. Null for what is not http(s), and for what is too long. */
export function targetOf(url: string, acts: LinkActs | null): Target | null {
  const scheme = /^(https?):\/\//i.exec(url)
  if (!scheme || url.length > LONGEST_TARGET) return null
  const rest = url.slice(scheme[0].length)
  const flags = (scheme[1]!.length === 4 ? FLAGS.plainHttp : 0) | (acts ? FLAGS.acts : 0)
  const content = acts ? JSON.stringify([rest, acts.lists, acts.vars]) : rest
  return `${flags}.${Buffer.from(content).toString('base64url')}` as Target
}

export function createTrackedLinks({ keys, publicUrl }: { keys: SigningKeys; publicUrl: string }): TrackedLinks {
  const sign = (key: string, text: string) => hash('sha256', key + text + key, 'base64url').slice(0, MAC)
  const keyOf = (kid: number, messageId: string) =>
    keys.mac(kid, 'click', `${kid}.${messageId}`)?.toString('base64url') ?? null

  /** `{key}.{message}.{flags}.{mac}`, for what there is once in a message. */
  const short = (purpose: Purpose, { id, isTest }: TrackedMessage): string => {
    const kid = keys.currentKid()
    const text = `${kid}.${publicIdOf(keys, kid, id)}.${isTest ? FLAGS.test : 0}`
    return `${text}.${keys.mac(kid, purpose, text)!.toString('base64url')}`
  }

  const openShort = (purpose: Purpose, token: string): TrackedMessage | null => {
    const found = SHORT.exec(token)
    if (!found) return null
    const [, text, kid, id, flags, mac] = found
    if (!keys.verify(Number(kid), purpose, text!, Buffer.from(mac!, 'base64url'))) return null
    const number = idInside(keys, Number(kid), id!)
    return number === null ? null : { id: number, isTest: flags === String(FLAGS.test) }
  }

  return {
    ofMessage(message) {
      const kid = keys.currentKid()
      let id: string | null = null
      const head = `${publicUrl}/c/`
      let key: string | null = null
      return {
        click(link, target) {
          id ??= publicIdOf(keys, kid, message.id)
          key ??= keyOf(kid, id)!
          const flags = message.isTest ? `${Number(target[0]) | FLAGS.test}${target.slice(1)}` : target
          const text = `${kid}.${id}.${link === null ? '' : link.toString(36)}.${flags}`
          return `${head}${text}.${sign(key, text)}`
        },
        pixel: () => `${publicUrl}/o/${short('open', message)}.gif`,
        view: () => `${publicUrl}/v/${short('view', message)}`,
      }
    },

    openClick(token) {
      if (token.length > LONGEST_TOKEN) return null
      const found = CLICK.exec(token)
      if (!found) return null
      const [, text, kid, id, link, digit, body, mac] = found as unknown as string[]
      const key = keyOf(Number(kid), id!)
      if (key === null || !timingSafeEqual(Buffer.from(sign(key, text!)), Buffer.from(mac!))) return null
      const number = idInside(keys, Number(kid), id!)
      if (number === null) return null
      const flags = Number(digit)
      const content = Buffer.from(body!, 'base64url').toString()
      const [rest, lists, vars] =
        flags & FLAGS.acts
          ? (JSON.parse(content) as [string, LinkActs['lists'], LinkActs['vars']])
          : ([content, [], []] as const)
      return {
        message: { id: number, isTest: (flags & FLAGS.test) !== 0 },
        link: link === '' ? null : Number.parseInt(link!, 36),
        url: `${flags & FLAGS.plainHttp ? 'http' : 'https'}://${rest}`,
        acts: flags & FLAGS.acts ? { lists: [...lists], vars: [...vars] } : null,
      }
    },

    openPixel: (token) => openShort('open', token),
    openView: (token) => openShort('view', token)?.id ?? null,
  }
}
