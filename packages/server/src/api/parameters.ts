import { forbiddenName, invalidJson, invalidUtf8, nulCharacter, tooDeep, tooManyParameters } from './errors.ts'

/**
 * Parameter sets: named values from query strings, form bodies and the `json` parameter, in PHP's bracket notation.
 * Objects made here have no prototype, and `__proto__` is refused as a name wherever it stands.
 */

/** What a parameter can hold. Bracket style yields texts at the leaves, JSON style any JSON value. */
export type Value = string | number | boolean | null | Value[] | Params
export interface Params {
  [name: string]: Value
}

/** Names and values as received, URL-decoded, in order. */
export type Pair = readonly [name: string, value: string]

export const MAX_DEPTH = 32
export const MAX_PARAMETERS = 10_000

export const emptyParams = (): Params => Object.create(null) as Params

/** Whether a value is a map (and neither null nor an array). */
export const isMap = (value: Value | undefined): value is Params =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A container while it is being filled: `[]` appends under `next`. */
interface Branch {
  children: Map<string, string | Branch>
  next: number
}

const newBranch = (): Branch => ({ children: new Map(), next: 0 })

/**
 * Builds the tree PHP would build: `a[b][c]=1` nests, `a[]=1` appends, a repeated scalar is won by the last.
 * Containers whose keys are 0, 1, 2 … become arrays.
 */
export function fromPairs(pairs: readonly Pair[]): Params {
  if (pairs.length > MAX_PARAMETERS) throw tooManyParameters(MAX_PARAMETERS)
  const root = newBranch()
  for (const [name, value] of pairs) {
    if (value.includes('\0') || name.includes('\0')) throw nulCharacter(name.replaceAll('\0', ''))
    place(root, pathOf(name), value)
  }
  const params = emptyParams()
  for (const [name, child] of root.children) params[name] = typeof child === 'string' ? child : grown(child)
  return params
}

/** `a[b][]` → ['a', 'b', '']. What follows an unclosed bracket, or stands between two, is dropped, as PHP does. */
function pathOf(name: string): string[] {
  let open = name.indexOf('[')
  if (open < 1) return [allowed(name)]
  const path = [allowed(name.slice(0, open))]
  while (name[open] === '[') {
    const close = name.indexOf(']', open)
    if (close === -1) break
    path.push(allowed(name.slice(open + 1, close)))
    if (path.length > MAX_DEPTH) throw tooDeep(path[0] as string, MAX_DEPTH)
    open = close + 1
  }
  return path
}

function place(root: Branch, path: string[], value: string): void {
  let at = root
  for (const [i, step] of path.entries()) {
    const key = step === '' && i > 0 ? String(at.next) : step
    if (i > 0 && /^\d{1,9}$/.test(key)) at.next = Math.max(at.next, Number(key) + 1)
    if (i === path.length - 1) {
      at.children.set(key, value)
      return
    }
    let below = at.children.get(key)
    if (below === undefined || typeof below === 'string') {
      below = newBranch()
      at.children.set(key, below)
    }
    at = below
  }
}

function grown(branch: Branch): Value {
  const map = emptyParams()
  for (const [name, child] of branch.children) map[name] = typeof child === 'string' ? child : grown(child)
  const names = Object.keys(map)
  return names.every((name, i) => name === String(i)) ? Object.values(map) : map
}

function allowed(name: string): string {
  if (name === '__proto__') throw forbiddenName(name)
  return name
}

/** The texts a signature covers: every leaf of every parameter but `sig`. Empty containers hold none. */
export function leaves(params: Params): string[] {
  const found: string[] = []
  for (const name in params) if (name !== 'sig') collect(params[name] as Value, found)
  return found
}

function collect(value: Value, into: string[]): void {
  if (typeof value === 'string') into.push(value)
  else if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) collect(inner, into)
}

/**
 * The endpoint's parameters: those in `json` over those beside it. `[]` is PHP's way of writing an empty object.
 * @throws ApiError 99 when `json` is no JSON object or too deep, 42 for halves of surrogate pairs
 */
export function endpointParams(top: Params): Params {
  const params = emptyParams()
  for (const name in top) if (!CONTROL.has(name)) params[name] = top[name] as Value
  if (top.json === undefined) return params
  const given = typeof top.json === 'string' ? parseJson(top.json, 'json') : top.json
  if (isMap(given)) return Object.assign(params, given)
  if (Array.isArray(given) && given.length === 0) return params
  throw invalidJson('json')
}

const CONTROL: ReadonlySet<string> = new Set(['api_key', 'sig', 'format', 'json'])

/**
 * The first parameter that is not in JSON style: its name, or its place inside of `json`, is not signed. Null: all are.
 *
 * @param files names of file parts, which are never signed
 */
export function bracketName(top: Params, files: ReadonlyMap<string, unknown>): string | null {
  for (const name in top) if (!CONTROL.has(name) && !files.has(name)) return name
  return top.json === undefined || typeof top.json === 'string' ? null : 'json'
}

/** Parses JSON from a caller and checks everything that could hurt later: depth, names, and text we cannot store. */
export function parseJson(text: string, name: string): Value {
  let value: Value
  try {
    value = JSON.parse(text) as Value
  } catch {
    throw invalidJson(name)
  }
  inspect(value, name, 0)
  return value
}

function inspect(value: Value, name: string, depth: number): void {
  if (typeof value === 'string') inspectText(value, name)
  else if (typeof value === 'object' && value !== null) {
    if (depth === MAX_DEPTH) throw tooDeep(name, MAX_DEPTH)
    if (Array.isArray(value)) for (const inner of value) inspect(inner, name, depth + 1)
    else
      for (const key of Object.keys(value)) {
        inspectText(allowed(key), name)
        inspect(value[key] as Value, depth === 0 ? key : name, depth + 1)
      }
  }
}

function inspectText(text: string, name: string): void {
  if (text.includes('\0')) throw nulCharacter(name)
  if (!text.isWellFormed()) throw invalidUtf8(name)
}
