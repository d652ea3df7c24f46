import { parseTimeText } from '../platform/time-text.ts'
import { invalidTime, invalidValue, missingParameter } from './errors.ts'
import { isMap, type Params, parseJson, type Value } from './parameters.ts'

/**
 * Typed readers for parameters. Bracket style knows only texts and PHP knows only arrays, so each reader takes every
 * spelling in use, answers null for a parameter that is absent or null, and fails with the catalogue error naming it.
 *
 * Every reader takes the map, the name in it, and how to call it in an error (`items[0][qty]`; by default the name).
 */

/** Text; numbers and booleans are taken as PHP would write them. An empty text is a text. */
export function text(params: Params, name: string, label = name): string | null {
  const value = present(params, name)
  if (value === null || typeof value === 'string') return value
  if (typeof value === 'number') return String(value)
  if (typeof value === 'boolean') return value ? '1' : '0'
  throw invalidValue(label, 'a text')
}

/** A number, also written as text (Java sends quantities and prices so). An empty text is not given. */
export function number(params: Params, name: string, label = name): number | null {
  const value = present(params, name)
  if (value === null || value === '') return null
  if (typeof value === 'boolean') return value ? 1 : 0
  const parsed = typeof value === 'number' ? value : typeof value === 'string' ? numberIn(value) : Number.NaN
  if (!Number.isFinite(parsed)) throw invalidValue(label, 'a number')
  return parsed
}

const numberIn = (value: string) =>
  /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(value) ? Number(value) : Number.NaN

/** A whole number that JavaScript holds exactly. */
export function integer(params: Params, name: string, label = name): number | null {
  const value = number(params, name, label)
  if (value !== null && !Number.isSafeInteger(value)) throw invalidValue(label, 'a whole number')
  return value
}

/** 0 or 1, true or false, or these as texts. An empty text is 0, as PHP writes false. */
export function bool01(params: Params, name: string, label = name): boolean | null {
  const value = present(params, name)
  if (value === null || typeof value === 'boolean') return value
  const known = BOOLEANS.get(typeof value === 'string' ? value.toLowerCase() : value)
  if (known === undefined) throw invalidValue(label, '0 or 1')
  return known
}

const BOOLEANS: ReadonlyMap<Value, boolean> = new Map<Value, boolean>([
  [0, false],
  [1, true],
  ['', false],
  ['0', false],
  ['1', true],
  ['false', false],
  ['true', true],
])

/** A map; also as JSON text, and `[]` for an empty one (PHP). An empty text is not given. */
export function map(params: Params, name: string, label = name): Params | null {
  const value = structured(params, name, label)
  if (value === null || isMap(value)) return value
  if (Array.isArray(value) && value.length === 0) return {}
  throw invalidValue(label, 'a map of names to values')
}

/** An array; also as JSON text, or as the map with numbers for names that PHP makes of an array with gaps. */
export function array(params: Params, name: string, label = name): Value[] | null {
  const value = structured(params, name, label)
  if (value === null || Array.isArray(value)) return value
  if (isMap(value) && Object.keys(value).every((key) => /^\d+$/.test(key))) return Object.values(value)
  throw invalidValue(label, 'an array')
}

/** Texts, given as an array or separated by commas; blanks around them and empty ones are dropped. */
export function commaList(params: Params, name: string, label = name): string[] | null {
  const value = present(params, name)
  if (value === null) return null
  const parts = typeof value === 'object' ? array(params, name, label) : text(params, name, label)?.split(',')
  return (parts ?? []).map((part) => textIn(part, label).trim()).filter((part) => part !== '')
}

function textIn(value: Value, label: string): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return String(value)
  throw invalidValue(label, 'a list of texts')
}

/**
 * A time in any form PHP's strtotime knows, or Unix seconds as number or text. An empty text is not given.
 * @param zone the account's IANA zone, for texts without one
 */
export function time(params: Params, name: string, now: Date, zone: string, label = name): Date | null {
  const value = present(params, name)
  if (value === null || value === '') return null
  if (typeof value === 'object' || typeof value === 'boolean') throw invalidTime(label, JSON.stringify(value))
  const parsed = parseTimeText(String(value), now, zone)
  if (parsed === null) throw invalidTime(label, String(value))
  return parsed
}

/** Insists on a value: `required(text(params, 'id'), 'id')`. An empty text is no value. */
export function required<T>(value: T | null, name: string): T {
  if (value === null || value === '') throw missingParameter(name)
  return value
}

function present(params: Params, name: string): Value {
  return Object.hasOwn(params, name) ? (params[name] as Value) : null
}

function structured(params: Params, name: string, label: string): Value {
  const value = present(params, name)
  if (typeof value !== 'string') return value
  return value.trim() === '' ? null : parseJson(value, label)
}
