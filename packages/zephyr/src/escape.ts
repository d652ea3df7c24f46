import type { Place } from './ast.ts'
import { inPieces } from './pieces.ts'
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
  if (!hasTaint(run, value)) return show(run, value)
  if ((place === 'url' || place === 'bare-url') && refusedScheme(run, show(run, value))) return '#'
  // In a script a bare value needs quotes of its own, around the whole of it.
  if (place === 'script') return `"${inPieces(run, show(run, value), escapeScript)}"`
  if (place === 'handler') return `&quot;${inPieces(run, show(run, value), escapeScript)}&quot;`
  return pieces(run, value, place)
}

function pieces(run: Run, value: Value, place: Place): string {
  if (value instanceof Tainted) {
    if (value.pieces === null) return escapeFor(run, value.text, place)
    return value.pieces.map((piece) => (typeof piece === 'string' ? piece : escapeFor(run, piece.text, place))).join('')
  }
  if (Array.isArray(value)) {
    let out = ''
    for (const item of value) {
      run.tick()
      out += `${out === '' ? '' : ', '}${pieces(run, fromHost(item), place)}`
      if (out.length > run.limits.output) run.long(out.length)
    }
    return `[${out}]`
  }
  return hasTaint(run, value) ? escapeFor(run, show(run, value), place) : show(run, value)
}

function escapeFor(run: Run, text: string, place: Place): string {
  // A word is looked at as a whole.
  return place === 'tag' ? harmlessWord(text) : inPieces(run, text, (piece) => escapePiece(piece, place))
}

/** Inside a tag nothing can be quoted; only a harmless word is let through. */
function harmlessWord(text: string): string {
  return text.length <= 1000 && /^(?!on)[a-z][a-z-]*$/i.test(text) ? text : ''
}

function escapePiece(text: string, place: Place): string {
  switch (place) {
    case 'url-rest':
      // A value before this one may end in the name of a scheme.
      return escapeHtml(text.replaceAll(':', '%3A'))
    case 'bare-url-rest':
      return escapePiece(text.replaceAll(':', '%3A'), 'bare-attribute')
    case 'bare-attribute':
    case 'bare-url':
      return text.replace(/[^A-Za-z0-9._~:/%-]/gu, (c) => `&#${c.codePointAt(0)};`)
    case 'srcdoc':
      return escapeHtml(escapeHtml(text))
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
function refusedScheme(run: Run, url: string): boolean {
  const visible = inPieces(run, url, (piece) => piece.replace(/[\u0000-\u0020\u007f-\u009f]/g, ''))
  const scheme = /^([^:/?#]*):/.exec(visible)
  return scheme !== null && /^(?:javascript|data|vbscript)$/i.test(scheme[1]!)
}
