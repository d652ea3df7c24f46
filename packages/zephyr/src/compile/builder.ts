import type { Ast } from '../ast.ts'
import type { LinkSource } from '../host.ts'
import type { Names, Run } from '../run.ts'
import type { Cursor, Source } from '../source.ts'
import type { Value } from '../values.ts'

/** A compiled expression. */
export type Evaluate = (run: Run) => Value

/** A compiled piece of template. */
export type Emit = (run: Run) => string

/** Where a template is used; decides which functions it may call and how values are printed. */
export type Context = 'mail' | 'page' | 'setup' | 'link' | 'trigger'

export interface Note {
  readonly source: Source
  readonly at: number
  readonly message: string
}

/** What the compilation of one template knows and gathers. */
export interface Builder {
  readonly names: Names
  readonly context: Context
  readonly lenient: boolean
  /** Escape visitors' text when printing. */
  readonly escapes: boolean
  /** First pass of a static campaign: braces in printed values must not become tags of the second. */
  readonly defuses: boolean
  readonly available: ReadonlySet<string> | null
  /** Names that some part of the template or message assigns; only these can hold lambdas. */
  readonly assigned: ReadonlySet<string>
  /** Names are assigned that cannot be known here. */
  readonly assignsAny: boolean
  readonly snippet: (name: string) => { source: Source; ast: Ast } | null
  readonly missingSnippet: 'compile' | 'render'
  readonly notes: Note[]
  readonly links: LinkSource[]
  /** Local variables of the lambdas and comprehensions around, innermost last. */
  locals: string[][]
  source: Source
  /** Positions in `source`, for the links found on the way. */
  cursor: Cursor
}
