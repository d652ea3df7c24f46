import type { Ast } from './ast.ts'
import type { Builder, Context, Emit, Note } from './compile/builder.ts'
import { forbidden } from './compile/calls.ts'
import { emitter } from './compile/nodes.ts'
import type { Data } from './data.ts'
import { CompileError, Failure, Halt, RenderError, Stop } from './errors.ts'
import { FUNCTIONS } from './functions/index.ts'
import type { Env, LinkSource } from './host.ts'
import { COMPILE_LIMITS, type CompileLimits, type Limits, MAIL_LIMITS, PAGE_LIMITS } from './limits.ts'
import { parse } from './parser.ts'
import { type Facts, gather, merge, noFacts, type Reads, readsOf } from './reads.ts'
import { type Base, Names, Run } from './run.ts'
import { Cursor, locate, type Source } from './source.ts'

export interface CompileOptions {
  /** Name of the field for messages. Default `template`. */
  readonly field?: string
  /** `lenient`, for imported templates: what does not parse is text plus a warning. Default `strict`. */
  readonly mode?: 'strict' | 'lenient'
  /** Default `mail`. */
  readonly context?: Context
  /** Escape what visitors may have typed. Default: on hosted pages. */
  readonly autoEscape?: boolean
  /** Source of a code snippet by name. */
  readonly snippets?: (name: string) => string | undefined
  /** An unknown snippet is refused at once, or only when it is rendered. Default `compile`. */
  readonly missingSnippet?: 'compile' | 'render'
  /** Functions of the platform that the caller can serve. Default: all. */
  readonly available?: ReadonlySet<string>
  /** Whether the text is markup. Default: yes in mail and pages, no in Setup, links and scripts. */
  readonly html?: boolean
  /**
   * Passes of a static campaign. `single`: creation, doubled tags are copied as they stand. `double`: sending,
   * only doubled tags are tags. Default `both`: one and two braces mean the same.
   */
  readonly braces?: 'both' | 'single' | 'double'
  readonly limits?: Partial<CompileLimits>
}

/** Something that works but is probably not meant. */
export interface Warning {
  readonly code: string
  readonly message: string
  readonly field: string
  readonly line: number
  readonly column: number
}

export interface Template {
  readonly source: string
  readonly field: string
  readonly context: Context
  readonly ast: Ast
  /** What was taken as text although it looks like a tag, and what lenient mode let pass. */
  readonly warnings: readonly Warning[]
  readonly reads: Reads
  /** Throws `RenderError` or `Stop`, nothing else. */
  render(data: Data, env?: Env): string
}

/** Compiles a template. Throws `CompileError`. */
export function compile(text: string, options: CompileOptions = {}): Template {
  const unit = prepare(text, options)
  return build(unit, unit.facts, new Names())
}

/** A template read but not yet compiled: parts of a message are read first and compiled together. */
export interface Unit {
  readonly source: Source
  readonly ast: Ast
  readonly facts: Facts
  readonly options: CompileOptions
  readonly snippets: ReadonlyMap<string, { source: Source; ast: Ast }>
}

/** Reads a template. `before`: source of fields that run earlier and may define lambdas. */
export function prepare(text: string, options: CompileOptions, before = ''): Unit {
  const source: Source = { text, field: options.field ?? 'template' }
  const limits = { ...COMPILE_LIMITS, ...options.limits }
  const facts = noFacts()
  const ast = parseSource(source, options, limits, before)
  gather(ast.nodes, facts)
  const snippets = new Map<string, { source: Source; ast: Ast }>()
  for (const name of facts.snippets) {
    const snippet = name.length > 150 ? undefined : options.snippets?.(name)
    if (snippet === undefined) continue
    const inner: Source = { text: snippet, field: source.field, snippet: name }
    const innerAst = parseSource(inner, options, limits, before + text)
    snippets.set(name, { source: inner, ast: innerAst })
  }
  for (const inner of snippets.values()) {
    const own = noFacts()
    gather(inner.ast.nodes, own)
    // What a snippet includes is refused, not included.
    own.snippets.clear()
    merge(facts, own)
  }
  return { source, ast, facts, options, snippets }
}

function parseSource(source: Source, options: CompileOptions, limits: CompileLimits, before: string): Ast {
  if (source.text.length > limits.source) {
    throw new CompileError(source, 0, `the template is longer than ${limits.source} characters`)
  }
  const context = options.context ?? 'mail'
  const lenient = options.mode === 'lenient'
  const available = options.available ?? null
  let hinted: Set<string> | null = null
  return parse(source, {
    mode: options.mode ?? 'strict',
    html: options.html ?? (context === 'mail' || context === 'page'),
    braces: options.braces ?? 'both',
    nesting: limits.nesting,
    callable: (name) => {
      hinted ??= namesBoundIn(`${before}\n${source.text}`)
      if (hinted.has(name)) return true
      const definition = FUNCTIONS.get(name)
      return definition !== undefined && (!lenient || forbidden(definition, context, available) === null)
    },
  })
}

