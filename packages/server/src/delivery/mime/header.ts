import { asciiDomain } from './domain.ts'
import { encodeWords, LEAST_ROOM } from './encoded-word.ts'
import { type Refusal, refusal } from './message.ts'

/** Header fields as text, each with its final CRLF. */
export type FieldOutcome = { ok: true; field: string } | Refusal

/** RFC 2047 §2: lines that hold encoded words have at most 76 characters; RFC 5322 §2.1.1 prefers 78 for all. */
export const LINE = 76
/** RFC 5322 §2.1.1, without the CRLF. */
export const LONGEST_LINE = 998

/** RFC 5322 §2.2, and it begins with a letter or a digit. */
const NAME = /^[A-Za-z0-9][!-9;-~]{0,75}$/
/** Fields that the writer writes itself, or that are others' to write. */
const TAKEN =
  /^(?:from|sender|reply-to|to|cc|bcc|subject|date|message-id|mime-version|content-.*|dkim-signature|return-path|received)$/i

/** A longer word is encoded, so that it can be broken within the longest line. */
const MOST_READABLE = 900

const PLAIN = /^[ -~]*$/
const BREAKS = /[\r\n\0]/

/** Checks the name of a header that is given from outside. */
export function checkName(name: string): Refusal | null {
  if (!NAME.test(name)) return refusal('header-name', name, `${JSON.stringify(name)} is not the name of a header`)
  if (TAKEN.test(name)) return refusal('header-name', name, `${name} cannot be given as an extra header`)
  return null
}

/** A line break in a header would let its author add headers of any kind; NUL is dangerous everywhere. */
export function checkBreaks(field: string, value: string): Refusal | null {
  return BREAKS.test(value) ? refusal('line-break', field, `line break or NUL in ${JSON.stringify(field)}`) : null
}

/**
 * A field of unstructured text (RFC 5322 §2.2.1): folded at its spaces; what is not plain is encoded (RFC 2047 §5 (1)).
 * Spaces around the text are dropped.
 */
export function textField(name: string, value: string): FieldOutcome {
  const broken = checkBreaks(name, value)
  if (broken) return broken
  const text = value.trim()
  if (name.length + 2 + text.length <= LINE && isReadable(text)) {
    return { ok: true, field: text === '' ? `${name}:\r\n` : `${name}: ${text}\r\n` }
  }
  return { ok: true, field: `${fold(`${name}:`, piecesOf(text, LINE - name.length - 2))}\r\n` }
}

/** A field that stays on one line, exactly as it is. */
export function oneLineField(name: string, value: string): FieldOutcome {
  const broken = checkBreaks(name, value)
  if (broken) return broken
  const text = value.trim()
  if (!PLAIN.test(text)) return refusal('value', name, `${name} can only hold printable ASCII`)
  const field = `${name}: ${text}\r\n`
  if (field.length - 2 > LONGEST_LINE) return refusal('value', name, `${name} is too long for one line`)
  return { ok: true, field }
}

/**
 * Joins pieces, each of which begins with its white space, breaking lines before those that would not fit (RFC 5322
 * §2.2.3). The first stays beside the name: some readers take a first line without text for an empty field.
 */
export function fold(start: string, pieces: readonly string[]): string {
  let text = start
  let column = start.length
  let isFirst = true
  for (const piece of pieces) {
    const staysAnyway = isFirst && !piece.startsWith(' =?')
    if (column + piece.length > LINE && !staysAnyway) {
      text += '\r\n'
      column = 0
    }
    text += piece
    column += piece.length
    isFirst = false
  }
  return text
}

/** Whether readers get the text back if it is written as it is. */
function isReadable(text: string): boolean {
  return PLAIN.test(text) && !text.includes('=?')
}

/** The words of a text with the spaces before them; those from the first to the last unreadable one are encoded. */
function piecesOf(text: string, room: number): string[] {
  const pieces = ` ${text}`.match(/ +[^ ]+/g) ?? []
  const mustBeEncoded = (piece: string) => piece.length > MOST_READABLE || !isReadable(piece)
  const first = pieces.findIndex(mustBeEncoded)
  if (first === -1) return pieces
  const last = pieces.findLastIndex(mustBeEncoded)
  // One space separates encoded words from plain ones; what is more has to be written inside.
  const run = pieces
    .slice(first, last + 1)
    .join('')
    .slice(1)
  const encoded = encodeWords(run, first === 0 && room >= LEAST_ROOM ? room : undefined)
  return [...pieces.slice(0, first), ...encoded.map((word) => ` ${word}`), ...pieces.slice(last + 1)]
}

/** RFC 5322 §3.3, in universal time. */
export function dateField(date: Date): FieldOutcome {
  const year = date.getUTCFullYear()
  if (!(year >= 1900 && year <= 9999)) return refusal('value', 'Date', 'Date is not between the years 1900 and 9999')
  return { ok: true, field: `Date: ${date.toUTCString().replace('GMT', '+0000')}\r\n` }
}

/** RFC 5322 §3.6.4: one identifier in angle brackets; a domain beyond ASCII is written as A-labels. */
export function messageIdField(id: string): FieldOutcome {
  const broken = checkBreaks('Message-ID', id)
  if (broken) return broken
  const [, left, right] = /^<([^\s<>@]+)@([^\s<>@]+)>$/.exec(id) ?? []
  const field = `Message-ID: <${left}@${asciiDomain(right ?? '')}>`
  if (left === undefined || !PLAIN.test(field) || field.endsWith('@>') || field.length > LONGEST_LINE) {
    return refusal('value', 'Message-ID', `${JSON.stringify(id)} is not a message id`)
  }
  return { ok: true, field: `${field}\r\n` }
}
