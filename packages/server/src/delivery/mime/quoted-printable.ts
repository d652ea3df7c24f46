const TAB = 9
const CR = 13
const LF = 10
const SPACE = 32
const DOT = 46
const EQUALS = 61
const CAPITAL_F = 70

/** RFC 2045 §6.7 (5): 76 characters with the `=` of a soft break. */
const LINE = 75

/** Octets that stand for themselves; blanks do unless they end a line, which is seen to there. */
const PLAIN = new Uint8Array(256).fill(1, SPACE, 127)
PLAIN[TAB] = 1
PLAIN[EQUALS] = 0

const HEX = Array.from({ length: 256 }, (_, octet) => octet.toString(16).toUpperCase().padStart(2, '0'))
const HIGH = Uint8Array.from(HEX, (digits) => digits.charCodeAt(0))
const LOW = Uint8Array.from(HEX, (digits) => digits.charCodeAt(1))

/** Room for `length` octets at most: all of them coded, and a soft break after each 64 that were written. */
export function mostQuotedPrintable(length: number): number {
  return length * 3 + Math.ceil(length / 20) * 3 + 8
}

/**
 * Encodes UTF-8 text as quoted-printable (RFC 2045 §6.7). Line ends of any kind become CRLF. Characters are not split by
 * soft breaks, for readers that decode line by line, and no line begins with a dot or with `From `, which transports
 * are known to change (RFC 2049 §3).
 *
 * @param target with room for `mostQuotedPrintable` octets
 * @param most gives up when the result gets longer than this
 * @returns how many octets were written; -1: given up
 */
export function writeQuotedPrintable(text: Uint8Array, target: Uint8Array, most: number): number {
  const { length } = text
  let out = 0
  let lineStart = 0
  let i = 0
  while (i < length) {
    if (out === lineStart) {
      // A line adds less than 80 octets, so looking here is enough.
      if (out > most) return -1
      if (isTouchy(text, i)) out = writeCode(target, out, text[i++]!)
    }
    const stop = Math.min(length, i + LINE - (out - lineStart))
    while (i < stop && PLAIN[text[i]!] === 1) target[out++] = text[i++]!
    if (i === length) break
    const octet = text[i]!
    if (octet === CR || octet === LF) {
      if (out > lineStart) out = guardBlank(target, out, lineStart)
      i += octet === CR && text[i + 1] === LF ? 2 : 1
      target[out++] = CR
      target[out++] = LF
      lineStart = out
      continue
    }
    // A character stays whole, so its first octet needs room for all.
    const octets = octet < 0xc0 ? 1 : octet < 0xe0 ? 2 : octet < 0xf0 ? 3 : 4
    if (out - lineStart + (PLAIN[octet] === 1 ? 1 : octets * 3) > LINE) {
      out = softBreak(target, out)
      lineStart = out
      continue
    }
    for (let left = octets; left > 0; left--) out = writeCode(target, out, text[i++]!)
  }
  if (out > lineStart) out = guardBlank(target, out, lineStart)
  return out > most ? -1 : out
}

function writeCode(target: Uint8Array, out: number, octet: number): number {
  target[out] = EQUALS
  target[out + 1] = HIGH[octet]!
  target[out + 2] = LOW[octet]!
  return out + 3
}

function softBreak(target: Uint8Array, out: number): number {
  target[out] = EQUALS
  target[out + 1] = CR
  target[out + 2] = LF
  return out + 3
}

/** A blank at the end of a line would be taken for padding, so its code is written instead (§6.7 (3)). */
function guardBlank(target: Uint8Array, out: number, lineStart: number): number {
  const last = target[out - 1]!
  if (last !== SPACE && last !== TAB) return out
  const end = out - 1 - lineStart + 3 > LINE ? softBreak(target, out - 1) : out - 1
  return writeCode(target, end, last)
}

/** What must not begin a line. */
function isTouchy(text: Uint8Array, at: number): boolean {
  const octet = text[at]
  if (octet !== CAPITAL_F) return octet === DOT
  return text[at + 1] === 114 && text[at + 2] === 111 && text[at + 3] === 109 && text[at + 4] === SPACE
}
