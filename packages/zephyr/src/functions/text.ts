import { Failure } from '../errors.ts'
import { escapeHtml } from '../escape.ts'
import { equal } from '../operators.ts'
import { inPieces } from '../pieces.ts'
import type { Run } from '../run.ts'
import { indexIn, lastIndexIn } from '../search.ts'
import { concatenate, hasTaint, show } from '../text.ts'
import {
  fromHost,
  hasKey,
  isObject,
  keysOf,
  keyText,
  Labelled,
  NONE,
  ObjectMap,
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

/** Positions count characters, not UTF-16 units: how many of them a text has. */
export function characterCount(text: string): number {
  if (!SURROGATE.test(text)) return text.length
  let count = 0
  for (let i = 0; i < text.length; i = nextCharacter(text, i)) count++
  return count
}

/** Where so many characters end, in units. */
function unitsOf(text: string, characters: number): number {
  if (!SURROGATE.test(text)) return characters
  let i = 0
  for (let n = 0; n < characters && i < text.length; n++) i = nextCharacter(text, i)
  return i
}

function nextCharacter(text: string, i: number): number {
  return i + (text.codePointAt(i)! > 0xffff ? 2 : 1)
}

/** Start and end of a part given as offset and length, either of which may count from the end. */
export function part(total: number, start: number, length: number | undefined): [number, number] {
  const from = start < 0 ? Math.max(0, total + start) : Math.min(start, total)
  if (length === undefined) return [from, total]
  const to = length < 0 ? total + length : Math.min(total, from + length)
  return [from, Math.max(from, to)]
}

export function substr(text: string, start: number, length: number | undefined): string {
  const [from, to] = part(characterCount(text), start, length)
  return text.slice(unitsOf(text, from), unitsOf(text, to))
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
  for (let i = indexIn(run, text, from); i !== -1; i = indexIn(run, text, from, i + from.length)) {
    run.tick()
    count++
  }
  if (count === 0) return text
  // Checked before it is built: a short template could ask for terabytes.
  run.long(text.length + count * (to.length - from.length))
  let out = ''
  let last = 0
  for (let left = count; left > 0; left--) {
    const at = indexIn(run, text, from, last)
    run.tick()
    out += text.slice(last, at) + to
    last = at + from.length
  }
  return run.made(out + text.slice(last))
}

function split(run: Run, input: Arg, delimiter: Arg): Value {
  const text = str(run, input)
  const marks = str(run, delimiter)
  run.spend(text.length)
  // Each of its characters ends a piece; without any, each character is one.
  const ends = new Set<number>()
  for (let i = 0; i < marks.length; i = nextCharacter(marks, i)) ends.add(marks.codePointAt(i)!)
  const pieces: string[] = []
  const put = (from: number, to: number) => {
    if (from === to) return
    pieces.push(text.slice(from, to))
    if (pieces.length > run.limits.list) run.madeList(pieces)
  }
  let from = 0
  for (let i = 0; i < text.length; ) {
    run.burn(4)
    const next = nextCharacter(text, i)
    if (ends.size === 0) put(i, next)
    else if (ends.has(text.codePointAt(i)!)) {
      put(from, i)
      from = next
    }
    i = next
  }
  if (ends.size > 0) put(from, text.length)
  return run.madeList(pieces)
}

function join(run: Run, list: Arg, delimiter: Arg): Value {
  const items = toList(list)
  run.spend(items.length * 2)
  const simple = (item: Value): Value => {
    const value = fromHost(item)
    if (!isObject(value) || value instanceof Labelled) return value
    return concatenate(run, interleaved(valuesOf(value), delimiter ?? null))
  }
  return concatenate(run, interleaved(items, delimiter ?? null, simple))
}

function* interleaved(values: Value[], delimiter: Value, read = (value: Value) => value): Generator<Value> {
  for (let i = 0; i < values.length; i++) {
    if (i > 0) yield delimiter
    yield read(values[i]!)
  }
}

function position(run: Run, haystack: Arg, needle: Arg, offset: Arg, last: boolean): Value {
  const text = str(run, haystack)
  const wanted = str(run, needle)
  const start = toInteger(offset, 0)
  const total = characterCount(text)
  const from = start < 0 ? Math.max(0, total + start) : start
  if (from > total) return -1
  const before = unitsOf(text, from)
  const at = last ? lastIndexIn(run, text, wanted) : indexIn(run, text, wanted, before)
  return at < before ? -1 : characterCount(text.slice(0, at))
}

function first(run: Run, x: Arg, prior: Arg): Value {
  if (x === undefined || x === null || x === NONE) return null
  if (Array.isArray(x)) return x.length === 0 ? null : fromHost(x[0])
  if (x instanceof ObjectMap) return x.values().next().value ?? null
  if (isObject(x) && !(x instanceof Labelled)) {
    const values = valuesOf(x)
    run.burn(values.length * 8)
    return values[0] ?? null
  }
  const text = str(run, x)
  let result: string
  if (prior === undefined || prior === null) {
    const trimmed = text.trimStart()
    const end = trimmed.search(/\s/)
    result = end === -1 ? trimmed : trimmed.slice(0, end)
  } else {
    const mark = str(run, prior)
    const end = mark === '' ? -1 : indexIn(run, text, mark)
    result = end === -1 ? text : text.slice(0, end)
  }
  return x instanceof Tainted ? new Tainted(result) : result
}

function length(run: Run, x: Arg): Value {
  if (x === undefined || x === null) return 0
  if (Array.isArray(x)) return x.length
  if (isObject(x) && !(x instanceof Labelled)) {
    const count = x instanceof ObjectMap ? x.size : keysOf(x).length
    run.burn(count * 8)
    return count
  }
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
  return indexIn(run, str(run, haystack), str(run, wanted)) !== -1
}

export function urlEncode(text: string): string {
  return encodeURIComponent(text.toWellFormed())
    .replaceAll('%20', '+')
    .replace(/[!'()~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

function base64Encode(run: Run, text: string): string {
  const bytes = new TextEncoder().encode(text)
  run.long((bytes.length / 3) * 4)
  let out = ''
  // Three bytes make four characters, so pieces of a multiple of three need no filling.
  for (let i = 0; i < bytes.length; i += 6144) {
    run.burn(6144 * 4)
    out += btoa(String.fromCharCode(...bytes.subarray(i, i + 6144)))
  }
  return out
}

function base64Decode(run: Run, text: string): string {
  run.burn(text.length * 4)
  let binary: string
  try {
    binary = atob(text)
  } catch {
    return ''
  }
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < bytes.length; i++) {
    if ((i & 4095) === 0) run.burn(4096)
    bytes[i] = binary.charCodeAt(i)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return ''
  }
}

/** On pages always tainted: encoding clears the mark, so what comes back could be anybody's. */
function decoded(run: Run, s: Arg): Value {
  const text = run.made(base64Decode(run, str(run, s)))
  return run.tainting ? new Tainted(text) : text
}

function raw(run: Run, x: Arg): Value {
  if (run.tainting && hasTaint(run, x)) {
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

/** The first letter of each word in upper case. */
function titled(piece: string, before: string): string {
  const capital = (_: string, gap: string, c: string) => gap + c.toUpperCase()
  if (before === '') return piece.replace(/(^|\s)(\S)/gu, capital)
  return (before + piece).replace(/(\s)(\S)/gu, capital).slice(1)
}

const CLEARS = { taint: 'clears' } as const
const CARRIES = { taint: 'carries' } as const

export const textFunctions: Definition[] = [
  define('upper(s)', 1, (run, s) => run.made(inPieces(run, str(run, s), (piece) => piece.toUpperCase()))),
  define('lower(s)', 1, (run, s) => run.made(inPieces(run, str(run, s), (piece) => piece.toLowerCase()))),
  define('title(s)', 1, (run, s) => run.made(inPieces(run, str(run, s), titled))),
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
  define('strip_tags(s)', 1, (run, s) => run.made(stripTags(str(run, s), (amount) => run.burn(amount)))),
  define('h(s)', 1, (run, s) => run.made(inPieces(run, str(run, s), escapeHtml)), CLEARS),
  define('u(s)', 1, (run, s) => run.made(inPieces(run, str(run, s), urlEncode)), CLEARS),
  define('text(html)', 1, (run, s) => run.made(plainText(str(run, s), (amount) => run.burn(amount)))),
  define('md5(s)', 1, (run, s) => md5(costly(run, s), (amount) => run.burn(amount)), CLEARS),
  define('sha1(s)', 1, (run, s) => sha1(costly(run, s), (amount) => run.burn(amount)), CLEARS),
  define('sha256(s)', 1, (run, s) => sha256(costly(run, s), (amount) => run.burn(amount)), CLEARS),
  define('base64_encode(s)', 1, (run, s) => run.made(base64Encode(run, str(run, s))), CLEARS),
  define('base64_decode(s)', 1, decoded, CARRIES),
  define('raw(x)', 1, raw, CARRIES),
]

/** Hashing costs some twenty times as much as other reading. */
function costly(run: Run, value: Arg): string {
  const text = str(run, value)
  if (text.length > 256) run.spend(text.length * 8)
  return text
}