/** Every name that could be a variable holding a lambda; too many do no harm, it only widens what may be a call. */
function namesBoundIn(text: string): Set<string> {
  const names = new Set<string>()
  for (const [, name] of text.matchAll(/(?<![A-Za-z0-9_])([A-Za-z_][A-Za-z0-9_]*)['"]?[ \t]{0,20}=(?!=)/g))
    names.add(name!)
  for (const [, name] of text.matchAll(/(?:\bset\(|\bas|\blambda|\bfor|,)[ \t]{0,20}['"]?([A-Za-z_][A-Za-z0-9_]*)/g))
    names.add(name!)
  return names
}

/** Compiles what was read. `facts` and `names` are those of the whole message. */
export function build(unit: Unit, facts: Facts, names: Names): CompiledPart {
  const { source, ast, options, snippets } = unit
  const context = options.context ?? 'mail'
  const notes: Note[] = [
    ...ast.notes.map(({ at, message }) => ({ source, at, message })),
    ...[...snippets.values()].flatMap((snippet) =>
      snippet.ast.notes.map((note) => ({ source: snippet.source, ...note })),
    ),
  ]
  const builder: Builder = {
    names,
    context,
    lenient: options.mode === 'lenient',
    escapes: options.autoEscape ?? context === 'page',
    defuses: options.braces === 'single',
    available: options.available ?? null,
    assigned: facts.bound,
    assignsAny: facts.assignsAny,
    snippet: (name) => snippets.get(name) ?? null,
    missingSnippet: options.missingSnippet ?? 'compile',
    notes,
    links: [],
    locals: [],
    source,
    cursor: new Cursor(source.text),
  }
  const emit = emitter(builder, ast.nodes)
  return new CompiledPart(unit, emit, names, builder, unit.facts.changes || (facts.changes && facts.lambdas))
}

const NO_ENV: Env = {}

/** One compiled part. A class because every template of an account is kept: it must be small. */
export class CompiledPart implements Template {
  private readonly unit: Unit
  private readonly emit: Emit
  private readonly names: Names
  private readonly notes: readonly Note[]
  private readonly links: readonly LinkSource[]
  private readonly escapes: boolean
  private readonly changes: boolean

  constructor(unit: Unit, emit: Emit, names: Names, builder: Builder, changes: boolean) {
    this.unit = unit
    this.emit = emit
    this.names = names
    this.notes = builder.notes
    this.links = builder.links
    this.escapes = builder.escapes
    this.changes = changes
  }

  get source(): string {
    return this.unit.source.text
  }

  get field(): string {
    return this.unit.source.field
  }

  get context(): Context {
    return this.unit.options.context ?? 'mail'
  }

  get ast(): Ast {
    return this.unit.ast
  }

  get reads(): Reads {
    return readsOf(this.unit.facts, this.links)
  }

  get warnings(): Warning[] {
    return this.notes.map(({ source, at, message }) => {
      const { line, column } = locate(source, at)
      return { code: 'literal-tag', message, field: source.field, line, column }
    })
  }

  render(data: Data, env: Env = NO_ENV): string {
    return this.renderPart(data, env).output
  }

  /** Renders on top of what Setup left and says what it leaves itself. */
  renderPart(
    data: Data,
    env: Env,
    base?: Base,
    preset?: readonly [slot: number, value: string],
  ): { output: string; run: Run } {
    let run: Run | undefined
    try {
      run = new Run({
        names: this.names,
        source: this.unit.source,
        data,
        env,
        limits: this.limitsFor(env),
        tainting: this.escapes,
        changes: this.changes,
        base,
      })
      if (preset !== undefined) run.vars[preset[0]] = preset[1]
      const output = this.emit(run)
      if (output.length > run.limits.output) run.long(output.length)
      return { output, run }
    } catch (thrown) {
      throw this.explain(thrown, run)
    }
  }

  private limitsFor(env: Env): Limits {
    const limits = this.unit.options.context === 'page' ? PAGE_LIMITS : MAIL_LIMITS
    return env.limits === undefined ? limits : { ...limits, ...env.limits }
  }

  private explain(thrown: unknown, run: Run | undefined): RenderError | Stop {
    const source = run?.source ?? this.unit.source
    const at = run?.at ?? 0
    if (thrown instanceof Halt) return new Stop(source, at, thrown.kind, thrown.reason)
    if (thrown instanceof Failure) return new RenderError(source, at, thrown.kind, thrown.reason, thrown.cause)
    if (thrown instanceof RangeError) {
      return new RenderError(source, at, 'limit', 'the template asks for more than a rendering can hold', thrown)
    }
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    return new RenderError(source, at, 'internal', `unexpected failure: ${message}`, thrown)
  }
}
