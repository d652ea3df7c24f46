import type { Expr, Node } from './ast.ts'
import { printExpr } from './print.ts'
import { eachNode, eachTemplateExpr } from './walk.ts'

/** The two mistakes that cost people their choice: links that lift nothing, and tests that overlook a level. */

/**
 * Places that ask for the level `all` alone in a template that asks for no other: they overlook everybody who only
 * turned marketing off.
 */
export function testsOfAllAlone(nodes: readonly Node[]): number[] {
  const alone: number[] = []
  let others = false
  eachTemplateExpr(nodes, (expr) => {
    if (expr.type === 'choice' && asksForLevel(expr.test)) others = true
    if (expr.type !== 'binary' || expr.rest.length !== 1) return
    const sides = [expr.first, expr.rest[0]!.right]
    if (!sides.some(isLevel)) return
    const level = sides.find((side) => side.type === 'value')
    if (level?.type !== 'value') return
    if (level.value === 'all') alone.push(expr.at)
    else others = true
  })
  eachNode(nodes, (node) => {
    if (node.type === 'if' && node.branches.some(({ test }) => test !== null && asksForLevel(test))) others = true
    if (node.type !== 'switch' || node.subject === null || !isLevel(node.subject)) return
    for (const item of node.items) {
      if (item.type !== 'case') continue
      if (item.test.type === 'value' && item.test.value === 'all') alone.push(item.test.at)
      else others = true
    }
  })
  return others ? [] : alone
}

/** `profile.optout` in either spelling. */
function isLevel(expr: Expr): boolean {
  const isProfile = (object: Expr) => object.type === 'name' && object.name === 'profile'
  if (expr.type === 'member') return expr.name === 'optout' && isProfile(expr.object)
  return expr.type === 'index' && expr.key.type === 'value' && expr.key.value === 'optout' && isProfile(expr.object)
}

/** The level itself is the condition, or a part of it. */
function asksForLevel(expr: Expr): boolean {
  if (isLevel(expr)) return true
  if (expr.type === 'unary') return asksForLevel(expr.operand)
  return expr.type === 'logic' && expr.operands.some(asksForLevel)
}

/**
 * Whether the argument of `signup_confirm` may come to nothing, so that its link opts nobody in.
 *
 * @param isSet whether the template itself gives a name its value
 * @param tested what the template asks about somewhere, as `testedIn` tells it
 */
export function mayBeMissing(expr: Expr, isSet: (name: string) => boolean, tested: ReadonlySet<string>): boolean {
  const inside = (part: Expr) => mayBeMissing(part, isSet, tested)
  switch (expr.type) {
    case 'value':
      return expr.value === null || expr.value === ''
    case 'name':
      return !isSet(expr.name) && !tested.has(printExpr(expr))
    case 'member':
    case 'index':
      return !tested.has(printExpr(expr))
    case 'fallback':
      return inside(expr.otherwise)
    case 'choice':
      return inside(expr.then) || inside(expr.else)
    case 'logic':
      return expr.op === '||' ? inside(expr.operands.at(-1)!) : expr.operands.some(inside)
    default:
      return false
  }
}

/** Everything that a condition asks about, printed: whoever asks has thought of its absence. */
export function testedIn(nodes: readonly Node[]): Set<string> {
  const tested = new Set<string>()
  const note = (expr: Expr): void => {
    if (expr.type === 'unary') note(expr.operand)
    else if (expr.type === 'logic') for (const operand of expr.operands) note(operand)
    else if (expr.type === 'binary') for (const side of [expr.first, ...expr.rest.map(({ right }) => right)]) note(side)
    else if (expr.type === 'call' && expr.name === 'length' && expr.args[0]) note(expr.args[0])
    else tested.add(printExpr(expr))
  }
  eachTemplateExpr(nodes, (expr) => {
    if (expr.type === 'choice') note(expr.test)
    if (expr.type === 'call' && (expr.name === 'assert' || expr.name === 'cancel') && expr.args[0]) note(expr.args[0])
  })
  eachNode(nodes, (node) => {
    if (node.type === 'if') for (const { test } of node.branches) if (test !== null) note(test)
  })
  return tested
}
