/** What whoever wrote a content knows of it, so that nobody has to look again. */
export interface Traits {
  /** It has octets beyond ASCII: MAIL needs BODY=8BITMIME (RFC 6152). */
  eightBit: boolean
  /** Its header has addresses beyond ASCII: MAIL needs SMTPUTF8 (RFC 6531 §3.4). */
  smtpUtf8: boolean
  /** False only if no line begins with a dot and there is neither a bare CR nor a bare LF: then nothing is stuffed. */
  leadingDot: boolean
}

/** Says that the content is over, on a line of its own (RFC 5321 §4.1.1.4). */
const END = Buffer.from('\r\n.\r\n')
/** The same after a content whose last line is ended. */
const END_AFTER_LINE = END.subarray(2)
/** Ends a content of nothing, for a server that waits for one that nobody has (RFC 2920 §3.1). */
export const NOTHING = END_AFTER_LINE

const [LF, CR, DOT] = [10, 13, 46]
const LF_DOT = Buffer.from('\n.')
const CR_DOT = Buffer.from('\r.')

/** The bytes that end this content. */
export function endOf(content: Buffer): Buffer {
  const { length } = content
  return length === 0 || (content[length - 1] === LF && content[length - 2] === CR) ? END_AFTER_LINE : END
}

/**
 * The content with a second dot where a line begins with one (RFC 5321 §4.5.2); the same bytes when there is none, as
 * almost always. A line begins also after a bare LF or a bare CR: neither belongs into a message, but there are servers
 * that take them for line ends, and then a lonely dot would end the message and let what follows speak as commands.
 */
export function stuffed(content: Buffer): Buffer {
  if (content[0] !== DOT && content.indexOf(LF_DOT) === -1 && content.indexOf(CR_DOT) === -1) return content
  const dots: number[] = []
  for (let at = content.indexOf(DOT); at !== -1; at = content.indexOf(DOT, at + 1)) {
    const before = at === 0 ? LF : content[at - 1]
    if (before === LF || before === CR) dots.push(at)
  }
  const result = Buffer.allocUnsafe(content.length + dots.length)
  let from = 0
  let to = 0
  for (const at of dots) {
    to += content.copy(result, to, from, at)
    result[to++] = DOT
    from = at
  }
  content.copy(result, to, from)
  return result
}
