import type { Place } from './ast.ts'
import type { Run } from './run.ts'
import { hasTaint, show } from './text.ts'
import { fromHost, Tainted, type Value } from './values.ts'

const HTML = /[&<>"']/
const HTML_ALL = /[&<>"']/g
const NAMES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** Escapes the five characters that mean something in HTML and XML. */
export function escapeHtml(text: string): string {
  return HTML.test(text) ? text.replace(HTML_ALL, (c) => NAMES[c]!) : text
}

/** Prints a value on a hosted page: what visitors typed is made harmless for the place it lands in. */
export function showOnPage(run: Run, value: Value, place: Place): string {
  if (typeof value === 'string') return value
  if (!hasTaint(value)) return show(run, value)
  if ((place === 'url' || place === 'bare-url') && refusedScheme(show(run, value))) return '#'
  // In a script a bare value needs quotes of its own, around the whole of it.
  if (place === 'script') return `"${escapeScript(show(run, value))}"`
  if (place === 'handler') return `&quot;${escapeScript(show(run, value))}&quot;`
  return pieces(run, value, place)
}

function pieces(run: Run, value: Value, place: Place): string {
  if (value instanceof Tainted) {
    if (value.pieces === null) return escapeFor(value.text, place)
    return value.pieces.map((piece) => (typeof piece === 'string' ? piece : escapeFor(piece.text, place))).join('')
  }
  if (Array.isArray(value)) return `[${value.map((item) => pieces(run, fromHost(item), place)).join(', ')}]`
  return hasTaint(value) ? escapeFor(show(run, value), place) : show(run, value)
}

function escapeFor(text: string, place: Place): string {
  switch (place) {
    case 'url-rest':
      // A value before this one may end in the name of a scheme.
      return escapeHtml(text.replaceAll(':', '%3A'))
    case 'bare-url-rest':
      return escapeFor(text.replaceAll(':', '%3A'), 'bare-attribute')
    case 'bare-attribute':
    case 'bare-url':
      return text.replace(/[^A-Za-z0-9._~:/%-]/gu, (c) => `&#${c.codePointAt(0)};`)
    case 'srcdoc':
      return escapeHtml(escapeHtml(text))
    case 'tag':
      // Inside a tag nothing can be quoted; only a harmless word is let through.
      return /^(?!on)[a-z][a-z-]*$/i.test(text) ? text : ''
    case 'style':
      return text.replace(/[^A-Za-z0-9#.,% _-]/gu, (c) => `\\${c.codePointAt(0)!.toString(16)} `)
    case 'script':
    case 'script-string':
    case 'handler':
    case 'handler-string':
      return escapeScript(text)
    default:
      return escapeHtml(text)
  }
}

/** Safe between quotes of any kind, in a script, an attribute or a template literal. */
function escapeScript(text: string): string {
  return text.replace(/[^A-Za-z0-9 _.,-]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Schemes that run code; browsers ignore control characters and white space inside the name. */
function refusedScheme(url: string): boolean {
  const scheme = /^([^:/?#]*):/.exec(url.replace(/[\u0000-\u0020\u007f-\u009f]/g, ''))
  return scheme !== null && /^(?:javascript|data|vbscript)$/i.test(scheme[1]!)
}
