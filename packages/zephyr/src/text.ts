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
  return new Writer(run).print(value, 0)
}

/** Compact JSON of a value; the form in which objects print. */
export function json(run: Run, value: Value): string {
  return new Writer(run).json(value, 0)
}

/** Writes nested values, counting what it produces: shared parts can make a small value endless. */
class Writer {
  private readonly run: Run
  private written = 0

  constructor(run: Run) {
    this.run = run
  }

  private count(text: string): string {
    this.written += text.length + 2
    if (this.written > this.run.limits.output) throw new Failure('limit', 'a printed value is too long')
    this.run.tick()
    return text
  }

  private enter(depth: number): void {
    if (depth > VALUE_DEPTH) throw new Failure('limit', 'a value is nested too deeply to print')
  }

  print(value: Value, depth: number): string {
    if (typeof value === 'string') return this.count(value)
    if (typeof value === 'number') return this.count(numberText(value))
    if (value === null) return this.count('')
    if (typeof value === 'boolean') return this.count(String(value))
    if (value instanceof Rounded) return this.count(roundedText(value.value))
    if (value instanceof Tainted) return this.count(value.text)
    if (value === NONE) return 'none'
    if (value instanceof Lambda) return ''
    this.enter(depth)
    if (Array.isArray(value)) return `[${value.map((item) => this.print(fromHost(item), depth + 1)).join(', ')}]`
    if (value instanceof Labelled) return this.print(value.label, depth + 1)
    return this.json(value, depth)
  }

  json(value: Value, depth: number): string {
    if (typeof value === 'string') return this.count(JSON.stringify(value))
    if (typeof value === 'number') return this.count(numberText(value))
    if (value === null || value instanceof Lambda) return this.count('null')
    if (typeof value === 'boolean') return this.count(String(value))
    if (value instanceof Rounded) return this.count(roundedText(value.value))
    if (value instanceof Tainted) return this.count(JSON.stringify(value.text))
    if (value === NONE) return '"none"'
    this.enter(depth)
    if (Array.isArray(value)) return `[${value.map((item) => this.json(fromHost(item), depth + 1)).join(',')}]`
    const pairs = keysOf(value).map(
      (key) => `${this.count(JSON.stringify(key))}:${this.json(member(value, key), depth + 1)}`,
    )
    return `{${pairs.join(',')}}`
  }
}

/** Whether any text inside may have been typed by a visitor. Only asked on hosted pages. */
export function hasTaint(value: Value | undefined, depth = 0): boolean {
  if (value === null || value === undefined || typeof value !== 'object') return false
  if (value instanceof Tainted) return true
  if (depth > VALUE_DEPTH) throw new Failure('limit', 'a value is nested too deeply')
  if (Array.isArray(value)) return value.some((item) => hasTaint(item, depth + 1))
  if (value instanceof ObjectMap) {
    if (value.taintedKeys) return true
    for (const item of value.values()) if (hasTaint(item, depth + 1)) return true
  }
  return value instanceof Labelled && hasTaint(value.label, depth + 1)
}

/** Joins texts and keeps apart which of them are tainted. */
export function concatenate(run: Run, parts: readonly Value[]): Value {
  let text = ''
  let tainted = false
  const pieces: (string | Tainted)[] = []
  for (const part of parts) {
    if (part instanceof Tainted) {
      tainted = true
      text += part.text
      pieces.push(part)
    } else {
      const shown = show(run, part)
      text += shown
      if (run.tainting && hasTaint(part)) {
        tainted = true
        pieces.push(new Tainted(shown))
      } else pieces.push(shown)
    }
  }
  run.long(text.length)
  if (!tainted) return text
  // Long chains of pieces are not worth keeping apart: all of it counts as the visitor's.
  const flat = pieces.flatMap((piece) => (piece instanceof Tainted && piece.pieces !== null ? piece.pieces : [piece]))
  return new Tainted(text, flat.length > 1000 ? null : flat)
}
