import type { Run } from './run.ts'

/** Texts up to this length are worked on in one go, in UTF-16 units. */
export const PIECE = 16_384
/** A piece ends behind white space if there is any among its last units. */
const NEAR = 200

/**
 * What a function makes of a text, made piece by piece: the clock is asked between the pieces, and nothing but the result
 * grows with the text. `make` must give for a text what it gives for its pieces, one after the other.
 *
 * @param make the piece, and the unit before it ('' at the beginning)
 */
export function inPieces(run: Run, text: string, make: (piece: string, before: string) => string): string {
  if (text.length <= PIECE) return make(text, '')
  let out = ''
  for (let from = 0; from < text.length; ) {
    run.burn(PIECE * 8)
    const to = endOfPiece(text, from)
    out += make(text.slice(from, to), from === 0 ? '' : text[from - 1]!)
    if (out.length > run.limits.output) run.long(out.length)
    from = to
  }
  return out
}

/** Behind white space where that is near; else neither within a character nor within a character reference. */
export function endOfPiece(text: string, from: number): number {
  const most = Math.min(text.length, from + PIECE)
  if (most === text.length) return most
  for (let end = most; end > most - NEAR; end--) {
    const unit = text.charCodeAt(end - 1)
    if (unit === 32 || (unit >= 9 && unit <= 13)) return end
  }
  const reference = text.lastIndexOf('&', most - 1)
  if (reference > most - 12 && reference > from) return reference
  const last = text.charCodeAt(most - 1)
  return last >= 0xd800 && last <= 0xdbff ? most - 1 : most
}
