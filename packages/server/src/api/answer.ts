/**
 * The two shapes of an answer. Clients cast an answer to a map and call it an error when it has a key `error`, so an
 * answer is always one object, never empty, and holds that key only when it is an error.
 */

export type Format = 'json' | 'xml'
export type Answer = Record<string, unknown>

export const contentTypes: Record<Format, string> = {
  json: 'application/json; charset=utf-8',
  xml: 'text/xml; charset=utf-8',
}

/** The format a caller asked for: XML when none was named, null when we do not know it. */
export function formatNamed(name: unknown): Format | null {
  if (name === undefined) return 'xml'
  return name === 'json' || name === 'xml' ? name : null
}

export const encode = (answer: Answer, format: Format): string =>
  format === 'json' ? JSON.stringify(answer) : encodeXml(answer)

/** @throws Error when an endpoint would answer something that clients take for a failure */
export function assertSuccess(answer: Answer): void {
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) throw new Error('answer is no object')
  if ('error' in answer) throw new Error('a successful answer holds the key error')
  for (const _ in answer) return
  throw new Error('answer is empty')
}

/** `<triggermail>` around one element a key; array elements are `<item>`, other keys `<item key="…">`. */
export const encodeXml = (answer: Answer): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<triggermail>${content(answer)}</triggermail>\n`

function content(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'boolean') return value ? '1' : '0'
  if (typeof value !== 'object') return escaped(String(value))
  if (value instanceof Date) return value.toISOString()
  if (Array.isArray(value)) return value.map((element) => `<item>${content(element)}</item>`).join('')
  return Object.entries(value)
    .filter(([, inner]) => inner !== undefined)
    .map(([key, inner]) => element(key, content(inner)))
    .join('')
}

/** `item` itself goes into the attribute too, so that a map is never mistaken for an array. */
const NAME = /^(?!xml|item$)[a-z_][\w.-]*$/i

const element = (key: string, inside: string) =>
  NAME.test(key) ? `<${key}>${inside}</${key}>` : `<item key="${escaped(key)}">${inside}</item>`

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\r': '&#13;' }

/** XML 1.0 has no place for most control characters, nor for halves of surrogate pairs. */
const escaped = (text: string) =>
  text
    .toWellFormed()
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
    .replace(/[&<>"\r]/g, (character) => ESCAPES[character] as string)
