import type { Ast, Expr, Node, Place } from './ast.ts'
import type { Data } from './data.ts'
import { CompileError } from './errors.ts'
import { FUNCTIONS } from './functions/index.ts'
import { mayBeMissing, testedIn, testsOfAllAlone } from './lint-consent.ts'
import { compileMessage, type MessageOptions, type MessageSource } from './message.ts'
import { locate } from './source.ts'
import { nearest } from './suggest.ts'
import { type CompileOptions, compile, type Template, type Warning } from './template.ts'
import { PROTECTED } from './vocabulary.ts'
import { eachExpr, eachNode, eachTemplateExpr, expressionsOf } from './walk.ts'

export interface LintOptions extends CompileOptions {
  /** Names of variables that exist: profile vars, send vars, feed keys. Without it no name counts as unset. */
  readonly known?: Iterable<string>
  /** Report values printed without `h()` or `u()`. Default: yes. */
  readonly escaping?: boolean
  /** Variables and functions that the caller knows and has nothing for, each with the reason. */
  readonly unserved?: ReadonlyMap<string, string>
  /** Names that the caller always supplies and that no visitor's request can: not worth a warning in conditions. */
  readonly supplied?: Iterable<string>
  /** Names assigned by fields that run before this one. */
  readonly assignedBefore?: ReadonlySet<string>
  /** What conditions of fields that run before this one ask about. */
  readonly testedBefore?: ReadonlySet<string>
}

const PERSONALIZE_KEYS: ReadonlySet<string> = new Set([
  'algorithm',
  'size',
  'content',
  'context_key',
  'context_key_type',
  'include_tags_any',
  'include_tags_all',
  'exclude_tags_any',
  'exclude_tags_all',
  'custom_keys',
  'custom_key_type',
  'include_vars',
  'image_required',
  'allow_expired',
  'hide_purchased',
  'hide_viewed',
])

/** Functions whose result is safe to print in markup. */
const HARMLESS: ReadonlySet<string> = new Set(
  [...FUNCTIONS.values()]
    .filter((f) => f.taint === 'clears' || f.group === 'message' || f.name === 'date' || f.name === 'number')
    .map((f) => f.name),
)

/** Standard variables made by the platform; `email` is what somebody typed. */
const OWN_TEXT: ReadonlySet<string> = new Set([...PROTECTED].filter((name) => name !== 'email' && name !== 'profile'))

/** Standard variables with names so long that whatever comes near was meant to be one. */
const UNMISTAKABLE: readonly string[] = [...PROTECTED].filter((name) => name.length >= 12)

/** What is probably not meant in one template. A template that does not compile gives one entry, `error`. */
export function lint(template: string | Template, options: LintOptions = {}): Warning[] {
  try {
    const compiled = typeof template === 'string' ? compile(template, options) : template
    return [...compiled.warnings, ...new Linter(compiled, options).run()]
  } catch (error) {
    if (!(error instanceof CompileError)) throw error
    return [asWarning(error)]
  }
}

/** Names that several layers of the data hold, with the layers in order: only the first one is read. */
export function collisions(data: Data): { name: string; layers: string[] }[] {
  const found = new Map<string, string[]>()
  for (const { name, values } of data.layers ?? []) {
    for (const key of Object.keys(values)) found.set(key, [...(found.get(key) ?? []), name])
  }
  return [...found]
    .filter(([name, layers]) => layers.length > 1 || PROTECTED.has(name))
    .map(([name, layers]) => ({ name, layers: PROTECTED.has(name) ? ['standard', ...layers] : layers }))
}

/** The same for all fields of a message, and what only shows between them. */
export function lintMessage(
  source: MessageSource,
  options: MessageOptions & Pick<LintOptions, 'known' | 'escaping' | 'unserved'> = {},
): Warning[] {
  let message: ReturnType<typeof compileMessage>
  try {
    message = compileMessage(source, options)
  } catch (error) {
    if (!(error instanceof CompileError)) throw error
    return [asWarning(error)]
  }
  const setup = new Set(message.parts.setup?.reads.assigned ?? [])
  const tested = testedIn(message.parts.setup?.ast.nodes ?? [])
  const elsewhere = new Set(message.reads.assigned)
  const warnings: Warning[] = [...message.warnings]
  for (const [field, part] of Object.entries(message.parts)) {
    const own = new Set(part.reads.assigned)
    const linter = new Linter(part, {
      ...options,
      assignedBefore: setup,
      testedBefore: tested,
      escaping: field === 'content_html' && options.escaping !== false,
    })
    warnings.push(...linter.run())
    for (const name of part.reads.variables) {
      if (elsewhere.has(name) && !own.has(name) && !setup.has(name)) {
        warnings.push(
          linter.readOf(
            name,
            'assigned-elsewhere',
            `'${name}' is assigned in another field, which this one does not see; assign it in Setup`,
          ),
        )
      }
    }
  }
  if (message.parts.content_html !== undefined && !message.reads.optoutLink) {
    const spot = { field: 'content_html', line: 1, column: 1 }
    warnings.push({
      code: 'no-optout-link',
      message: 'there is no {optout_confirm_url}; a footer with it will be added',
      ...spot,
    })
  }
  return warnings
}

