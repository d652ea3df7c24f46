import type { BinaryOp } from './ast.ts'
import { Failure } from './errors.ts'
import { VALUE_DEPTH } from './limits.ts'
import { type Run, setKey } from './run.ts'
import { concatenate, hasTaint, show } from './text.ts'
import {
  finite,
  fromHost,
  hasKey,
  isObject,
  keysOf,
  Labelled,
  Lambda,
  member,
  NONE,
  ObjectMap,
  parseNumber,
  Rounded,
  Tainted,
  toNumber,
  type Value,
} from './values.ts'

export function binary(run: Run, op: BinaryOp, a: Value, b: Value): Value {
  switch (op) {
    case '+':
      return add(run, a, b)
    case '==':
      return equal(run, a, b)
    case '!=':
      return !equal(run, a, b)
    case '<':
    case '<=':
    case '>':
    case '>=':
      return related(run, op, a, b)
    default:
      return arithmetic(op, toNumber(a), toNumber(b))
  }
}

/** `- * / %`; what is not a number, and division by zero, gives `null`. */
export function arithmetic(op: '-' | '*' | '/' | '%', a: number, b: number): Value {
  switch (op) {
    case '-':
      return finite(a - b)
    case '*':
      return finite(a * b)
    case '/':
      return b === 0 ? null : finite(a / b)
    default:
      return b === 0 ? null : finite(a % b)
  }
}

export function add(run: Run, a: Value, b: Value): Value {
  if (typeof a === 'number' && typeof b === 'number') return finite(a + b)
  if (typeof a === 'string' && typeof b === 'string') {
    run.long(a.length + b.length)
    return a + b
  }
  const left = simple(a)
  const right = simple(b)
  if (Array.isArray(left) || Array.isArray(right)) return join(run, left, right)
  if (isText(left) || isText(right)) {
    if (
      left instanceof Tainted ||
      right instanceof Tainted ||
      (run.tainting && (hasTaint(run, left) || hasTaint(run, right)))
    ) {
      return concatenate(run, [left, right])
    }
    const x = show(run, left)
    const y = show(run, right)
    run.long(x.length + y.length)
    return x + y
  }
  if (isObject(left) && isObject(right)) return merge(run, left, right)
  if (left === null) return number(right)
  if (right === null) return number(left)
  const x = toNumber(left)
  const y = toNumber(right)
  return finite(x + y)
}

/** `null + x`: numbers stay numbers, everything else stays itself. */
function number(value: Value): Value {
  return value instanceof Rounded ? value.value : value
}

/** Labelled objects and opt-out levels of none take part as what they print. */
function simple(value: Value): Value {
  if (value instanceof Labelled) return value.label
  return value === NONE ? 'none' : value
}

function isText(value: Value): boolean {
  return typeof value === 'string' || value instanceof Tainted
}

function join(run: Run, a: Value, b: Value): Value {
  const left = Array.isArray(a) ? a : a === null ? [] : [a]
  const right = Array.isArray(b) ? b : b === null ? [] : [b]
  run.burn(left.length + right.length)
  return run.madeList(left.concat(right))
}

function merge(run: Run, a: Value, b: Value): Value {
  const map = new ObjectMap()
  for (const side of [a, b]) {
    const keys = keysOf(side)
    run.spend(keys.length)
    for (const key of keys) {
      run.tick()
      setKey(run, map, key, member(side, key))
    }
    if (side instanceof ObjectMap && side.taintedKeys) map.taintedKeys = true
  }
  return map
}

export function equal(run: Run, a: Value, b: Value): boolean {
  if (typeof a === 'string' && typeof b === 'string') {
    if (a.length === b.length && a.length > 256) run.spend(a.length)
    return a === b
  }
  if (typeof a === 'number' && typeof b === 'number') return a === b
  return equalAt(run, a, b, 0)
}

