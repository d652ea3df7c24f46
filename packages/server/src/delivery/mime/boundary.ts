/**
 * A delimiter for the parts of a message (RFC 2046 §5.1.1), the same for the same seed. `=_` occurs in no quoted-printable
 * or base64 body (RFC 2045 §6.7); in others it could, by intent even, so it is held against them.
 *
 * @param mayHold bodies that hold a line that begins with two dashes
 */
export function boundaryOf(seed: string, mayHold: readonly Buffer[]): string {
  for (let attempt = 0; ; attempt++) {
    const boundary = `=_${digest(seed, attempt)}`
    if (!mayHold.some((body) => body.includes(boundary))) return boundary
  }
}

/** 64 bits of two FNV-1a hashes: told apart is all that boundaries have to be. */
function digest(seed: string, attempt: number): string {
  let one = 0x811c9dc5 ^ attempt
  let two = 0x01000193 + attempt
  for (let i = 0; i < seed.length; i++) {
    const unit = seed.charCodeAt(i)
    one = Math.imul(one ^ unit, 0x01000193)
    two = Math.imul(two ^ unit, 0x5bd1e995)
    two ^= two >>> 15
  }
  return hex(one) + hex(two)
}

const hex = (value: number) => (value >>> 0).toString(16).padStart(8, '0')
