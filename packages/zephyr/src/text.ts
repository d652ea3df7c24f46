import { Failure } from './errors.ts'
import { VALUE_DEPTH } from './limits.ts'
import type { Run } from './run.ts'
import {
  fromHost,
  keysOf,
  Labelled,
  Lambda,
  member,
  NONE,
  numberText,
  ObjectMap,
  Rounded,
  roundedText,
  Tainted,
  type Value,
} from './values.ts'

/** The printed form of a value. */
export function show(run: Run, value: Value | undefined): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return numberText(value)
  if (value === null || value === undefined) return ''
  if (typeof value === 'boolean') return value ? 'true' : 'false'
  return new Writer(run).print(value)
}

/** Compact JSON of a value; the form in which objects print. */
export function json(run: Run, value: Value): string {
  return new Writer(run).json(value)
}

/** Writes nested values, counting what it produces: shared parts can make a small value endless. */
class Writer {
  private readonly run: Run
  private out = ''

  constructor(run: Run) {
    this.run = run
  }

  private put(text: string): void {
    this.out += text
    if (this.out.length > this.run.limits.output) throw new Failure('limit', 'a printed value is too long')
    this.run.tick()
    if (text.length > 256) this.run.burn(text.length)
  }

  private quoted(text: string): void {
    if (text.length > this.run.limits.output) throw new Failure('limit', 'a printed value is too long')
    if (text.length > 256) this.run.burn(text.length * 8)
    this.put(JSON.stringify(text))
  }

  private enter(depth: number): void {
    if (depth > VALUE_DEPTH) throw new Failure('limit', 'a value is nested too deeply to print')
  }

  /** As text: lists in their own style, objects as JSON. */
  print(value: Value): string {
    this.printed(value, 0)
    return this.out
  }

  /** As compact JSON. */
  json(value: Value): string {
    this.asJson(value, 0)
    return this.out
  }

  private printed(value: Value, depth: number): void {
    if (typeof value === 'string') this.put(value)
    else if (typeof value === 'number') this.put(numberText(value))
    else if (value === null) this.put('')
    else if (typeof value === 'boolean') this.put(String(value))
    else if (value instanceof Rounded) this.put(roundedText(value.value))
    else if (value instanceof Tainted) this.put(value.text)
    else if (value === NONE) this.put('none')
    else if (value instanceof Lambda) return
    else {
      this.enter(depth)
      if (Array.isArray(value)) this.list(value, ', ', (item) => this.printed(item, depth + 1))
      else if (value instanceof Labelled) this.printed(value.label, depth + 1)
      else this.asJson(value, depth)
    }
  }

  private asJson(value: Value, depth: number): void {
    if (typeof value === 'string') this.quoted(value)
    else if (typeof value === 'number') this.put(numberText(value))
    else if (value === null || value instanceof Lambda) this.put('null')
    else if (typeof value === 'boolean') this.put(String(value))
    else if (value instanceof Rounded) this.put(roundedText(value.value))
    else if (value instanceof Tainted) this.quoted(value.text)
    else if (value === NONE) this.put('"none"')
    else {
      this.enter(depth)
      if (Array.isArray(value)) {
        this.list(value, ',', (item) => this.asJson(item, depth + 1))
        return
      }
      this.put('{')
      const keys = keysOf(value)
      this.run.burn(keys.length)
      for (const [i, key] of keys.entries()) {
        if (i > 0) this.put(',')
        this.quoted(key)
        this.put(':')
        this.asJson(member(value, key), depth + 1)
      }
      this.put('}')
    }
  }

  private list(items: readonly Value[], between: string, write: (item: Value) => void): void {
    this.put('[')
    for (let i = 0; i < items.length; i++) {
      if (i > 0) this.put(between)
      write(fromHost(items[i]))
    }
    this.put(']')
  }
}

/** Whether any text inside may have been typed by a visitor. Only asked on hosted pages. */
export function hasTaint(run: Run, value: Value | undefined, depth = 0): boolean {
  if (value === null || value === undefined || typeof value !== 'object') return false
  if (value instanceof Tainted) return true
  if (depth > VALUE_DEPTH) throw new Failure('limit', 'a value is nested too deeply')
  // Shared parts can make a small value endless.
  run.tick()
  if (Array.isArray(value)) {
    run.burn(value.length)
    return value.some((item) => hasTaint(run, item, depth + 1))
  }
  if (value instanceof ObjectMap) {
    if (value.taintedKeys) return true
    run.burn(value.size)
    for (const item of value.values()) if (hasTaint(run, item, depth + 1)) return true
  }
  return value instanceof Labelled && hasTaint(run, value.label, depth + 1)
}

/** Longer chains of pieces are not worth keeping apart: all of it counts as the visitor's. */
const MOST_PIECES = 1000

/** Joins texts and keeps apart which of them are tainted. */
export function concatenate(run: Run, parts: Iterable<Value>): Value {
  let text = ''
  let tainted = false
  let pieces: (string | Tainted)[] | null = []
  for (const part of parts) {
    run.tick()
    const shown = part instanceof Tainted ? part.text : show(run, part)
    text += shown
    if (text.length > run.limits.output) run.long(text.length)
    if (!run.tainting) {
      if (part instanceof Tainted) [tainted, pieces] = [true, null]
      continue
    }
    const isTainted = part instanceof Tainted || hasTaint(run, part)
    if (isTainted) tainted = true
    if (pieces === null) continue
    if (part instanceof Tainted) pieces.push(...(part.pieces ?? [part]))
    else pieces.push(isTainted ? new Tainted(shown) : shown)
    if (pieces.length > MOST_PIECES) pieces = null
  }
  run.long(text.length)
  return tainted ? new Tainted(text, pieces) : text
}