function equalAt(run: Run, x: Value, y: Value, depth: number): boolean {
  run.tick()
  const a = plain(x)
  const b = plain(y)
  if (a === NONE) return b === NONE || b === 'none' || nothing(b)
  if (b === NONE) return a === 'none' || nothing(a)
  if (a === null) return nothing(b)
  if (b === null) return nothing(a)
  if (typeof a === typeof b && typeof a !== 'object') {
    if (typeof a === 'string' && a.length > 256 && a.length === (b as string).length) run.spend(a.length)
    return a === b
  }
  if (typeof a === 'object' || typeof b === 'object') {
    if (typeof a !== 'object' || typeof b !== 'object') return false
    return a === b || sameItems(run, a, b, depth)
  }
  return mixed(a, b)
}

/** Two of number, text and boolean, of different type. */
function mixed(a: boolean | number | string, b: boolean | number | string): boolean {
  if (typeof a === 'boolean') return booleanIs(a, b)
  if (typeof b === 'boolean') return booleanIs(b, a)
  return typeof a === 'number' ? parseNumber(b as string) === a : parseNumber(a) === b
}

function booleanIs(a: boolean, b: boolean | number | string): boolean {
  if (typeof b === 'number') return b === (a ? 1 : 0)
  return String(b).toLowerCase() === String(a)
}

function nothing(value: Value): boolean {
  return value === null || value === 0 || value === '' || value === false
}

/** The part of a value that takes part in comparisons. */
function plain(value: Value): Value {
  if (value instanceof Tainted) return value.text
  if (value instanceof Rounded) return value.value
  return value instanceof Labelled ? plain(value.label) : value
}

function sameItems(run: Run, a: Value & object, b: Value & object, depth: number): boolean {
  if (depth > VALUE_DEPTH) throw new Failure('limit', 'values are nested too deeply to compare')
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false
    return a.every((item, i) => equalAt(run, fromHost(item), fromHost(b[i]), depth + 1))
  }
  if (a instanceof Lambda || b instanceof Lambda) return false
  const keys = keysOf(a)
  const others = keysOf(b).length
  run.burn((keys.length + others) * 4)
  if (keys.length !== others) return false
  return keys.every((key) => hasKey(b, key) && equalAt(run, member(a, key), member(b, key), depth + 1))
}

export function related(run: Run, op: '<' | '<=' | '>' | '>=', a: Value, b: Value): boolean {
  if (typeof a === 'number' && typeof b === 'number') return holds(op, a < b ? -1 : a > b ? 1 : 0)
  const order = relation(run, plain(a), plain(b))
  return order !== null && holds(op, order)
}

function holds(op: '<' | '<=' | '>' | '>=', order: number): boolean {
  switch (op) {
    case '<':
      return order < 0
    case '<=':
      return order <= 0
    case '>':
      return order > 0
    default:
      return order >= 0
  }
}

/** -1, 0, 1, or `null` when the two cannot be put in order. */
function relation(run: Run, x: Value, y: Value): number | null {
  const a = x === NONE ? null : x
  const b = y === NONE ? null : y
  if (a === null) return typeof b === 'number' ? sign(0 - b) : typeof b === 'string' ? compareText(run, '', b) : null
  if (b === null) return typeof a === 'number' ? sign(a) : typeof a === 'string' ? compareText(run, a, '') : null
  const n = typeof a === 'number' ? a : typeof a === 'string' ? parseNumber(a) : Number.NaN
  const m = typeof b === 'number' ? b : typeof b === 'string' ? parseNumber(b) : Number.NaN
  if (!Number.isNaN(n) && !Number.isNaN(m)) return sign(n - m)
  return typeof a === 'string' && typeof b === 'string' ? compareText(run, a, b) : null
}

function sign(n: number): number {
  return n < 0 ? -1 : n > 0 ? 1 : 0
}

/** By code point, which differs from JavaScript's order of UTF-16 units above U+FFFF. */
export function compareText(run: Run, a: string, b: string): number {
  const shorter = Math.min(a.length, b.length)
  if (shorter > 256) run.spend(shorter)
  let i = 0
  while (i < shorter && a.charCodeAt(i) === b.charCodeAt(i)) i++
  if (i === shorter) return sign(a.length - b.length)
  return sign(weight(a.charCodeAt(i)) - weight(b.charCodeAt(i)))
}

/** Surrogates stand for characters above all others of one unit. */
function weight(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
