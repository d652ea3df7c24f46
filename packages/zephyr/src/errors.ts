import { locate, type Source } from './source.ts'

/** What all three outcomes below tell about the spot they come from. */
interface Spot {
  readonly field: string
  /** Name of the included snippet the spot lies in, if it does. */
  readonly snippet: string | undefined
  readonly line: number
  readonly column: number
  /** Source line and caret, two lines of text. */
  readonly excerpt: string
}

function spotOf(source: Source, offset: number): Spot {
  const { line, column, excerpt } = locate(source, offset)
  return { field: source.field, snippet: source.snippet, line, column, excerpt }
}

function where(spot: Spot): string {
  const inside = spot.snippet === undefined ? '' : `snippet '${spot.snippet}' in `
  return `${inside}${spot.field}, line ${spot.line}, column ${spot.column}`
}

/** The template text is wrong. Thrown by `compile` and `compileMessage`, never while rendering. */
export class CompileError extends Error {
  override readonly name = 'CompileError'
  readonly field: string
  readonly snippet: string | undefined
  readonly line: number
  readonly column: number
  readonly excerpt: string
  /** The sentence without the place. */
  readonly reason: string
  /** What would have been right at the spot, if that can be said. */
  readonly expected: string | undefined
  /** Nearest known name when a function is misspelt. */
  readonly suggestion: string | undefined

  constructor(source: Source, offset: number, reason: string, more: { expected?: string; suggestion?: string } = {}) {
    const spot = spotOf(source, offset)
    const hint = more.suggestion === undefined ? '' : `; did you mean '${more.suggestion}'?`
    super(`${reason}${hint} (${where(spot)})`)
    this.field = spot.field
    this.snippet = spot.snippet
    this.line = spot.line
    this.column = spot.column
    this.excerpt = spot.excerpt
    this.reason = reason
    this.expected = more.expected
    this.suggestion = more.suggestion
  }
}

/**
 * - `limit`: a budget of the rendering ran out;
 * - `collection`: a list or object was changed while a `foreach` was walking it;
 * - `tainted`: `raw()` was given text typed by a visitor;
 * - `snippet`: an included snippet no longer exists;
 * - `host`: a function supplied by the caller is missing or threw;
 * - `internal`: a defect of this library.
 */
export type RenderErrorKind = 'limit' | 'collection' | 'tainted' | 'snippet' | 'host' | 'internal'

/** A rendering had to be given up. Missing or odd data never causes one. */
export class RenderError extends Error {
  override readonly name = 'RenderError'
  readonly kind: RenderErrorKind
  readonly field: string
  readonly snippet: string | undefined
  readonly line: number
  readonly column: number
  readonly excerpt: string
  readonly reason: string

  constructor(source: Source, offset: number, kind: RenderErrorKind, reason: string, cause?: unknown) {
    const spot = spotOf(source, offset)
    super(`${reason} (${where(spot)})`, cause === undefined ? undefined : { cause })
    this.kind = kind
    this.field = spot.field
    this.snippet = spot.snippet
    this.line = spot.line
    this.column = spot.column
    this.excerpt = spot.excerpt
    this.reason = reason
  }
}

/** The author's own guard ended the rendering: `assert` that was false or `cancel` that was true. */
export class Stop extends Error {
  override readonly name = 'Stop'
  readonly kind: 'assert' | 'cancel'
  /** The text given as second argument; lists and objects as JSON; may be empty. */
  readonly reason: string
  readonly field: string
  readonly snippet: string | undefined
  readonly line: number
  readonly column: number
  readonly excerpt: string

  constructor(source: Source, offset: number, kind: 'assert' | 'cancel', reason: string) {
    super(reason)
    const spot = spotOf(source, offset)
    this.kind = kind
    this.reason = reason
    this.field = spot.field
    this.snippet = spot.snippet
    this.line = spot.line
    this.column = spot.column
    this.excerpt = spot.excerpt
  }
}

/** Thrown deep inside a rendering; the outermost frame adds the place and makes it a `RenderError`. */
export class Failure {
  readonly kind: RenderErrorKind
  readonly reason: string
  readonly cause: unknown

  constructor(kind: RenderErrorKind, reason: string, cause?: unknown) {
    this.kind = kind
    this.reason = reason
    this.cause = cause
  }
}

/** Carries an author's stop to the outermost frame. */
export class Halt {
  readonly kind: 'assert' | 'cancel'
  readonly reason: string

  constructor(kind: 'assert' | 'cancel', reason: string) {
    this.kind = kind
    this.reason = reason
  }
}
