import type { BinaryExpr, BinaryOp, CallExpr, Expr, Target } from './ast.ts'
import { type Lexer, Misfit } from './lexer.ts'
import { RESERVED } from './vocabulary.ts'

/** Precedence of the binary operators; a larger number binds tighter. */
export const PRECEDENCE: Readonly<Record<string, number>> = {
  '||': 1,
  '&&': 2,
  '==': 3,
  '!=': 3,
  '<': 4,
  '<=': 4,
  '>': 4,
  '>=': 4,
  '+': 5,
  '-': 5,
  '*': 6,
  '/': 6,
  '%': 6,
}

function deeper(lexer: Lexer): void {
  if (++lexer.depth > lexer.nesting) {
    throw new Misfit(lexer.start, `the expression is nested more than ${lexer.nesting} deep`)
  }
}

/** Reads one expression from the token in hand; leaves the first token after it in hand. */
export function expression(lexer: Lexer): Expr {
  deeper(lexer)
  const result = lexer.isWord('lambda') ? lambda(lexer) : assignment(lexer)
  lexer.depth--
  return result
}

function lambda(lexer: Lexer): Expr {
  const at = lexer.start
  lexer.next()
  const params: string[] = []
  if (!lexer.is(':')) {
    params.push(identifier(lexer, 'a parameter name'))
    while (lexer.is(',')) {
      lexer.next()
      params.push(identifier(lexer, 'a parameter name'))
    }
  }
  lexer.expect(':')
  return { type: 'lambda', params, body: expression(lexer), at }
}

/** A name that may be assigned. */
export function identifier(lexer: Lexer, expected: string): string {
  if (lexer.kind !== 'name') throw lexer.unexpected(expected)
  const name = lexer.value
  if (RESERVED.has(name)) throw new Misfit(lexer.start, `'${name}' is a reserved word`, expected)
  lexer.next()
  return name
}

function assignment(lexer: Lexer): Expr {
  const left = conditional(lexer)
  if (!lexer.is('=')) return left
  const target = targetOf(left)
  if (target === null)
    throw new Misfit(lexer.start, 'only a variable, a property or an element can be assigned to', undefined)
  lexer.next()
  return { type: 'assign', target, value: expression(lexer), at: left.at }
}

function targetOf(left: Expr): Target | null {
  switch (left.type) {
    case 'name':
    case 'member':
    case 'index':
      return left
    case 'value':
      // {'crew' = [...]}: the name in quotes.
      return typeof left.value === 'string' && /^[A-Za-z_][A-Za-z0-9_]*$/.test(left.value)
        ? { type: 'name', name: left.value, at: left.at }
        : null
    default:
      return null
  }
}

function conditional(lexer: Lexer): Expr {
  const test = binary(lexer, 1)
  if (lexer.is('?')) {
    lexer.next()
    const then = expression(lexer)
    lexer.expect(':')
    return { type: 'choice', test, then, else: expression(lexer), at: test.at }
  }
  if (lexer.is('?:')) {
    lexer.next()
    return { type: 'fallback', value: test, otherwise: expression(lexer), at: test.at }
  }
  return test
}

/** Precedence climbing; operators of one level are gathered into one flat node. */
function binary(lexer: Lexer, least: number): Expr {
  let left = unary(lexer)
  let open: Expr | null = null
  for (;;) {
    if (lexer.kind !== 'operator') return left
    const op = lexer.value
    const level = PRECEDENCE[op]
    if (level === undefined || level < least) return left
    lexer.next()
    const right = binary(lexer, level + 1)
    if (op === '&&' || op === '||') {
      if (open !== null && open === left && open.type === 'logic' && open.op === op) open.operands.push(right)
      else left = open = { type: 'logic', op, operands: [left, right], at: left.at }
    } else if (open !== null && open === left && open.type === 'binary' && levelOf(open) === level) {
      open.rest.push({ op: op as BinaryOp, right })
    } else {
      left = open = { type: 'binary', first: left, rest: [{ op: op as BinaryOp, right }], at: left.at }
    }
  }
}

export function levelOf(node: BinaryExpr): number {
  return PRECEDENCE[node.rest[0]!.op]!
}

function unary(lexer: Lexer): Expr {
  if (!lexer.is('!') && !lexer.is('-')) return postfix(lexer)
  deeper(lexer)
  const { start } = lexer
  const op = lexer.value as '!' | '-'
  lexer.next()
  const operand = unary(lexer)
  lexer.depth--
  return { type: 'unary', op, operand, at: start }
}

