import { isUtf8 } from 'node:buffer'
import { invalidUtf8, tooManyParameters } from './errors.ts'
import type { Multipart } from './multipart.ts'
import { fromPairs, MAX_PARAMETERS, type Pair, type Params } from './parameters.ts'

/**
 * From what a request carries to one set of parameters.
 *
 * @param query the query string without `?`, one character a byte, as Node hands it over
 * @param body the raw form body, an already parsed multipart body, or null
 * @returns query and body parameters merged (the body wins), as texts in PHP's bracket structure
 * @throws ApiError 42 naming a field that is not UTF-8, 99 for NUL, depth, or number of parameters
 */
export function readParams(query: string, body: Buffer | Multipart | null): Params {
  if (body === null) return fromPairs(formPairs(query))
  const inBody = fromPairs(Buffer.isBuffer(body) ? formPairs(body.toString('latin1')) : body.pairs)
  return query === '' ? inBody : Object.assign(fromPairs(formPairs(query)), inBody)
}

/**
 * Splits `a=1&b=2` and decodes both sides, where `+` is a blank.
 * @param text one character a byte
 */
export function formPairs(text: string): Pair[] {
  const pairs: Pair[] = []
  const decode = /[^\x00-\x7f]/.test(text) ? decodeBytes : decodeAscii
  for (let start = 0; start < text.length; ) {
    let end = text.indexOf('&', start)
    if (end === -1) end = text.length
    let equals = text.indexOf('=', start)
    if (equals === -1 || equals > end) equals = end
    if (equals > start) {
      if (pairs.length === MAX_PARAMETERS) throw tooManyParameters(MAX_PARAMETERS)
      const name = decode(text.slice(start, equals), null)
      pairs.push([name, decode(text.slice(equals + 1, end), name)])
    }
    start = end + 1
  }
  return pairs
}

type Decode = (text: string, field: string | null) => string

/** The way of every official client. Stray percent signs and bad sequences take the slow way, which knows the field. */
const decodeAscii: Decode = (text, field) => {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text
  if (!spaced.includes('%')) return spaced
  try {
    return decodeURIComponent(spaced)
  } catch {
    return decodeBytes(text, field)
  }
}

/** Byte by byte, as PHP does: `%` before anything but two hex digits stands for itself. */
const decodeBytes: Decode = (text, field) => {
  const bytes = Buffer.from(
    text.replaceAll('+', ' ').replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))),
    'latin1',
  )
  if (!isUtf8(bytes)) throw invalidUtf8(field ?? bytes.toString())
  return bytes.toString()
}
