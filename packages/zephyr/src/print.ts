import type { Ast, Braces, Case, Expr, Node } from './ast.ts'
import { levelOf, PRECEDENCE } from './expressions.ts'
import { numberText } from './values.ts'

/**
 * Writes a template's tree as source again, in one style. Reading that source gives an equal tree, unless a
 * style sheet or script holds a brace with an open quote behind it, which other quotes later on could close.
 */
export function print(ast: Ast | readonly Node[]): string {
  return body('nodes' in ast ? ast.nodes : ast)
}

function body(nodes: readonly (Node | Case)[]): string {
  return nodes.map(printNode).join('')
}

function tag(braces: Braces, inside: string): string {
  return braces === 2 ? `{{${inside}}}` : `{${inside}}`
}

function printNode(node: Node | Case): string {
  switch (node.type) {
    case 'text':
      return node.text
    case 'comment':
      return tag(node.braces, `*${node.text}*`)
    case 'print':
      return tag(node.braces, statement(node.expr))
    case 'if':
      return (
        node.branches
          .map(({ test, body: inside, braces }, i) => {
            const head = test === null ? 'else' : `${i === 0 ? 'if' : 'else if'} ${printExpr(test)}`
            return tag(braces, head) + body(inside)
          })
          .join('') + tag(node.braces, '/if')
      )
    case 'foreach': {
      const names = node.key === null ? node.value : `${node.key}, ${node.value}`
      return block(node.braces, `foreach ${printExpr(node.over)} as ${names}`, 'foreach', node.body)
    }
    case 'switch':
      return block(node.braces, `switch ${printExpr(node.subject!)}`, 'switch', node.items)
    case 'select':
      return block(node.braces, 'select', 'select', node.items)
    case 'case':
      return block(node.braces, `case ${printExpr(node.test)}`, 'case', node.body)
    case 'break':
    case 'continue':
      return tag(node.braces, node.type)
    case 'include':
      return tag(node.braces, `include ${quoted(node.name)}`)
    case 'link':
      return body(node.body)
  }
}

function block(braces: readonly Braces[], head: string, name: string, inside: readonly (Node | Case)[]): string {
  return tag(braces[0]!, head) + body(inside) + tag(braces[1]!, `/${name}`)
}

/** At the start of a tag some expressions would read as something else. */
function statement(expr: Expr): string {
  const text = printExpr(expr)
  // A word of the tag grammar, or an object literal that would double the brace.
  if (/^(?:\{|(?:elseif|break|continue|include)\b)/.test(text)) return `(${text})`
  return text
}

/** Source of an expression. */
export function printExpr(expr: Expr): string {
  return write(expr, 0)
}

/** Loosest level that may stand unparenthesised: 0 anything, 1–6 operators, 7 unary, 8 postfix. */
function write(expr: Expr, level: number): string {
  const own = ownLevel(expr)
  const text = bare(expr)
  return own < level ? `(${text})` : text
}

function ownLevel(expr: Expr): number {
  switch (expr.type) {
    case 'lambda':
    case 'assign':
    case 'choice':
    case 'fallback':
      return 0
    case 'logic':
      return PRECEDENCE[expr.op]!
    case 'binary':
      return levelOf(expr)
    case 'unary':
      return 7
    default:
      return 8
  }
}

function bare(expr: Expr): string {
  switch (expr.type) {
    case 'value':
      if (typeof expr.value === 'string') return quoted(expr.value)
      return typeof expr.value === 'number' ? numberText(expr.value) : String(expr.value)
    case 'name':
      return expr.name
    case 'member':
      return `${write(expr.object, 8)}.${expr.name}`
    case 'index':
      return `${write(expr.object, 8)}[${write(expr.key, 0)}]`
    case 'call':
      return `${expr.name}(${args(expr.args)})`
    case 'apply':
      // Without parentheses name(…) would be a call of the function.
      return `${expr.callee.type === 'name' ? `(${expr.callee.name})` : write(expr.callee, 8)}(${args(expr.args)})`
    case 'list':
      return `[${args(expr.items)}]`
    case 'object':
      return `{${expr.entries.map(({ key, value }) => `${quoted(key)}: ${write(value, 0)}`).join(', ')}}`
    case 'comprehension': {
      const test = expr.test === null ? '' : ` if ${write(expr.test, 0)}`
      return `[${write(expr.item, 0)} for ${expr.name} in ${write(expr.over, 0)}${test}]`
    }
    case 'unary':
      return expr.op + write(expr.operand, 7)
    case 'binary': {
      const level = levelOf(expr)
      // The first operand of the same level was in parentheses: operators without them are one flat node.
      return (
        write(expr.first, level + 1) + expr.rest.map(({ op, right }) => ` ${op} ${write(right, level + 1)}`).join('')
      )
    }
    case 'logic':
      return expr.operands.map((operand) => write(operand, PRECEDENCE[expr.op]! + 1)).join(` ${expr.op} `)
    case 'choice':
      return `${write(expr.test, 1)} ? ${write(expr.then, 0)} : ${write(expr.else, 0)}`
    case 'fallback':
      return `${write(expr.value, 1)} ?: ${write(expr.otherwise, 0)}`
    case 'lambda':
      return `lambda${expr.params.length === 0 ? '' : ` ${expr.params.join(', ')}`}: ${write(expr.body, 0)}`
    case 'assign':
      return `${write(expr.target, 8)} = ${write(expr.value, 0)}`
  }
}

function args(items: readonly Expr[]): string {
  return items.map((item) => write(item, 0)).join(', ')
}

function quoted(text: string): string {
  const escaped = text.replace(/[\\'\r]/g, (c) => (c === '\r' ? '\\r' : `\\${c}`))
  return `'${escaped}'`
}
