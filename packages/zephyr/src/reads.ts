import type { Expr, Node } from './ast.ts'
import type { LinkSource } from './host.ts'
import { eachNode, expressionsOf } from './walk.ts'

/** What a template reads and does, as far as its source tells. Every list is sorted and without repetition. */
export interface Reads {
  /** Names of variables read, without those that only a loop or lambda supplies. */
  readonly variables: readonly string[]
  /** Dotted paths read from them: `profile.vars.first_name`. */
  readonly paths: readonly string[]
  readonly functions: readonly string[]
  /** Names assigned by `=`, `set`, `push`, without loop variables. */
  readonly assigned: readonly string[]
  readonly snippets: readonly string[]
  /** Quoted addresses of `<a>` and `<area>`, in source order. */
  readonly links: readonly LinkSource[]
  /** Calls `signup_confirm` or prints `signup_confirm_url`. */
  readonly signupConfirm: boolean
  /** Reads `optout_confirm_url`. */
  readonly optoutLink: boolean
  /** Reads one of the beacon variables. */
  readonly beacon: boolean
}

/** What has to be known before compiling: who may hold lambdas, and whether anything changes in place. */
export interface Facts {
  readonly assigned: Set<string>
  /** Assigned, or set by a loop. */
  readonly bound: Set<string>
  readonly read: Set<string>
  readonly paths: Set<string>
  readonly called: Set<string>
  readonly snippets: Set<string>
  /** `set(x, …)` with a name that only rendering knows. */
  assignsAny: boolean
  /** Lists or objects may be changed in place. */
  changes: boolean
  lambdas: boolean
}

export function noFacts(): Facts {
  return {
    assigned: new Set(),
    bound: new Set(),
    read: new Set(),
    paths: new Set(),
    called: new Set(),
    snippets: new Set(),
    assignsAny: false,
    changes: false,
    lambdas: false,
  }
}

/** Adds the facts of another part of the same message. */
export function merge(into: Facts, from: Facts): void {
  for (const key of ['assigned', 'bound', 'read', 'paths', 'called', 'snippets'] as const) {
    for (const item of from[key]) into[key].add(item)
  }
  into.assignsAny ||= from.assignsAny
  into.changes ||= from.changes
  into.lambdas ||= from.lambdas
}

export function gather(nodes: readonly Node[], facts: Facts): void {
  eachNode(nodes, (node) => {
    if (node.type === 'include') facts.snippets.add(node.name)
    if (node.type === 'foreach') {
      facts.bound.add(node.value)
      if (node.key !== null) facts.bound.add(node.key)
    }
    for (const expr of expressionsOf(node)) gatherExpr(expr, facts, [])
  })
}

function gatherExpr(expr: Expr, facts: Facts, locals: readonly string[]): void {
  switch (expr.type) {
    case 'name':
      read(expr.name, facts, locals)
      return
    case 'member': {
      const path = pathOf(expr)
      if (path !== null && !locals.includes(path[0]!)) facts.paths.add(path.join('.'))
      gatherExpr(expr.object, facts, locals)
      return
    }
    case 'index':
      gatherExpr(expr.object, facts, locals)
      gatherExpr(expr.key, facts, locals)
      return
    case 'call':
      gatherCall(expr, facts, locals)
      return
    case 'lambda':
      facts.lambdas = true
      gatherExpr(expr.body, facts, [...locals, ...expr.params])
      return
    case 'comprehension': {
      gatherExpr(expr.over, facts, locals)
      const inner = [...locals, expr.name]
      gatherExpr(expr.item, facts, inner)
      if (expr.test !== null) gatherExpr(expr.test, facts, inner)
      return
    }
    case 'assign':
      if (expr.target.type === 'name') {
        if (!locals.includes(expr.target.name)) assign(expr.target.name, facts)
      } else {
        facts.changes = true
        gatherExpr(expr.target, facts, locals)
      }
      gatherExpr(expr.value, facts, locals)
      return
    default:
      for (const child of childrenOf(expr)) gatherExpr(child, facts, locals)
  }
}

function childrenOf(expr: Expr): Expr[] {
  switch (expr.type) {
    case 'apply':
      return [expr.callee, ...expr.args]
    case 'list':
      return expr.items
    case 'object':
      return expr.entries.map((entry) => entry.value)
    case 'unary':
      return [expr.operand]
    case 'binary':
      return [expr.first, ...expr.rest.map((step) => step.right)]
    case 'logic':
      return expr.operands
    case 'choice':
      return [expr.test, expr.then, expr.else]
    case 'fallback':
      return [expr.value, expr.otherwise]
    default:
      return []
  }
}

function gatherCall(expr: Extract<Expr, { type: 'call' }>, facts: Facts, locals: readonly string[]): void {
  if (!locals.includes(expr.name)) facts.called.add(expr.name)
  if (expr.name === 'set' || expr.name === 'push') {
    const [target] = expr.args
    if (target?.type === 'value' && typeof target.value === 'string') assign(target.value, facts)
    else if (expr.name === 'set') facts.assignsAny = true
  }
  if (expr.name === 'sort' || expr.name === 'push') facts.changes = true
  for (const arg of expr.args) gatherExpr(arg, facts, locals)
}

function assign(name: string, facts: Facts): void {
  facts.assigned.add(name)
  facts.bound.add(name)
}

function read(name: string, facts: Facts, locals: readonly string[]): void {
  if (!locals.includes(name)) facts.read.add(name)
}

function pathOf(expr: Expr): string[] | null {
  if (expr.type === 'name') return [expr.name]
  if (expr.type !== 'member') return null
  const parent = pathOf(expr.object)
  return parent === null ? null : [...parent, expr.name]
}

const BEACONS = ['beacon', 'beacon_ssl', 'beacon_src', 'beacon_src_ssl', 'beacon_url']

export function readsOf(facts: Facts, links: readonly LinkSource[]): Reads {
  const loops = new Set([...facts.bound].filter((name) => !facts.assigned.has(name)))
  const paths = [...facts.paths].filter((path) => !loops.has(path.slice(0, path.indexOf('.'))))
  return {
    variables: [...facts.read].filter((name) => !loops.has(name)).sort(),
    // The longest paths say it all: profile.vars.x includes profile.vars.
    paths: longest(paths.sort()),
    functions: [...facts.called].sort(),
    assigned: [...facts.assigned].sort(),
    snippets: [...facts.snippets].sort(),
    links,
    signupConfirm: facts.called.has('signup_confirm') || facts.read.has('signup_confirm_url'),
    optoutLink: facts.read.has('optout_confirm_url'),
    beacon: BEACONS.some((name) => facts.read.has(name)),
  }
}

/** Of sorted paths those that no other one continues. */
function longest(paths: string[]): string[] {
  const continued = new Set<string>()
  for (const path of paths) {
    for (let i = path.indexOf('.'); i !== -1; i = path.indexOf('.', i + 1)) continued.add(path.slice(0, i))
  }
  return paths.filter((path) => !continued.has(path))
}
