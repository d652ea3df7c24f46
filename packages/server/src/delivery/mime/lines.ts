/** What transports ask about the lines of a text. */
export interface Lines {
  /** Whether each line ends in CRLF, each in LF, or otherwise; a text of one line counts as the first. */
  ends: 'crlf' | 'lf' | 'mixed'
  /** Characters of the longest line, without its end. */
  longest: number
  /** Some line begins with a dot. */
  leadingDot: boolean
  /** Some line begins with two dashes, as delimiters of parts do. */
  leadingDashes: boolean
}

const CR = 13
const DASH = 45
const DOT = 46

/** Looks at the lines of a text, once; `longest` and what begins a line are told for CRLF and LF only. */
export function surveyLines(text: string): Lines {
  let longest = 0
  let leadingDot = false
  let leadingDashes = false
  let withCr = 0
  let withoutCr = 0
  for (let start = 0; ; ) {
    const first = text.charCodeAt(start)
    if (first === DOT) leadingDot = true
    else if (first === DASH && text.charCodeAt(start + 1) === DASH) leadingDashes = true
    const end = text.indexOf('\n', start)
    if (end === -1) {
      longest = Math.max(longest, text.length - start)
      break
    }
    const isCrLf = end > start && text.charCodeAt(end - 1) === CR
    if (isCrLf) withCr += 1
    else withoutCr += 1
    longest = Math.max(longest, end - start - (isCrLf ? 1 : 0))
    start = end + 1
  }
  // Those that end a line were counted; one more, and there is one that ends none.
  let returns = 0
  for (let at = text.indexOf('\r'); at !== -1; at = text.indexOf('\r', at + 1)) returns += 1
  const isMixed = returns !== withCr || (withCr > 0 && withoutCr > 0)
  return { ends: isMixed ? 'mixed' : withoutCr > 0 ? 'lf' : 'crlf', longest, leadingDot, leadingDashes }
}

/** The text with every line end, CRLF, LF or CR, written as CRLF (RFC 5321 §2.3.8). */
export function withCrLf(text: string, ends: Lines['ends']): string {
  if (ends === 'crlf') return text
  // Replacing a plain text is several times as fast as replacing a pattern.
  return ends === 'lf' ? text.replaceAll('\n', '\r\n') : text.replace(/\r\n?|\n/g, '\r\n')
}

/** Octets of the longest line, without its end. */
export function longestLine(octets: Buffer): number {
  let longest = 0
  let start = 0
  for (let end = octets.indexOf(10); end !== -1; end = octets.indexOf(10, start)) {
    longest = Math.max(longest, end - start - 1)
    start = end + 1
  }
  return Math.max(longest, octets.length - start)
}
