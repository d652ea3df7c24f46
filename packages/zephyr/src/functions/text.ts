import { Failure } from '../errors.ts'
import { escapeHtml } from '../escape.ts'
import { equal } from '../operators.ts'
import type { Run } from '../run.ts'
import { concatenate, hasTaint, show } from '../text.ts'
import {
  fromHost,
  hasKey,
  isObject,
  keyText,
  Labelled,
  NONE,
  Tainted,
  toInteger,
  toList,
  type Value,
  valuesOf,
} from '../values.ts'
import { type Arg, type Definition, define } from './definition.ts'
import { md5, sha1, sha256 } from './hash.ts'
import { sliceList } from './lists.ts'
import { plainText, stripTags } from './markup.ts'

/** A text argument. Long ones are accounted for: reading them takes time. */
export function str(run: Run, value: Arg): string {
  const text = show(run, value)
  if (text.length > 256) run.spend(text.length)
  return text
}

const SURROGATE = /[\ud800-\udfff]/

/** A text as positions count it: by character, not by UTF-16 unit. */
function units(text: string): string | string[] {
  return SURROGATE.test(text) ? Array.from(text) : text
}

export function characterCount(text: string): number {
  return SURROGATE.test(text) ? Array.from(text).length : text.length
}

/** Start and end of a part given as offset and length, either of which may count from the end. */
export function part(total: number, start: number, length: number | undefined): [number, number] {
  const from = start < 0 ? Math.max(0, total + start) : Math.min(start, total)
  if (length === undefined) return [from, total]
  const to = length < 0 ? total + length : Math.min(total, from + length)
  return [from, Math.max(from, to)]
}

export function substr(text: string, start: number, length: number | undefined): string {
  const chars = units(text)
  const [from, to] = part(chars.length, start, length)
  const cut = chars.slice(from, to)
  return typeof cut === 'string' ? cut : cut.join('')
}

function optionalInteger(value: Arg): number | undefined {
  return value === undefined || value === null ? undefined : toInteger(value, 0)
}

function replace(run: Run, input: Arg, search: Arg, replacement: Arg): Value {
  const text = str(run, input)
  const from = str(run, search)
  const to = str(run, replacement)
  if (from === '') return text
  let count = 0
  for (let i = text.indexOf(from); i !== -1; i = text.indexOf(from, i + from.length)) count++
  if (count === 0) return text
  // Checked before it is built: a short template could ask for terabytes.
  run.long(text.length + count * (to.length - from.length))
  return run.made(text.replaceAll(from, () => to))
}

function split(run: Run, input: Arg, delimiter: Arg): Value {
  const text = str(run, input)
  const at = new Set(str(run, delimiter))
  run.spend(text.length)
  if (at.size === 0) return run.madeList(Array.from(text))
  const pieces: string[] = []
  let piece = ''
  for (const char of text) {
    if (!at.has(char)) piece += char
    else if (piece !== '') {
      pieces.push(piece)
      piece = ''
    }
  }
  if (piece !== '') pieces.push(piece)
  return run.madeList(pieces)
}

function join(run: Run, list: Arg, delimiter: Arg): Value {
  const items = toList(list)
  const parts: Value[] = []
  for (const [i, item] of items.entries()) {
    if (i > 0) parts.push(delimiter ?? null)
    const value = fromHost(item)
    parts.push(
      isObject(value) && !(value instanceof Labelled)
        ? concatenate(run, interleave(valuesOf(value), delimiter))
        : value,
    )
  }
  run.spend(parts.length)
  return concatenate(run, parts)
}

function interleave(values: Value[], delimiter: Arg): Value[] {
  return values.flatMap((value, i) => (i === 0 ? [value] : [delimiter ?? null, value]))
}

function position(run: Run, haystack: Arg, needle: Arg, offset: Arg, last: boolean): Value {
  const text = units(str(run, haystack))
  const wanted = str(run, needle)
  const start = toInteger(offset, 0)
  const from = start < 0 ? Math.max(0, text.length + start) : start
  if (from > text.length) return -1
  if (typeof text === 'string') {
    if (!last) return text.indexOf(wanted, from)
    const at = text.lastIndexOf(wanted)
    return at >= from ? at : -1
  }
  const before = text.slice(0, from).join('').length
  const whole = text.join('')
  const at = last ? whole.lastIndexOf(wanted) : whole.indexOf(wanted, before)
  return at < before ? -1 : characterCount(whole.slice(0, at))
}

function first(run: Run, x: Arg, prior: Arg): Value {
  if (x === undefined || x === null || x === NONE) return null
  if (Array.isArray(x)) return x.length === 0 ? null : fromHost(x[0])
  if (isObject(x) && !(x instanceof Labelled)) return valuesOf(x)[0] ?? null
  const text = str(run, x)
  let result: string
  if (prior === undefined || prior === null) {
    const trimmed = text.trimStart()
    const end = trimmed.search(/\s/)
    result = end === -1 ? trimmed : trimmed.slice(0, end)
  } else {
    const mark = str(run, prior)
    const end = mark === '' ? -1 : text.indexOf(mark)
    result = end === -1 ? text : text.slice(0, end)
  }
  return x instanceof Tainted ? new Tainted(result) : result
}

