import type { CallExpr, Expr, Node } from './ast.ts'
import type { Tag } from './tags.ts'

/** The expressions directly inside an expression. */
export function children(expr: Expr): Expr[] {
  switch (expr.type) {
    case 'member':
      return [expr.object]
    case 'index':
      return [expr.object, expr.key]
    case 'call':
      return expr.args
    case 'apply':
      return [expr.callee, ...expr.args]
    case 'list':
      return expr.items
    case 'object':
      return expr.entries.map((entry) => entry.value)
    case 'comprehension':
      return expr.test === null ? [expr.over, expr.item] : [expr.over, expr.item, expr.test]
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
    case 'lambda':
      return [expr.body]
    case 'assign':
      return [expr.target, expr.value]
    default:
      return []
  }
}

/** Visits an expression and everything inside it. */
export function eachExpr(expr: Expr, visit: (expr: Expr) => void): void {
  visit(expr)
  for (const child of children(expr)) eachExpr(child, visit)
}

export function eachCall(expr: Expr, visit: (call: CallExpr) => void): void {
  eachExpr(expr, (inner) => {
    if (inner.type === 'call') visit(inner)
  })
}

export function eachTagExpr(tag: Tag, visit: (expr: Expr) => void): void {
  if ('expr' in tag) visit(tag.expr)
  else if (tag.kind === 'foreach') visit(tag.over)
}

/** Visits nodes in source order, outer before inner. */
export function eachNode(nodes: readonly Node[], visit: (node: Node) => void): void {
  for (const node of nodes) {
    visit(node)
    switch (node.type) {
      case 'if':
        for (const branch of node.branches) eachNode(branch.body, visit)
        break
      case 'switch':
      case 'select':
        for (const item of node.items) if (item.type === 'case') eachNode(item.body, visit)
        break
      case 'foreach':
      case 'link':
        eachNode(node.body, visit)
        break
      default:
    }
  }
}

/** The expressions a node holds itself, not those of nodes inside it. */
export function expressionsOf(node: Node): Expr[] {
  switch (node.type) {
    case 'print':
      return [node.expr]
    case 'if':
      return node.branches.flatMap((branch) => (branch.test === null ? [] : [branch.test]))
    case 'foreach':
      return [node.over]
    case 'switch':
    case 'select': {
      const tests = node.items.flatMap((item) => (item.type === 'case' ? [item.test] : []))
      return node.subject === null ? tests : [node.subject, ...tests]
    }
    default:
      return []
  }
}

/** Every expression of a template. */
export function eachTemplateExpr(nodes: readonly Node[], visit: (expr: Expr) => void): void {
  eachNode(nodes, (node) => {
    for (const expr of expressionsOf(node)) eachExpr(expr, visit)
  })
}
