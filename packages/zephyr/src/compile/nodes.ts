import type { IfNode, Node, SwitchNode } from '../ast.ts'
import { CompileError, Failure } from '../errors.ts'
import { showOnPage } from '../escape.ts'
import type { Env, LinkSource } from '../host.ts'
import { equal } from '../operators.ts'
import { inPieces } from '../pieces.ts'
import { BREAK, CONTINUE, NO_SIGNAL, type Run } from '../run.ts'
import { Cursor } from '../source.ts'
import { show } from '../text.ts'
import { fromHost, isObject, keysOf, Labelled, member, ObjectMap, Tainted, toNumberOr, truthy } from '../values.ts'
import type { Builder, Emit } from './builder.ts'
import { evaluator } from './expressions.ts'

const NOTHING: Emit = () => ''
/** What has more parts than these accounts for them: a long template may be the body of a loop. */
const WIDE = 16

/** Turns a piece of template into a function of the rendering. */
export function emitter(builder: Builder, nodes: readonly Node[]): Emit {
  const parts: (string | Emit)[] = []
  let jumps = false
  for (const node of nodes) {
    const part = emitOne(builder, node)
    if (typeof part !== 'string' && canJump(node)) jumps = true
    if (typeof part === 'string' && typeof parts.at(-1) === 'string') parts[parts.length - 1] += part
    else if (part !== '') parts.push(part)
  }
  return jumps ? jumpingSequence(parts) : sequence(parts)
}

/** Whether a `break` or `continue` inside can leave this node. */
function canJump(node: Node): boolean {
  switch (node.type) {
    case 'break':
    case 'continue':
    case 'include':
      return true
    case 'if':
      return node.branches.some((branch) => branch.body.some(canJump))
    case 'switch':
    case 'select':
      return node.items.some((item) => item.type === 'case' && item.body.some(canJump))
    case 'link':
      return node.body.some(canJump)
    default:
      return false
  }
}

/**
 * Texts and parts in turn. The length is watched by the loops, which alone can make much of a short template, and at
 * the end; should a text outgrow the engine before, that is reported as a limit too.
 */
function sequence(parts: (string | Emit)[]): Emit {
  let head = ''
  const emits: Emit[] = []
  const tails: string[] = []
  for (const part of parts) {
    if (typeof part !== 'string') {
      emits.push(part)
      tails.push('')
    } else if (emits.length === 0) head += part
    else tails[tails.length - 1] += part
  }
  const count = emits.length
  if (count === 0) return head === '' ? NOTHING : () => head
  if (count === 1) {
    const only = emits[0]!
    const tail = tails[0]!
    if (head === '' && tail === '') return only
    return (run) => head + only(run) + tail
  }
  const wide = count > WIDE ? count * 8 : 0
  return (run) => {
    run.burn(wide)
    let out = head
    for (let i = 0; i < count; i++) out += emits[i]!(run) + tails[i]!
    return out
  }
}

/** The same where a part may end the round of a loop. */
function jumpingSequence(parts: (string | Emit)[]): Emit {
  return (run) => {
    let out = ''
    if (parts.length > WIDE) run.burn(parts.length * 8)
    for (const part of parts) {
      if (typeof part === 'string') out += part
      else {
        out += part(run)
        if (run.signal !== NO_SIGNAL) break
      }
    }
    return out
  }
}

function emitOne(builder: Builder, node: Node): string | Emit {
  switch (node.type) {
    case 'text':
      return node.text
    case 'comment':
      return ''
    case 'print':
      return print(builder, node)
    case 'if':
      return ifNode(builder, node)
    case 'foreach':
      return foreach(builder, node)
    case 'switch':
    case 'select':
      return node.type === 'switch' ? switchNode(builder, node) : selectNode(builder, node)
    case 'break':
    case 'continue': {
      const signal = node.type === 'break' ? BREAK : CONTINUE
      return (run) => {
        run.signal = signal
        return ''
      }
    }
    case 'include':
      return include(builder, node)
    case 'link':
      return link(builder, node)
  }
}

function print(builder: Builder, node: Extract<Node, { type: 'print' }>): string | Emit {
  const { expr, place, at } = node
  if (expr.type === 'value' && !builder.defuses)
    return typeof expr.value === 'string' ? expr.value : show(null as never, expr.value)
  const value = evaluator(builder, expr)
  if (expr.type === 'assign') {
    return (run) => {
      value(run)
      return ''
    }
  }
  if (builder.escapes) {
    return (run) => {
      const result = value(run)
      run.at = at
      return showOnPage(run, result, place)
    }
  }
  if (builder.defuses) return (run) => inPieces(run, show(run, value(run)), (piece) => piece.replaceAll('{', "{{'{'}}"))
  return (run) => {
    const result = value(run)
    if (typeof result === 'string') return result
    run.at = at
    return show(run, result)
  }
}

function ifNode(builder: Builder, node: IfNode): Emit {
  const branches = node.branches.map(({ test, body }) => ({
    test: test === null ? () => true : evaluator(builder, test),
    emit: emitter(builder, body),
  }))
  const [first, second] = branches as [(typeof branches)[0], (typeof branches)[0]]
  if (branches.length === 1) return (run) => (truthy(first.test(run)) ? first.emit(run) : '')
  if (branches.length === 2 && node.branches[1]!.test === null) {
    return (run) => (truthy(first.test(run)) ? first.emit(run) : second.emit(run))
  }
  return (run) => {
    if (branches.length > WIDE) run.burn(branches.length * 8)
    for (const { test, emit } of branches) if (truthy(test(run))) return emit(run)
    return ''
  }
}