function length(run: Run, x: Arg): Value {
  if (x === undefined || x === null) return 0
  if (Array.isArray(x)) return x.length
  if (isObject(x) && !(x instanceof Labelled)) return valuesOf(x).length
  return characterCount(str(run, x))
}

function contains(run: Run, haystack: Arg, needle: Arg): Value {
  if (haystack === undefined || haystack === null) return false
  const wanted = needle ?? null
  if (Array.isArray(haystack)) {
    run.spend(haystack.length)
    return haystack.some((item) => equal(run, fromHost(item), wanted))
  }
  if (isObject(haystack) && !(haystack instanceof Labelled)) return hasKey(haystack, keyText(wanted))
  return str(run, haystack).includes(str(run, wanted))
}

export function urlEncode(text: string): string {
  return encodeURIComponent(text.toWellFormed())
    .replaceAll('%20', '+')
    .replace(/[!'()~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

function base64Encode(text: string): string {
  let binary = ''
  const bytes = new TextEncoder().encode(text)
  for (let i = 0; i < bytes.length; i += 8192) binary += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return btoa(binary)
}

function base64Decode(text: string): string {
  try {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return ''
  }
}

/** On pages always tainted: encoding clears the mark, so what comes back could be anybody's. */
function decoded(run: Run, s: Arg): Value {
  const text = run.made(base64Decode(str(run, s)))
  return run.tainting ? new Tainted(text) : text
}

function raw(run: Run, x: Arg): Value {
  if (run.tainting && hasTaint(x)) {
    throw new Failure('tainted', 'raw() refuses text that a visitor may have typed; use h()')
  }
  return x ?? null
}

/** `slice` works on texts as `substr` does. */
function slice(run: Run, x: Arg, offset: Arg, count: Arg): Value {
  if (typeof x === 'string') return substr(str(run, x), toInteger(offset, 0), optionalInteger(count))
  if (x instanceof Tainted) return new Tainted(substr(str(run, x), toInteger(offset, 0), optionalInteger(count)))
  return sliceList(run, toList(x), toInteger(offset, 0), optionalInteger(count))
}

const CLEARS = { taint: 'clears' } as const
const CARRIES = { taint: 'carries' } as const

export const textFunctions: Definition[] = [
  define('upper(s)', 1, (run, s) => run.made(str(run, s).toUpperCase())),
  define('lower(s)', 1, (run, s) => run.made(str(run, s).toLowerCase())),
  define('title(s)', 1, (run, s) =>
    run.made(str(run, s).replace(/(^|\s)(\S)/gu, (_, gap: string, c: string) => gap + c.toUpperCase())),
  ),
  define('substr(s, start [, length])', 2, (run, s, start, count) =>
    run.made(substr(str(run, s), toInteger(start, 0), optionalInteger(count))),
  ),
  define('replace(input, search, with)', 3, replace),
  define('split(s, delimiter)', 2, split),
  define('join(list, delimiter)', 2, join, CARRIES),
  define('strpos(haystack, needle [, offset])', 2, (run, a, b, c) => position(run, a, b, c, false), CLEARS),
  define('strrpos(haystack, needle [, offset])', 2, (run, a, b, c) => position(run, a, b, c, true), CLEARS),
  define('first(x [, prior])', 1, first, CARRIES),
  define('length(x)', 1, length, CLEARS),
  define('contains(haystack, needle)', 2, contains, CLEARS),
  define('slice(list, offset [, length])', 2, slice, CARRIES),
  define('strip_tags(s)', 1, (run, s) => run.made(stripTags(str(run, s)))),
  define('h(s)', 1, (run, s) => run.made(escapeHtml(str(run, s))), CLEARS),
  define('u(s)', 1, (run, s) => run.made(urlEncode(str(run, s))), CLEARS),
  define('text(html)', 1, (run, s) => run.made(plainText(str(run, s)))),
  define('md5(s)', 1, (run, s) => md5(costly(run, s)), CLEARS),
  define('sha1(s)', 1, (run, s) => sha1(costly(run, s)), CLEARS),
  define('sha256(s)', 1, (run, s) => sha256(costly(run, s)), CLEARS),
  define('base64_encode(s)', 1, (run, s) => run.made(base64Encode(str(run, s))), CLEARS),
  define('base64_decode(s)', 1, decoded, CARRIES),
  define('raw(x)', 1, raw, CARRIES),
]

/** Hashing costs some twenty times as much as other reading. */
function costly(run: Run, value: Arg): string {
  const text = str(run, value)
  if (text.length > 256) run.spend(text.length * 8)
  return text
}
