import { randomBytes } from 'node:crypto'
import type { Json } from '../platform/json.ts'
import type { Purpose, SigningKeys } from './keys.ts'

/**
 * Tokens: `v1.{key number}.{payload}.{mac}`, base64url. The payload can be read by whoever holds the token and so never
 * holds an address; the MAC covers purpose, version, key number and payload.
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
  const payload = Buffer.from(JSON.stringify([issuedAt.getTime(), expiresAt?.getTime() ?? 0, id, content]))
  const signed = `v1.${kid}.${payload.toString('base64url')}`
  return `${signed}.${keys.mac(kid, purpose, signed)!.toString('base64url')}`
}

/** Opens a token made for this purpose. Anything not made by `seal` with one of our keys is `bad`. */
export function openToken(keys: SigningKeys, purpose: Purpose, token: string, now: Date): OpenedToken {
  if (token.length > LONGEST) return BAD
  // 22 characters hold 132 bits: the last one is held to its one spelling, so that a token has no second form.
  const found = /^(v1\.(\d{1,5})\.([\w-]+))\.([\w-]{21}[AQgw])$/.exec(token)
  if (!found) return BAD
  const [, signed, kid, payload, mac] = found
  if (!keys.verify(Number(kid), purpose, signed!, Buffer.from(mac!, 'base64url'))) return BAD
  // What verifies was written by `seal`.
  const [issued, expires, id, content] = JSON.parse(Buffer.from(payload!, 'base64url').toString()) as [
    number,
    number,
    string,
    Json,
  ]
  const stamp: Stamp = { issuedAt: new Date(issued), expiresAt: expires === 0 ? null : new Date(expires), id }
  if (stamp.expiresAt && stamp.expiresAt <= now) return { ok: false, problem: 'expired', content, ...stamp }
  return { ok: true, content, ...stamp }
}

/** Number of the key that a token or hash claims to be made with; null when it has no such shape. */
export function kidOf(text: string): number | null {
  const kid = /^(?:v1\.)?(\d{1,5})\./.exec(text)?.[1]
  return kid === undefined ? null : Number(kid)
}