function foreach(builder: Builder, node: Extract<Node, { type: 'foreach' }>): Emit {
  const over = evaluator(builder, node.over)
  const value = builder.names.slot(node.value)
  const key = node.key === null ? -1 : builder.names.slot(node.key)
  const body = emitter(builder, node.body)
  const { at } = node
  return (run) => {
    const collection = over(run)
    if (collection === null || typeof collection !== 'object') return ''
    run.at = at
    const isList = Array.isArray(collection)
    if (!isList && (!isObject(collection) || collection instanceof Labelled)) return ''
    const { vars, loops } = run
    const oldValue = vars[value]
    const oldKey = key === -1 ? undefined : vars[key]
    loops.push(collection)
    let out = ''
    const keys = isList ? null : keysOf(collection)
    if (keys !== null) run.burn(keys.length * 8)
    const count = isList ? collection.length : keys!.length
    const tainted = collection instanceof ObjectMap && collection.taintedKeys
    for (let i = 0; i < count; i++) {
      run.round()
      if (isList) {
        vars[value] = fromHost(collection[i])
        if (key !== -1) vars[key] = i
      } else {
        const name = keys![i]!
        if (name.length > 256) run.burn(name.length * 8)
        vars[value] = member(collection, name)
        if (key !== -1) vars[key] = tainted ? new Tainted(name) : name
      }
      out += body(run)
      if (out.length > run.limits.output) run.long(out.length)
      if (run.signal !== NO_SIGNAL) {
        const left = run.signal === BREAK
        run.signal = NO_SIGNAL
        if (left) break
      }
    }
    loops.pop()
    vars[value] = oldValue
    if (key !== -1) vars[key] = oldKey
    return out
  }
}

function casesOf(builder: Builder, node: SwitchNode) {
  return node.items.flatMap((item) =>
    item.type === 'case' ? [{ test: evaluator(builder, item.test), emit: emitter(builder, item.body) }] : [],
  )
}

function switchNode(builder: Builder, node: SwitchNode): Emit {
  const subject = evaluator(builder, node.subject!)
  const cases = casesOf(builder, node)
  return (run) => {
    const value = subject(run)
    if (cases.length > WIDE) run.burn(cases.length * 8)
    for (const { test, emit } of cases) if (equal(run, value, test(run))) return emit(run)
    return ''
  }
}

/** The case with the highest number; the earlier one of equals. */
function selectNode(builder: Builder, node: SwitchNode): Emit {
  const cases = casesOf(builder, node)
  return (run) => {
    let best: Emit = NOTHING
    let highest = Number.NEGATIVE_INFINITY
    if (cases.length > WIDE) run.burn(cases.length * 8)
    for (const { test, emit } of cases) {
      const n = toNumberOr(test(run), 0)
      if (n > highest) {
        highest = n
        best = emit
      }
    }
    return best(run)
  }
}

function include(builder: Builder, node: Extract<Node, { type: 'include' }>): string | Emit {
  const { name, at } = node
  if (builder.source.snippet !== undefined) {
    return missing(builder, at, `snippet '${builder.source.snippet}' cannot include other snippets`)
  }
  const found = builder.snippet(name)
  if (found === null) {
    if (builder.missingSnippet === 'compile') return missing(builder, at, `there is no snippet '${name}'`)
    return (run) => {
      run.at = at
      throw new Failure('snippet', `there is no snippet '${name}' any more`)
    }
  }
  const outer = builder.source
  const { cursor } = builder
  builder.source = found.source
  builder.cursor = new Cursor(found.source.text)
  const body = emitter(builder, found.ast.nodes)
  builder.source = outer
  builder.cursor = cursor
  return (run) => {
    run.source = found.source
    const out = body(run)
    run.source = outer
    return out
  }
}

function missing(builder: Builder, at: number, reason: string): string {
  if (!builder.lenient) throw new CompileError(builder.source, at, reason)
  builder.notes.push({ source: builder.source, at, message: reason })
  return ''
}

function link(builder: Builder, node: Extract<Node, { type: 'link' }>): string | Emit {
  const { line, column } = builder.cursor.at(node.at)
  const dynamic = node.body.some((inner) => inner.type !== 'text')
  const { source, attributes } = node
  const info: LinkSource = { source, attributes, dynamic, line, column, index: builder.links.length }
  builder.links.push(info)
  const body = emitter(builder, node.body)
  const { at } = node
  return (run) => {
    const url = body(run)
    const hook = run.env.link
    return hook === undefined ? url : hooked(run, hook, url, info, at)
  }
}

function hooked(run: Run, hook: NonNullable<Env['link']>, url: string, info: LinkSource, at: number): string {
  run.at = at
  run.long(url.length)
  try {
    return hook(url, info, run.env.linkParams ?? '')
  } catch (cause) {
    throw new Failure(
      'host',
      `the link could not be made: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    )
  }
}