function postfix(lexer: Lexer): Expr {
  let result = primary(lexer)
  let steps = 0
  for (;;) {
    if (lexer.is('.')) {
      lexer.next()
      if ((lexer.kind as string) !== 'name') throw lexer.unexpected('a property name')
      result = { type: 'member', object: result, name: lexer.value, at: lexer.start }
      lexer.next()
    } else if (lexer.is('[')) {
      lexer.next()
      const key = expression(lexer)
      result = { type: 'index', object: result, key, at: key.at }
      lexer.expect(']')
    } else if (lexer.is('(')) {
      const at = lexer.start
      lexer.next()
      const args = sequence(lexer, ')')
      result =
        result.type === 'name'
          ? ({ type: 'call', name: result.name, args, at: result.at } satisfies CallExpr)
          : { type: 'apply', callee: result, args, at }
    } else {
      lexer.depth -= steps
      return result
    }
    // A chain a.b.c… is a tree as deep as it is long.
    steps++
    deeper(lexer)
  }
}

/** Expressions separated by commas up to the closing bracket; a trailing comma is accepted. */
function sequence(lexer: Lexer, close: string): Expr[] {
  const items: Expr[] = []
  while (!lexer.is(close)) {
    items.push(expression(lexer))
    if (!lexer.is(',')) break
    lexer.next()
  }
  if (!lexer.is(close)) throw lexer.unexpected(`',' or '${close}'`)
  lexer.next()
  return items
}

function primary(lexer: Lexer): Expr {
  const at = lexer.start
  switch (lexer.kind) {
    case 'number': {
      const value = lexer.number
      lexer.next()
      return { type: 'value', value, at }
    }
    case 'string': {
      const { value } = lexer
      lexer.next()
      return { type: 'value', value, at }
    }
    case 'name': {
      const name = lexer.value
      if (name === 'true' || name === 'false' || name === 'null') {
        lexer.next()
        return { type: 'value', value: name === 'null' ? null : name === 'true', at }
      }
      if (RESERVED.has(name)) throw new Misfit(at, `'${name}' is a reserved word`, 'a value')
      lexer.next()
      return { type: 'name', name, at }
    }
    case 'operator':
      if (lexer.value === '(') {
        lexer.next()
        const inner = expression(lexer)
        lexer.expect(')')
        return inner
      }
      if (lexer.value === '[') return listOrComprehension(lexer)
      if (lexer.value === '{') return objectLiteral(lexer)
      throw lexer.unexpected('a value')
    default:
      throw lexer.unexpected('a value')
  }
}

function listOrComprehension(lexer: Lexer): Expr {
  const at = lexer.start
  lexer.next()
  if (lexer.is(']')) {
    lexer.next()
    return { type: 'list', items: [], at }
  }
  const first = expression(lexer)
  if (lexer.isWord('for')) {
    lexer.next()
    const name = identifier(lexer, 'a variable name')
    if (!lexer.isWord('in')) throw lexer.unexpected("'in'")
    lexer.next()
    const over = expression(lexer)
    let test: Expr | null = null
    if (lexer.isWord('if')) {
      lexer.next()
      test = expression(lexer)
    }
    lexer.expect(']')
    return { type: 'comprehension', item: first, name, over, test, at }
  }
  if (lexer.is(']')) {
    lexer.next()
    return { type: 'list', items: [first], at }
  }
  if (!lexer.is(',')) throw lexer.unexpected("',', ']' or 'for'")
  lexer.next()
  return { type: 'list', items: [first, ...sequence(lexer, ']')], at }
}

function objectLiteral(lexer: Lexer): Expr {
  const at = lexer.start
  lexer.next()
  const entries: { key: string; value: Expr }[] = []
  while (!lexer.is('}')) {
    if (lexer.kind === 'number') entries.push({ key: String(lexer.number), value: pair(lexer) })
    else if (lexer.kind === 'name' || lexer.kind === 'string') {
      const key = lexer.value
      entries.push({ key, value: pair(lexer) })
    } else throw lexer.unexpected("a key or '}'")
    if (!lexer.is(',')) break
    lexer.next()
  }
  lexer.expect('}')
  return { type: 'object', entries, at }
}

function pair(lexer: Lexer): Expr {
  lexer.next()
  lexer.expect(':')
  return expression(lexer)
}
