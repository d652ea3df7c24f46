/** RFC 2047 §2: an encoded word is at most 75 characters long. */
const MOST = 75
const FRAME = '=?UTF-8?Q??='.length
/** Room for at least one character of four octets, in either encoding. */
export const LEAST_ROOM = FRAME + 12

/**
 * What an octet becomes in the Q encoding (RFC 2047 §4.2). Only what is also allowed within a display name is left as it
 * is (§5 (3)), so that one encoding serves all fields.
 */
const Q: readonly string[] = Array.from({ length: 256 }, (_, octet) => {
  const character = String.fromCharCode(octet)
  if (octet === 0x20) return '_'
  return /[A-Za-z0-9!*+/-]/.test(character) ? character : `=${octet.toString(16).toUpperCase().padStart(2, '0')}`
})
const Q_LENGTH = Uint8Array.from(Q, (text) => text.length)

/**
 * Text as a row of encoded words, none of which splits a character (RFC 2047 §5). Whatever is shorter, Q or B, is taken
 * for all. Between them belongs white space, which readers drop (§6.2).
 *
 * @param room characters left on the line for the first of them, at least `LEAST_ROOM`
 */
export function encodeWords(text: string, room: number = MOST): string[] {
  const octets = Buffer.from(text, 'utf8')
  const { length } = octets
  let qLength = 0
  for (let i = 0; i < length; i++) qLength += Q_LENGTH[octets[i]!]!
  const bLength = Math.ceil(length / 3) * 4
  const useQ = qLength <= bLength
  let limit = Math.min(room, MOST) - FRAME
  if (length > 0 && Math.min(qLength, bLength) <= limit) return [encodedWord(octets, 0, length, useQ)]
  const words: string[] = []
  let start = 0
  let used = 0
  for (let at = 0; at < length; ) {
    const end = characterEnd(octets, at)
    let width = 0
    if (useQ) for (let i = at; i < end; i++) width += Q_LENGTH[octets[i]!]!
    const length = useQ ? used + width : Math.ceil((end - start) / 3) * 4
    if (length > limit && at > start) {
      words.push(encodedWord(octets, start, at, useQ))
      start = at
      used = 0
      limit = MOST - FRAME
      continue
    }
    used += width
    at = end
  }
  if (start < length) words.push(encodedWord(octets, start, length, useQ))
  return words
}

function encodedWord(octets: Buffer, start: number, end: number, useQ: boolean): string {
  if (!useQ) return `=?UTF-8?B?${octets.toString('base64', start, end)}?=`
  let text = ''
  for (let i = start; i < end; i++) text += Q[octets[i]!]!
  return `=?UTF-8?Q?${text}?=`
}

/** Where the UTF-8 character at `at` ends. */
function characterEnd(octets: Buffer, at: number): number {
  let end = at + 1
  while (end < octets.length && (octets[end]! & 0xc0) === 0x80) end += 1
  return end
}
