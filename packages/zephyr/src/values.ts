import { Failure } from './errors.ts'
import type { Run } from './run.ts'
import type { Source } from './source.ts'

/**
 * Values inside a rendering. Objects and lists of the caller's data are used as they are, never changed;
 * whatever a template makes or may change is an `ObjectMap` or an array of its own.
 */
export type Value =
  | null
  | boolean
  | number
  | string
  | Rounded
  | Tainted
  | Lambda
  | Labelled
  | OptedIn
  | Value[]
  | ObjectMap
  | HostObject

/** A plain object of the caller's; only own properties are ever read. */
export type HostObject = { readonly [key: string]: unknown }

/** What is an object to JavaScript alone: a template sees none of its properties. */
class Opaque {}

/** Result of `round()`: prints with a decimal point until arithmetic consumes it. */
export class Rounded extends Opaque {
  readonly value: number
  constructor(value: number) {
    super()
    this.value = value
  }
}

/** An object of the template's own: keys in order of insertion, whatever they look like. */
export class ObjectMap extends Map<string, Value> {
  /** On hosted pages: some key was typed by a visitor. */
  taintedKeys = false
}

/**
 * Text that a visitor may have typed; exists on hosted pages only. `pieces` keeps apart what the author
 * wrote around it, so that escaping touches the visitor's part alone.
 */
export class Tainted extends Opaque {
  readonly text: string
  readonly pieces: readonly (string | Tainted)[] | null
  constructor(text: string, pieces: readonly (string | Tainted)[] | null = null) {
    super()
    this.text = text
    this.pieces = pieces
  }
}

/** Local variables of a lambda or comprehension. */
export class Frame {
  readonly values: Value[]
  readonly parent: Frame | null
  constructor(values: Value[], parent: Frame | null) {
    this.values = values
    this.parent = parent
  }
}

export class Lambda extends Opaque {
  readonly arity: number
  readonly body: (run: Run) => Value
  readonly frame: Frame | null
  /** Where the body was written, for messages. */
  readonly source: Source
  constructor(arity: number, body: (run: Run) => Value, frame: Frame | null, source: Source) {
    super()
    this.arity = arity
    this.body = body
    this.frame = frame
    this.source = source
  }
}

/** An object that prints as a text of its own: `template` on hosted pages is the template's public name. */
export class Labelled extends Opaque {
  readonly label: Value
  readonly fields: HostObject
  constructor(label: Value, fields: HostObject) {
    super()
    this.label = label
    this.fields = fields
  }
}

class OptedIn extends Opaque {
  override toString(): string {
    return 'none'
  }
}

/** `profile.optout` of somebody who gets mail: false, equal to `null` and to `'none'`, printed as `none`. */
export const NONE: OptedIn = Object.freeze(new OptedIn())

/** What a value of the caller's data counts as. */
export function fromHost(value: unknown): Value {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      return value - value === 0 ? value : null
    case 'object':
      return value as Value
    case 'bigint':
      return Number(value)
    default:
      return null
  }
}

export function isObject(value: Value): value is ObjectMap | HostObject | Labelled {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof OptedIn || value instanceof Tainted || value instanceof Rounded || value instanceof Lambda)
  )
}

/** The caller's side of an object, or nothing. */
function fieldsOf(value: HostObject | Labelled): HostObject {
  return value instanceof Labelled ? value.fields : value
}

/** Called like this, the engine is much faster at it than at `Object.hasOwn`. */
const owns = Object.prototype.hasOwnProperty

/** `o.key`; `null` when there is no such thing. Never follows a prototype. */
export function member(object: Value, key: string): Value {
  if (typeof object !== 'object' || object === null) return null
  if (object instanceof ObjectMap) return object.get(key) ?? null
  if (object instanceof Opaque || Array.isArray(object)) {
    return object instanceof Labelled ? member(object.fields, key) : null
  }
  return owns.call(object, key) ? fromHost((object as HostObject)[key]) : null
}

/** `x[key]`: position in a list or text, key of an object. */
export function element(run: Run, object: Value, key: Value): Value {
  if (Array.isArray(object)) {
    const i = indexOf(key)
    return i >= 0 && i < object.length ? fromHost(object[i]) : null
  }
  if (typeof object === 'string' || object instanceof Tainted) {
    const text = typeof object === 'string' ? object : object.text
    const i = indexOf(key)
    const char = i < 0 ? null : characterAt(run, text, i)
    return char === null || typeof object === 'string' ? char : new Tainted(char)
  }
  const name = keyText(key)
  if (name.length > 256) run.burn(name.length)
  return member(object, name)
}

/** A list position, or -1. */
function indexOf(key: Value): number {
  const n = key instanceof Rounded ? key.value : typeof key === 'number' ? key : toNumber(key)
  return Number.isInteger(n) && key !== null && key !== '' ? n : -1
}

const SURROGATE = /[\ud800-\udfff]/

function characterAt(run: Run, text: string, i: number): string | null {
  if (i >= text.length) return null
  run.spend(text.length > 256 ? text.length : 0)
  if (!SURROGATE.test(text)) return text[i]!
  let n = 0
  for (const char of text) if (n++ === i) return char
  return null
}

