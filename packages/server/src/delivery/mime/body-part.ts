import { isAscii } from 'node:buffer'
import type { Arena } from './arena.ts'
import { base64Length, writeBase64 } from './base64.ts'
import { LONGEST_LINE } from './header.ts'
import { longestLine, surveyLines, withCrLf } from './lines.ts'
import { mostQuotedPrintable, writeQuotedPrintable } from './quoted-printable.ts'
import { toUtf8 } from './utf8.ts'

export type TransferEncoding = '7bit' | '8bit' | 'quoted-printable' | 'base64'

/** Text in the form in which it travels. */
export interface BodyPart {
  encoding: TransferEncoding
  /** Lines ended by CRLF; valid until the arena is cleared. */
  octets: Buffer
  leadingDot: boolean
  leadingDashes: boolean
}

/**
 * Puts text into a transfer encoding (RFC 2045 §6): none where the way allows it, else whichever is shorter.
 *
 * @param eightBit whether octets beyond ASCII may be sent as they are (RFC 6152)
 */
export function encodePart(text: string, eightBit: boolean, arena: Arena): BodyPart {
  // UTF-8 has as many octets as UTF-16 has units for ASCII alone.
  const mayBePlain = eightBit || Buffer.byteLength(text) === text.length
  return (mayBePlain && plainPart(text, arena)) || codedPart(text, arena)
}

/** The text as it is, but for line ends; null when it has lines, or characters, that do not travel so. */
function plainPart(given: string, arena: Arena): BodyPart | null {
  let lines = surveyLines(given)
  const text = withCrLf(given, lines.ends)
  if (lines.ends === 'mixed') lines = surveyLines(text)
  const octets = toUtf8(text, arena)
  // NUL has no place in mail, however it is sent (RFC 2045 §2.8).
  if (octets.includes(0)) return null
  const ascii = isAscii(octets)
  // Three octets at most for each UTF-16 unit.
  const isSurelyShort = lines.longest * (ascii ? 1 : 3) <= LONGEST_LINE
  if (!isSurelyShort && longestLine(octets) > LONGEST_LINE) return null
  const { leadingDot, leadingDashes } = lines
  return { encoding: ascii ? '7bit' : '8bit', octets, leadingDot, leadingDashes }
}

/** What either encoding writes begins no line with a dot or with two dashes that a delimiter could be. */
function codedPart(text: string, arena: Arena): BodyPart {
  const octets = toUtf8(text, arena)
  const safe = { leadingDot: false, leadingDashes: false }
  const limit = base64Length(octets.length)
  // Each character beyond ASCII adds one or two octets to the length, and quoted-printable at least three times that.
  const isWorthTrying = octets.length + 3 * (octets.length - text.length) <= limit
  if (isWorthTrying) {
    let end = -1
    const coded = arena.fill(mostQuotedPrintable(octets.length), (room) => {
      end = writeQuotedPrintable(octets, room, limit)
      return Math.max(end, 0)
    })
    if (end >= 0) return { encoding: 'quoted-printable', octets: coded, ...safe }
  }
  // Line ends are part of the text, and CRLF wherever it travels (RFC 2045 §6.8).
  const canonical = toUtf8(withCrLf(text, surveyLines(text).ends), arena)
  const coded = arena.fill(base64Length(canonical.length), (room) => writeBase64(canonical, room))
  return { encoding: 'base64', octets: coded, ...safe }
}
