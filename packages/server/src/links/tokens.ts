import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Json } from '../platform/json.ts'
import type { Purpose, SigningKeys } from './keys.ts'

/**
 * Tokens: `v2.{key number}.{payload}.{mac}`, base64url. The MAC covers purpose, version, key number and payload. The
 * payload is encrypted (AES-128 in counter mode, beginning at the MAC, as in RFC 5297): numbers of messages and people are
 * nobody's business. It never holds an address all the same. Tokens that begin with `v1`, which were made before, are not
 * encrypted; they open for ever.
 */

/** What goes into a token beside its own content. */
export interface Stamp {
  issuedAt: Date
  /** Null: never. Only opt-outs may live for ever. */
  expiresAt: Date | null
  /** Makes the token one of its kind, so that it can be spent; empty when it need not be. */
  id: string
}

export type OpenedToken =
  | ({ ok: true; content: Json } & Stamp)
  /** `expired` tokens are genuine: their content can be used for what stays allowed. */
  | ({ ok: false; problem: 'expired'; content: Json } & Stamp)
  | { ok: false; problem: 'bad' }

const LONGEST = 16_384
const BAD: OpenedToken = { ok: false, problem: 'bad' }

/** A random id of 128 bits. */
export const newTokenId = (): string => randomBytes(16).toString('base64url')

/** Seals content for one purpose. Times are kept to the millisecond: they decide between a token and a refusal. */
export function seal(keys: SigningKeys, purpose: Purpose, content: Json, stamp: Stamp): string {
  const { issuedAt, expiresAt, id } = stamp
  const kid = keys.currentKid()
  const payload = JSON.stringify([issuedAt.getTime(), expiresAt?.getTime() ?? 0, id, content])
  const mac = keys.mac(kid, purpose, `v2.${kid}.${payload}`)!
  const cipher = createCipheriv('aes-128-ctr', contentKey(keys, kid, purpose)!, mac)
  return `v2.${kid}.${cipher.update(payload, 'utf8').toString('base64url')}.${mac.toString('base64url')}`
}

const contentKey = (keys: SigningKeys, kid: number, purpose: Purpose) => keys.mac(kid, 'content', purpose)

/** Opens a token made for this purpose. Anything not made by `seal` with one of our keys is `bad`. */
export function openToken(keys: SigningKeys, purpose: Purpose, token: string, now: Date): OpenedToken {
  if (token.length > LONGEST) return BAD
  // 22 characters hold 132 bits: the last one is held to its one spelling, so that a token has no second form.
  const found = /^(v([12])\.(\d{1,5})\.([\w-]+))\.([\w-]{21}[AQgw])$/.exec(token)
  if (!found) return BAD
  const [signed, version, kid, mac] = [found[1]!, found[2], Number(found[3]), Buffer.from(found[5]!, 'base64url')]
  const bytes = Buffer.from(found[4]!, 'base64url')
  // Bits that base64url leaves over have one spelling, so that a token has no second form.
  if (bytes.toString('base64url') !== found[4]) return BAD
  let payload: string
  if (version === '1') {
    payload = bytes.toString()
    if (!keys.verify(kid, purpose, signed, mac)) return BAD
  } else {
    const key = contentKey(keys, kid, purpose)
    if (!key) return BAD
    payload = createDecipheriv('aes-128-ctr', key, mac).update(bytes).toString()
    if (!keys.verify(kid, purpose, `v2.${kid}.${payload}`, mac)) return BAD
  }
  // What verifies was written by `seal`.
  const [issued, expires, id, content] = JSON.parse(payload) as [number, number, string, Json]
  const stamp: Stamp = { issuedAt: new Date(issued), expiresAt: expires === 0 ? null : new Date(expires), id }
  if (stamp.expiresAt && stamp.expiresAt <= now) return { ok: false, problem: 'expired', content, ...stamp }
  return { ok: true, content, ...stamp }
}

/** Number of the key that a token or hash claims to be made with; null when it has no such shape. */
export function kidOf(text: string): number | null {
  const kid = /^(?:v[12]\.)?(\d{1,5})\./.exec(text)?.[1]
  return kid === undefined ? null : Number(kid)
}