/** The property name a key stands for. */
export function keyText(key: Value): string {
  if (typeof key === 'string') return key
  if (typeof key === 'number') return numberText(key)
  if (key instanceof Rounded) return numberText(key.value)
  if (key instanceof Tainted) return key.text
  if (typeof key === 'boolean') return String(key)
  return key === NONE ? 'none' : ''
}

export function keysOf(value: Value): string[] {
  if (value instanceof ObjectMap) return [...value.keys()]
  return isObject(value) ? Object.keys(fieldsOf(value as HostObject)) : []
}

export function valuesOf(value: Value): Value[] {
  if (value instanceof ObjectMap) return [...value.values()]
  if (!isObject(value)) return []
  // In the engine's own loop, and in place: objects of the caller's may be large.
  const values = Object.values(fieldsOf(value as HostObject)) as Value[]
  for (let i = 0; i < values.length; i++) values[i] = fromHost(values[i])
  return values
}

export function hasKey(value: Value, key: string): boolean {
  if (value instanceof ObjectMap) return value.has(key)
  return isObject(value) && Object.hasOwn(fieldsOf(value as HostObject), key)
}

/** `0`, `''`, `null`, `false` and an opt-out level of none are false, everything else is true. */
export function truthy(value: Value): boolean {
  if (typeof value !== 'object') return !!value
  if (value === null || value === NONE) return false
  if (value instanceof Tainted) return value.text !== ''
  if (value instanceof Rounded) return value.value !== 0
  return true
}

const NUMERIC = /^[ \t\r\n]*[+-]?(?:\d+(?:\.\d*)?|\.\d+)[ \t\r\n]*$/

/** A text read as a number, `NaN` if it is none. No exponents: `'1e3'` is a product code, not a thousand. */
export function parseNumber(text: string): number {
  if (text.length > 400) return Number.NaN
  return NUMERIC.test(text) ? Number(text) : Number.NaN
}

/** The number an operand of arithmetic stands for; `NaN` when it stands for none. */
export function toNumber(value: Value): number {
  if (typeof value === 'number') return value
  if (value === null || value === NONE || value === '') return 0
  if (typeof value === 'boolean') return value ? 1 : 0
  if (typeof value === 'string') return parseNumber(value)
  if (value instanceof Rounded) return value.value
  if (value instanceof Tainted) return value.text === '' ? 0 : parseNumber(value.text)
  return Number.NaN
}

/** A result of arithmetic; what is not a number is nothing. */
export function finite(n: number): Value {
  return n - n === 0 ? n : null
}

/** A number argument: what cannot be read counts as `0`. */
export function toNumberOr(value: Value | undefined, otherwise: number): number {
  if (value === undefined || value === null) return otherwise
  const n = toNumber(value)
  return Number.isNaN(n) ? otherwise : n
}

/** A whole-number argument, towards zero. */
export function toInteger(value: Value | undefined, otherwise: number): number {
  return Math.trunc(toNumberOr(value, otherwise)) + 0
}

/** Shortest decimal form, without exponent. */
export function numberText(n: number): string {
  if (n === 0) return '0'
  const text = String(n)
  const e = text.indexOf('e')
  if (e === -1) return text
  const sign = n < 0 ? '-' : ''
  const exponent = Number(text.slice(e + 1))
  const [whole, fraction = ''] = text.slice(sign.length, e).split('.') as [string, string?]
  const digits = whole + fraction
  const point = whole.length + exponent
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`
  return point >= digits.length
    ? sign + digits.padEnd(point, '0')
    : `${sign}${digits.slice(0, point)}.${digits.slice(point)}`
}

export function roundedText(n: number): string {
  const text = numberText(n)
  return text.includes('.') ? text : `${text}.0`
}

/** A list argument: `null` is the empty list, an object its values, anything else a list of one. */
export function toList(value: Value | undefined): Value[] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value)) return value
  if (value === NONE) return []
  return isObject(value) ? valuesOf(value) : [value]
}

/** Plain data for the caller's functions. */
export function toHost(run: Run, value: Value | undefined, depth = 100): unknown {
  if (value === undefined || value === null || typeof value !== 'object') return value ?? null
  if (value instanceof Rounded) return value.value
  if (value instanceof Tainted) return value.text
  if (value === NONE) return 'none'
  if (value instanceof Lambda) return null
  if (depth === 0) throw new Failure('limit', 'a value is nested too deeply')
  // Shared parts can make a small value endless.
  run.spend(32)
  if (Array.isArray(value)) {
    run.burn(value.length * 8)
    return value.map((item) => toHost(run, fromHost(item), depth - 1))
  }
  const keys = keysOf(value)
  run.burn(keys.length * 32)
  // fromEntries defines own properties, so a key such as __proto__ stays a key.
  return Object.fromEntries(keys.map((key) => [key, toHost(run, member(value, key), depth - 1)]))
}

export function typeName(value: Value): string {
  if (value === null) return 'null'
  if (typeof value !== 'object') return typeof value
  if (Array.isArray(value)) return 'list'
  if (value instanceof Rounded) return 'number'
  if (value instanceof Tainted || value === NONE) return 'string'
  return value instanceof Lambda ? 'lambda' : 'object'
}
