/** What a server says to one command (RFC 5321 §4.2). */
export interface Reply {
  code: number
  /** The text of each line without its code, control characters replaced: it goes into logs and the database. */
  lines: readonly string[]
}

export interface ReplyReader {
  /** @returns null, or what is wrong with what came; after that nothing more is read */
  push(chunk: Buffer): string | null
  /** Forgets an unfinished reply. */
  reset(): void
}

/** RFC 5321 §4.5.3.1.5 allows 512 octets a line. What is longer is read to its end, but not kept. */
const KEPT_OF_LINE = 1_000
/** No server has that much to say; one that goes on without end must not fill our memory. */
const MOST_LINES = 200

const [LF, CR, DASH, SPACE, ZERO] = [10, 13, 45, 32, 48]

/**
 * Reads replies from a stream that may be cut anywhere. Lines may end in a bare LF, and a code may stand alone
 * (RFC 5321 §4.2 asks clients to bear that).
 *
 * @param hear called for each whole reply, in order
 */
export function createReplyReader(hear: (reply: Reply) => void): ReplyReader {
  let lines: string[] = []
  /** The beginning of a line whose end has not come, copied so that it does not keep a whole chunk alive. */
  let begun: Buffer | null = null
  let kept = 0
  let problem: string | null = null

  function keep(bytes: Buffer): void {
    begun ??= Buffer.allocUnsafe(KEPT_OF_LINE)
    kept += bytes.copy(begun, kept, 0, Math.min(bytes.length, KEPT_OF_LINE - kept))
  }

  function takeLine(bytes: Buffer, from: number, to: number): void {
    const end = to > from && bytes[to - 1] === CR ? to - 1 : to
    const code = codeAt(bytes, from, end)
    const separator = end - from > 3 ? bytes[from + 3] : SPACE
    if (code === null || (separator !== SPACE && separator !== DASH)) {
      problem = `this is not SMTP: ${JSON.stringify(clean(bytes.toString('utf8', from, Math.min(end, from + 100))))}`
      return
    }
    lines.push(clean(bytes.toString('utf8', Math.min(from + 4, end), Math.min(end, from + KEPT_OF_LINE))))
    if (separator === DASH) {
      if (lines.length >= MOST_LINES) problem = `a reply of more than ${MOST_LINES} lines`
      return
    }
    const reply = { code, lines }
    lines = []
    hear(reply)
  }

  return {
    push(chunk) {
      let start = 0
      while (problem === null && start < chunk.length) {
        let newline = start
        // Lines are short: to look here takes less time than to call for a search.
        while (newline < chunk.length && chunk[newline] !== LF) newline++
        if (newline === chunk.length) {
          keep(chunk.subarray(start))
          break
        }
        if (begun === null) takeLine(chunk, start, newline)
        else {
          keep(chunk.subarray(start, newline))
          const [line, length] = [begun, kept]
          begun = null
          kept = 0
          takeLine(line, 0, length)
        }
        start = newline + 1
      }
      return problem
    },
    reset() {
      lines = []
      begun = null
      kept = 0
    },
  }
}

/** Three digits, the first from 2 to 5 (RFC 5321 §4.2.1); null: something else. */
function codeAt(bytes: Buffer, from: number, end: number): number | null {
  if (end - from < 3) return null
  const first = bytes[from]! - ZERO
  const second = bytes[from + 1]! - ZERO
  const third = bytes[from + 2]! - ZERO
  if (first < 2 || first > 5 || second < 0 || second > 9 || third < 0 || third > 9) return null
  return first * 100 + second * 10 + third
}

const CONTROL = /[\0-\x1f\x7f]/
const clean = (text: string) => (CONTROL.test(text) ? text.replace(/[\0-\x1f\x7f]+/g, ' ') : text).trim()

const ENHANCED = /^([245]\.\d{1,3}\.\d{1,3})(?=\s|$)/

/** The enhanced status code that begins a reply (RFC 2034 §4), when its class agrees with the reply's; else null. */
export function enhancedOf({ code, lines }: Reply): string | null {
  const found = ENHANCED.exec(lines[0] ?? '')?.[1] ?? null
  return found !== null && found[0] === String(code)[0] ? found : null
}

/** A reply on one line, as people quote it: `550 5.1.1 no such user`. An enhanced code repeated on every line is said once. */
export function textOf(reply: Reply): string {
  const { code, lines } = reply
  if (lines.length === 1) return lines[0] ? `${code} ${lines[0]}` : String(code)
  const enhanced = enhancedOf(reply)
  const rest = lines
    .slice(1)
    .map((line) => (enhanced && line.startsWith(enhanced) ? line.slice(enhanced.length) : line))
  return [code, lines[0], ...rest.map((line) => line.trim())].filter((part) => part !== '').join(' ')
}

/** 2yz: done. */
export const isPositive = ({ code }: Reply) => code < 300
/** 4yz, 5yz: refused, for now or for good. */
export const isRefusal = ({ code }: Reply) => code >= 400
/** The server closes the connection (RFC 5321 §3.8), whatever it was asked. */
export const CLOSING = 421
