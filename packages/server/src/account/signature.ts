import { hash, timingSafeEqual } from 'node:crypto'

/**
 * Request signatures (Sailthru API docs, "API Technical Details"): lower-case hex MD5 over the shared secret followed
 * by every parameter value, sorted as byte strings. Names never enter the hash, and values enter as they were received.
 */

const SURROGATE = /[\ud800-\udfff]/

/** UTF-8 byte order equals code point order; a surrogate half would sort below U+E000–U+FFFF, so it is lifted above. */
function byCodePoint(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length)
  for (let i = 0; i < shorter; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return lifted(x) - lifted(y)
  }
  return a.length - b.length
}

const lifted = (unit: number) => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit)

const digest = (secret: string, sorted: readonly string[]) => hash('md5', secret + sorted.join(''), 'hex')

/** The signature of some values, sorted by their UTF-8 bytes. */
export function sign(values: readonly string[], secret: string): string {
  return digest(
    secret,
    values.some((value) => SURROGATE.test(value)) ? values.toSorted(byCodePoint) : values.toSorted(),
  )
}

/**
 * Whether `received` signs these values. JavaScript and Java clients sort by UTF-16 code units, which differs from byte
 * order only beyond U+FFFF; such values get a second try in that order. Takes the same time wherever the two differ.
 */
export function verifySignature(values: readonly string[], secret: string, received: string): boolean {
  if (equal(sign(values, secret), received)) return true
  return values.some((value) => SURROGATE.test(value)) && equal(digest(secret, values.toSorted()), received)
}

function equal(expected: string, received: string): boolean {
  const theirs = Buffer.from(received)
  return theirs.length === expected.length && timingSafeEqual(Buffer.from(expected), theirs)
}