function asWarning({ reason, suggestion, field, line, column }: CompileError): Warning {
  const hint = suggestion === undefined ? '' : `; did you mean '${suggestion}'?`
  return { code: 'error', message: reason + hint, field, line, column }
}

class Linter {
  private readonly template: Template
  private readonly ast: Ast
  private readonly options: LintOptions
  private readonly warnings: Warning[] = []
  private readonly assigned: Set<string>
  private readonly bound = new Set<string>()
  private readonly supplied: ReadonlySet<string>
  private tested: Set<string> | null = null

  constructor(template: Template, options: LintOptions) {
    this.template = template
    this.ast = template.ast
    this.options = options
    this.supplied = new Set(options.supplied ?? [])
    this.assigned = new Set([...template.reads.assigned, ...(options.assignedBefore ?? [])])
  }

  run(): Warning[] {
    eachNode(this.ast.nodes, (node) => this.node(node))
    eachTemplateExpr(this.ast.nodes, (expr) => this.expression(expr))
    this.optoutTests()
    this.unset()
    this.unserved()
    return this.warnings
  }

  private warn(at: number, code: string, message: string): void {
    this.warnings.push(this.warning(at, code, message))
  }

  private warning(at: number, code: string, message: string): Warning {
    const { line, column } = locate({ text: this.template.source, field: this.template.field }, at)
    return { code, message, field: this.template.field, line, column }
  }

  /** A warning at the first place that reads a variable. */
  readOf(name: string, code: string, message: string): Warning {
    let at = 0
    let found = false
    eachTemplateExpr(this.ast.nodes, (expr) => {
      if (!found && expr.type === 'name' && expr.name === name) {
        at = expr.at
        found = true
      }
    })
    return this.warning(at, code, message)
  }

  private node(node: Node): void {
    if (node.type === 'foreach') {
      for (const name of [node.key, node.value]) {
        if (name === null) continue
        this.bound.add(name)
        this.shadow(name, node.at)
      }
    }
    if (node.type === 'print' && this.options.escaping !== false) this.unescaped(node.expr, node.place, node.at)
    if (this.template.context !== 'page') return
    if (node.type === 'if') for (const expr of expressionsOf(node)) this.bareConditions(expr)
    if (node.type === 'switch' && node.subject !== null) this.bareConditions(node.subject)
  }

  private shadow(name: string, at: number): void {
    if (PROTECTED.has(name)) this.warn(at, 'shadows-standard', `'${name}' hides the standard variable of that name`)
  }

  private expression(expr: Expr): void {
    switch (expr.type) {
      case 'assign':
        if (expr.target.type === 'name') this.shadow(expr.target.name, expr.at)
        return
      case 'lambda':
        for (const name of expr.params) this.bound.add(name)
        return
      case 'comprehension':
        this.bound.add(expr.name)
        return
      case 'call':
        this.call(expr)
        return
      case 'choice':
        if (this.template.context === 'page') this.bareConditions(expr.test)
        return
      default:
    }
  }

  private call(expr: Extract<Expr, { type: 'call' }>): void {
    const definition = FUNCTIONS.get(expr.name)
    const [first] = expr.args
    if (definition === undefined || this.assigned.has(expr.name)) return
    if (expr.args.length < definition.required) {
      this.warn(expr.at, 'missing-argument', `'${expr.name}' is usually called as ${definition.signature}`)
    }
    if ((expr.name === 'push' || expr.name === 'set') && first !== undefined) {
      if (first.type !== 'value')
        this.warn(first.at, 'name-in-quotes', `'${expr.name}' wants the name of the variable in quotes`)
      else if (typeof first.value === 'string') this.shadow(first.value, first.at)
    }
    if (expr.name === 'signup_confirm' && first !== undefined && this.mayComeToNothing(first)) {
      this.warn(
        first.at,
        'signup-may-be-missing',
        'where this variable is missing or empty the link only opens the preference page; check it, or leave the argument out to opt back in',
      )
    }
    if (expr.name === 'personalize' && first?.type === 'object') {
      for (const { key, value } of first.entries) {
        if (PERSONALIZE_KEYS.has(key)) continue
        const near = nearest(key, PERSONALIZE_KEYS)
        this.warn(
          value.at,
          'unknown-option',
          `'personalize' has no option '${key}'${near === undefined ? '' : `; did you mean '${near}'?`}`,
        )
      }
    }
  }

