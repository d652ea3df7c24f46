import type { CallExpr, Expr } from '../ast.ts'
import { CompileError } from '../errors.ts'
import type { Arg, Definition } from '../functions/definition.ts'
import { FUNCTIONS } from '../functions/index.ts'
import { callLambda, type Run, setKey, weigh } from '../run.ts'
import { nearest } from '../suggest.ts'
import { hasTaint } from '../text.ts'
import { fromHost, isObject, keysOf, Lambda, member, ObjectMap, Tainted, type Value } from '../values.ts'
import type { Builder, Context, Evaluate } from './builder.ts'
import { evaluator, localPlace, name } from './expressions.ts'

const PLACES: Readonly<Record<Context, string>> = {
  mail: 'in the body of a mail',
  setup: 'in Setup',
  page: 'on a hosted page',
  link: 'in link parameters',
  trigger: 'in a trigger script',
}

/** Why a function may not be called here; `null` if it may. */
export function forbidden(
  definition: Definition,
  context: Context,
  available: ReadonlySet<string> | null,
): string | null {
  const { group, name: text } = definition
  const refused =
    (group === 'api' && context !== 'trigger') ||
    ((group === 'promotion' || group === 'append') && (context === 'page' || context === 'link')) ||
    ((group === 'personal' || group === 'guard') && context === 'link')
  if (refused) return `'${text}' cannot be used ${PLACES[context]}`
  if (definition.host === true && available !== null && !available.has(text)) return `'${text}' is not available here`
  return null
}

/** `name(…)`: a lambda in a variable of that name, else the function. */
export function call(builder: Builder, expr: CallExpr): Evaluate {
  const definition = FUNCTIONS.get(expr.name)
  const isLocal = localPlace(builder, expr.name) !== null
  const mayHoldLambda = isLocal || builder.assigned.has(expr.name) || builder.assignsAny
  const args = expr.args.map((arg) => evaluator(builder, arg))
  if (definition === undefined) {
    if (isLocal || builder.assigned.has(expr.name)) return variableCall(builder, expr, args, () => null)
    return refuse(
      builder,
      expr,
      `unknown function '${expr.name}'`,
      nearest(expr.name, [...FUNCTIONS.keys(), ...builder.assigned]),
    )
  }
  const reason = forbidden(definition, builder.context, builder.available)
  const short = definition.strict === true && args.length < definition.required
  if (!mayHoldLambda || (definition.host === true && !isLocal && !builder.assigned.has(expr.name))) {
    if (reason !== null) return refuse(builder, expr, reason)
    if (short)
      return refuse(
        builder,
        expr,
        `'${definition.name}' needs ${definition.required} argument(s): ${definition.signature}`,
      )
    return functionCall(builder, definition, args, expr.at)
  }
  return variableCall(
    builder,
    expr,
    args,
    reason === null ? functionCall(builder, definition, args, expr.at) : () => null,
  )
}

function refuse(builder: Builder, expr: CallExpr, reason: string, suggestion?: string): Evaluate {
  if (!builder.lenient) throw new CompileError(builder.source, expr.at, reason, { suggestion })
  builder.notes.push({ source: builder.source, at: expr.at, message: reason })
  return () => null
}

function variableCall(builder: Builder, expr: CallExpr, args: Evaluate[], otherwise: Evaluate): Evaluate {
  const variable = name(builder, expr.name)
  const { at } = expr
  return (run) => {
    const value = variable(run)
    if (!(value instanceof Lambda)) return otherwise(run)
    run.burn(args.length * 4)
    const given = args.map((arg) => arg(run))
    run.at = at
    return callLambda(run, value, given)
  }
}

/** Calls what an expression evaluates to; anything but a lambda gives `null`. */
export function apply(builder: Builder, expr: Extract<Expr, { type: 'apply' }>): Evaluate {
  const callee = evaluator(builder, expr.callee)
  const args = expr.args.map((arg) => evaluator(builder, arg))
  const { at } = expr
  return (run) => {
    const value = callee(run)
    run.burn(args.length * 4)
    const given = args.map((arg) => arg(run))
    if (!(value instanceof Lambda)) return null
    run.at = at
    return callLambda(run, value, given)
  }
}

function functionCall(builder: Builder, definition: Definition, args: Evaluate[], at: number): Evaluate {
  if (builder.escapes && definition.taint === undefined) return taintedCall(definition, args, at)
  const f = definition.call
  const [a, b, c] = args as [Evaluate, Evaluate, Evaluate]
  switch (args.length) {
    case 0:
      return (run) => {
        run.at = at
        return f(run, undefined, undefined, undefined, undefined, undefined, undefined)
      }
    case 1:
      return (run) => {
        const x = a(run)
        run.at = at
        weigh(run, x)
        return f(run, x, undefined, undefined, undefined, undefined, undefined)
      }
    case 2:
      return (run) => {
        const x = a(run)
        const y = b(run)
        run.at = at
        weigh(run, x)
        weigh(run, y)
        return f(run, x, y, undefined, undefined, undefined, undefined)
      }
    case 3:
      return (run) => {
        const x = a(run)
        const y = b(run)
        const z = c(run)
        run.at = at
        weigh(run, x)
        weigh(run, y)
        weigh(run, z)
        return f(run, x, y, z, undefined, undefined, undefined)
      }
    default:
      return (run) => {
        const given = all(run, args)
        run.at = at
        return f(run, given[0], given[1], given[2], given[3], given[4], given[5])
      }
  }
}

/** All arguments, those that nobody reads as well. */
function all(run: Run, args: readonly Evaluate[]): Arg[] {
  run.burn(args.length * 4)
  const given = args.map((arg) => arg(run))
  for (let i = 0; i < 6 && i < given.length; i++) weigh(run, given[i])
  return given
}

/** On hosted pages: what a function makes of visitors' text is visitors' text. */
function taintedCall(definition: Definition, args: Evaluate[], at: number): Evaluate {
  return (run) => {
    const given = all(run, args)
    run.at = at
    const result = definition.call(run, given[0], given[1], given[2], given[3], given[4], given[5])
    return given.some((arg) => hasTaint(run, arg)) ? tainted(run, result) : result
  }
}

function tainted(run: Run, value: Value): Value {
  if (typeof value === 'string') return new Tainted(value)
  if (Array.isArray(value)) return run.madeList(value.map((item) => tainted(run, fromHost(item))))
  if (!isObject(value)) return value
  const map = new ObjectMap()
  map.taintedKeys = true
  for (const key of keysOf(value)) {
    run.spend(1)
    run.tick()
    setKey(run, map, key, tainted(run, member(value, key)))
  }
  return map
}
