/** RFC 2045 §6.8: 76 characters a line at most. */
const LINE = 76

/** Octets that base64 in lines takes; the last line has no end. */
export function base64Length(length: number): number {
  const characters = Math.ceil(length / 3) * 4
  return characters + Math.max(0, Math.ceil(characters / LINE) - 1) * 2
}

/**
 * Encodes as base64 in lines (RFC 2045 §6.8).
 *
 * @param target with room for `base64Length` octets
 * @returns how many octets were written
 */
export function writeBase64(octets: Buffer, target: Buffer): number {
  const text = octets.toString('base64')
  let out = 0
  for (let at = 0; at < text.length; at += LINE) {
    if (at > 0) out += target.write('\r\n', out, 'latin1')
    out += target.write(text.slice(at, at + LINE), out, 'latin1')
  }
  return out
}
