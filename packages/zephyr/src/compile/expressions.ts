import type { AssignExpr, BinaryExpr, BinaryOp, Expr, Target } from '../ast.ts'
import { add, arithmetic, binary, equal, related } from '../operators.ts'
import { type Run, setKey } from '../run.ts'
import {
  element,
  Frame,
  finite,
  fromHost,
  isObject,
  keyText,
  Labelled,
  Lambda,
  member,
  ObjectMap,
  Tainted,
  toNumber,
  truthy,
  type Value,
  valuesOf,
} from '../values.ts'
import type { Builder, Evaluate } from './builder.ts'
import { apply, call } from './calls.ts'

/** Turns an expression into a function of the rendering. */
export function evaluator(builder: Builder, expr: Expr): Evaluate {
  switch (expr.type) {
    case 'value': {
      const { value } = expr
      return () => value
    }
    case 'name':
      return name(builder, expr.name)
    case 'member':
      return property(builder, expr)
    case 'index': {
      const object = evaluator(builder, expr.object)
      const key = evaluator(builder, expr.key)
      return (run) => element(run, object(run), key(run))
    }
    case 'call':
      return call(builder, expr)
    case 'apply':
      return apply(builder, expr)
    case 'list': {
      const items = expr.items.map((item) => evaluator(builder, item))
      return (run) => {
        run.burn(items.length * 4)
        return run.madeList(items.map((item) => item(run)))
      }
    }
    case 'object':
      return object(builder, expr)
    case 'comprehension':
      return comprehension(builder, expr)
    case 'unary': {
      const operand = evaluator(builder, expr.operand)
      if (expr.op === '!') return (run) => !truthy(operand(run))
      return (run) => finite(0 - toNumber(operand(run)))
    }
    case 'binary':
      return binaryChain(builder, expr)
    case 'logic':
      return logic(builder, expr)
    case 'choice': {
      const test = evaluator(builder, expr.test)
      const then = evaluator(builder, expr.then)
      const otherwise = evaluator(builder, expr.else)
      return (run) => (truthy(test(run)) ? then(run) : otherwise(run))
    }
    case 'fallback': {
      const value = evaluator(builder, expr.value)
      const otherwise = evaluator(builder, expr.otherwise)
      return (run) => {
        const result = value(run)
        return truthy(result) ? result : otherwise(run)
      }
    }
    case 'lambda': {
      const body = withLocals(builder, expr.params, () => evaluator(builder, expr.body))
      const arity = expr.params.length
      const { source } = builder
      return (run) => new Lambda(arity, body, run.frame, source)
    }
    case 'assign':
      return assign(builder, expr)
  }
}

export function withLocals<T>(builder: Builder, names: string[], build: () => T): T {
  builder.locals.push(names)
  const built = build()
  builder.locals.pop()
  return built
}

/** How many frames up and at which place a local lies; `null` for other names. */
export function localPlace(builder: Builder, name: string): { up: number; index: number } | null {
  for (let i = builder.locals.length - 1; i >= 0; i--) {
    const index = builder.locals[i]!.lastIndexOf(name)
    if (index !== -1) return { up: builder.locals.length - 1 - i, index }
  }
  return null
}

function frameAt(run: Run, up: number): Frame {
  let frame = run.frame!
  for (let i = up; i > 0; i--) frame = frame.parent!
  return frame
}

export function name(builder: Builder, text: string): Evaluate {
  const local = localPlace(builder, text)
  if (local !== null) {
    const { up, index } = local
    if (up === 0) return (run) => run.frame!.values[index]!
    return (run) => frameAt(run, up).values[index]!
  }
  const slot = builder.names.slot(text)
  return (run) => {
    const value = run.vars[slot]
    return value === undefined ? run.read(slot) : value
  }
}

/** `x.key`. Most are properties of a variable: these do without a call for the variable. */
function property(builder: Builder, expr: Extract<Expr, { type: 'member' }>): Evaluate {
  const key = expr.name
  if (expr.object.type === 'name' && localPlace(builder, expr.object.name) === null) {
    const slot = builder.names.slot(expr.object.name)
    return (run) => {
      const value = run.vars[slot]
      return member(value === undefined ? run.read(slot) : value, key)
    }
  }
  const object = evaluator(builder, expr.object)
  return (run) => member(object(run), key)
}

function object(builder: Builder, expr: Extract<Expr, { type: 'object' }>): Evaluate {
  const entries = expr.entries.map(({ key, value }) => [key, evaluator(builder, value)] as const)
  return (run) => {
    const map = new ObjectMap()
    run.spend(entries.length)
    for (const [key, value] of entries) setKey(run, map, key, value(run))
    return map
  }
}

