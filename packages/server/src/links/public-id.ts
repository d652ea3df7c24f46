import type { SigningKeys } from './keys.ts'

/*
 * Numbers of messages and people as they stand in links: `M` and 22 characters of base64url, which tell nothing (decision
 * 0024). Links that were made before say the number itself, in base 36; they work for ever.
 */

/** One number, as a pattern of a regular expression: either form. */
export const PUBLIC_ID = 'M[\\w-]{21}[AQgw]|[0-9a-z]{1,11}'

const CONCEALED = /^M[\w-]{21}[AQgw]$/

type Keys = Pick<SigningKeys, 'conceal' | 'reveal'>

/** @param second of the two that belong together; none: 0 */
export function publicIdOf(keys: Keys, kid: number, first: number, second = 0): string {
  return `M${keys.conceal(kid, first, second)!.toString('base64url')}`
}

/** Null for what no `publicIdOf` with this key made. */
export function idsInside(keys: Keys, kid: number, text: string): [first: number, second: number] | null {
  return CONCEALED.test(text) ? keys.reveal(kid, Buffer.from(text.slice(1), 'base64url')) : null
}

/** The one number of a text of either form. */
export function idInside(keys: Keys, kid: number, text: string): number | null {
  if (!text.startsWith('M')) return Number.parseInt(text, 36)
  const ids = idsInside(keys, kid, text)
  return ids && ids[1] === 0 ? ids[0] : null
}