  private mayComeToNothing(argument: Expr): boolean {
    this.tested ??= new Set([...testedIn(this.ast.nodes), ...(this.options.testedBefore ?? [])])
    return mayBeMissing(argument, (name) => this.assigned.has(name) || this.bound.has(name), this.tested)
  }

  /** `== 'all'` alone leaves out everybody who only turned marketing off. */
  private optoutTests(): void {
    for (const at of testsOfAllAlone(this.ast.nodes)) {
      this.warn(
        at,
        'optout-all-only',
        "people at level basic are opted out as well: test {if profile.optout}, or != 'none'",
      )
    }
  }

  private unset(): void {
    const known = this.options.known === undefined ? null : new Set([...this.options.known, ...this.assigned])
    for (const name of this.template.reads.variables) {
      if (this.assigned.has(name) || this.bound.has(name) || PROTECTED.has(name) || known?.has(name)) continue
      // Without knowing what there is, only a name that can hardly be meant is worth a word.
      const near = nearest(name, known === null ? UNMISTAKABLE : [...known, ...PROTECTED])
      if (known === null && near === undefined) continue
      const hint = near === undefined ? '' : `; did you mean '${near}'?`
      this.warnings.push(this.readOf(name, 'unset-variable', `nothing sets '${name}'${hint}`))
    }
  }

  private unserved(): void {
    const { unserved } = this.options
    if (unserved === undefined) return
    for (const name of this.template.reads.variables) {
      const why = this.assigned.has(name) || this.bound.has(name) ? undefined : unserved.get(name)
      if (why !== undefined) this.warnings.push(this.readOf(name, 'unserved', `'${name}' is empty: ${why}`))
    }
    eachTemplateExpr(this.ast.nodes, (expr) => {
      const why = expr.type === 'call' && !this.assigned.has(expr.name) ? unserved.get(expr.name) : undefined
      if (why !== undefined && expr.type === 'call') this.warn(expr.at, 'unserved', `'${expr.name}': ${why}`)
    })
  }

  /** Values of people and feeds printed into markup as they are. */
  private unescaped(expr: Expr, place: Place, at: number): void {
    if (!this.isForeign(expr) || place === 'script' || place === 'style') return
    const how = place === 'text' || place === 'attribute' ? 'h(…)' : 'h(u(…)) in a query string'
    this.warn(at, 'unescaped', `the value is printed as it is; wrap it in ${how} unless it holds markup on purpose`)
  }

  private isForeign(expr: Expr): boolean {
    switch (expr.type) {
      case 'name':
        return !this.assigned.has(expr.name) && !OWN_TEXT.has(expr.name)
      case 'member':
      case 'index':
        return expr.type === 'member' && expr.object.type === 'name' && expr.name === 'url'
          ? false
          : this.isForeign(expr.object)
      case 'call':
        return !HARMLESS.has(expr.name) && expr.args.some((arg) => this.isForeign(arg))
      case 'binary':
        return (
          expr.rest[0]!.op === '+' &&
          [expr.first, ...expr.rest.map((step) => step.right)].some((side) => this.isForeign(side))
        )
      case 'logic':
        return expr.operands.some((operand) => this.isForeign(operand))
      case 'choice':
        return this.isForeign(expr.then) || this.isForeign(expr.else)
      case 'fallback':
        return this.isForeign(expr.value) || this.isForeign(expr.otherwise)
      default:
        return false
    }
  }

  /** On a page any bare name may come from the address somebody was sent. */
  private bareConditions(test: Expr): void {
    const seen = new Set<string>()
    eachExpr(test, (expr) => {
      if (expr.type !== 'name' || seen.has(expr.name)) return
      seen.add(expr.name)
      if (PROTECTED.has(expr.name) || this.assigned.has(expr.name) || this.bound.has(expr.name)) return
      if (this.supplied.has(expr.name)) return
      this.warn(
        expr.at,
        'bare-condition',
        `'${expr.name}' may come from the address of the page; use profile.vars.${expr.name} to grant something`,
      )
    })
  }
}