function comprehension(builder: Builder, expr: Extract<Expr, { type: 'comprehension' }>): Evaluate {
  const over = evaluator(builder, expr.over)
  const [item, test] = withLocals(builder, [expr.name], () => [
    evaluator(builder, expr.item),
    expr.test === null ? null : evaluator(builder, expr.test),
  ])
  const { at } = expr
  return (run) => {
    const source = over(run)
    run.at = at
    const items = Array.isArray(source)
      ? source
      : isObject(source) && !(source instanceof Labelled)
        ? valuesOf(source)
        : []
    const list: Value[] = []
    const outer = run.frame
    // What is appended meanwhile is not walked, as in foreach.
    const count = items.length
    for (let i = 0; i < count; i++) {
      run.round()
      run.frame = new Frame([fromHost(items[i])], outer)
      if (test === null || truthy(test(run))) list.push(item(run))
    }
    run.frame = outer
    return run.madeList(list)
  }
}

function binaryChain(builder: Builder, expr: BinaryExpr): Evaluate {
  const first = evaluator(builder, expr.first)
  if (expr.rest.length === 1) return pair(expr.rest[0]!.op, first, evaluator(builder, expr.rest[0]!.right), expr.at)
  const { at } = expr
  const steps = expr.rest.map(({ op, right }) => ({ op, right: evaluator(builder, right) }))
  return (run) => {
    if (steps.length > 16) run.burn(steps.length * 8)
    let value = first(run)
    for (const { op, right } of steps) {
      const operand = right(run)
      run.at = at
      value = binary(run, op, value, operand)
    }
    return value
  }
}

function pair(op: BinaryOp, left: Evaluate, right: Evaluate, at: number): Evaluate {
  switch (op) {
    case '+':
      return (run) => {
        const a = left(run)
        const b = right(run)
        run.at = at
        return add(run, a, b)
      }
    case '==':
      return (run) => equal(run, left(run), right(run))
    case '!=':
      return (run) => !equal(run, left(run), right(run))
    case '<':
    case '<=':
    case '>':
    case '>=':
      return (run) => related(run, op, left(run), right(run))
    default:
      return (run) => arithmetic(op, toNumber(left(run)), toNumber(right(run)))
  }
}

/** `&&` and `||` stop at the operand that decides and give that operand. */
function logic(builder: Builder, expr: Extract<Expr, { type: 'logic' }>): Evaluate {
  const operands = expr.operands.map((operand) => evaluator(builder, operand))
  const last = operands.pop()!
  const stopsAt = expr.op === '||'
  if (operands.length === 1) {
    const first = operands[0]!
    return (run) => {
      const value = first(run)
      return truthy(value) === stopsAt ? value : last(run)
    }
  }
  return (run) => {
    if (operands.length > 16) run.burn(operands.length * 4)
    for (const operand of operands) {
      const value = operand(run)
      if (truthy(value) === stopsAt) return value
    }
    return last(run)
  }
}

function assign(builder: Builder, expr: AssignExpr): Evaluate {
  const value = evaluator(builder, expr.value)
  const { target, at } = expr
  if (target.type === 'name') {
    const store = storeName(builder, target.name)
    return (run) => {
      const result = value(run)
      store(run, result)
      return result
    }
  }
  const parent = container(builder, target.object)
  const key = keyOf(builder, target)
  return (run) => {
    const result = value(run)
    const into = parent(run)
    const at_ = key(run)
    run.at = at
    store(run, into, at_, result)
    return result
  }
}

function keyOf(builder: Builder, target: Exclude<Target, { type: 'name' }>): Evaluate {
  if (target.type === 'index') return evaluator(builder, target.key)
  const { name: key } = target
  return () => key
}

function storeName(builder: Builder, text: string): (run: Run, value: Value) => void {
  const local = localPlace(builder, text)
  if (local !== null) {
    const { up, index } = local
    return (run, value) => {
      frameAt(run, up).values[index] = value
    }
  }
  const slot = builder.names.slot(text)
  return (run, value) => {
    run.vars[slot] = value
  }
}

/** The list or object an assignment goes into; where there is nothing yet, an object is made and stored. */
function container(builder: Builder, expr: Expr): Evaluate {
  const current = evaluator(builder, expr)
  if (expr.type === 'name') {
    const put = storeName(builder, expr.name)
    return (run) => {
      const value = current(run)
      if (value !== null) return value
      const made = new ObjectMap()
      put(run, made)
      return made
    }
  }
  if (expr.type !== 'member' && expr.type !== 'index') return current
  const parent = container(builder, expr.object)
  const key = keyOf(builder, expr)
  return (run) => {
    const into = parent(run)
    const at = key(run)
    const value = element(run, into, at)
    if (value !== null) return value
    const made = new ObjectMap()
    store(run, into, at, made)
    return made
  }
}

/** Changes an object or list in place. What cannot be changed is left alone. */
function store(run: Run, into: Value, key: Value, value: Value): void {
  if (Array.isArray(into)) {
    const i = toNumber(key)
    if (!Number.isInteger(i) || i < 0 || i > into.length) return
    run.unlocked(into)
    into[i] = value
    run.madeList(into.length > run.limits.list ? into : [])
  } else if (into instanceof ObjectMap) {
    run.unlocked(into)
    if (key instanceof Tainted) into.taintedKeys = true
    run.spend(1)
    setKey(run, into, keyText(key), value)
  }
}
