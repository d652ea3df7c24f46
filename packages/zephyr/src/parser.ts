import type { Ast, Braces, Branch, Case, Node, ParseNote, SwitchNode } from './ast.ts'
import { CompileError } from './errors.ts'
import { HtmlTracker, type LinkEdge } from './html.ts'
import { isDigit, isNameStart, Lexer, Misfit } from './lexer.ts'
import type { Source } from './source.ts'
import { closingBlock, type ParsedTag, parseTag, type Tag } from './tags.ts'
import { SCRIPT_WORDS } from './vocabulary.ts'
import { eachCall, eachTagExpr } from './walk.ts'

export interface ParseOptions {
  /** Lenient: what does not parse is text, and nothing is ever refused. */
  readonly mode: 'strict' | 'lenient'
  /** Whether the source is markup, so that style sheets and scripts are recognised. */
  readonly html: boolean
  /** `both`: one and two braces mean the same. `single`/`double`: the two passes of a static campaign. */
  readonly braces: 'both' | 'single' | 'double'
  readonly nesting: number
  /** Whether a call of this name could mean anything; asked in scripts and in lenient mode. */
  readonly callable: (name: string) => boolean
}

type Edge = { type: 'edge' } & LinkEdge

type Body = (Node | Edge)[]

interface Frame {
  kind: 'root' | 'if' | 'foreach' | 'switch' | 'select' | 'case'
  /** The opening tag. */
  at: number
  end: number
  tag: Tag | null
  braces: Braces
  body: Body
  /** Finished branches of an `if`, with the extent of the tag that opened each. */
  branches: { branch: Branch; at: number; end: number }[]
  test: { tag: Tag; at: number; end: number; braces: Braces } | null
  /** State of the page where the block began: every branch starts from it. */
  html: HtmlTracker
}

/** Reads a template. Throws `CompileError` in strict mode only. */
export function parse(source: Source, options: ParseOptions): Ast {
  return new Parser(source, options).run()
}

class Parser {
  private readonly source: Source
  private readonly text: string
  private readonly options: ParseOptions
  private readonly lexer: Lexer
  private readonly html = new HtmlTracker()
  private readonly notes: ParseNote[] = []
  private readonly stack: Frame[] = []
  private readonly openComments = { 1: false, 2: false }
  private top: Frame

  constructor(source: Source, options: ParseOptions) {
    this.source = source
    this.text = source.text
    this.options = options
    this.lexer = new Lexer(source.text, { tokens: 0, most: source.text.length * 20 + 10_000 }, options.nesting)
    this.top = this.frame('root', 0, 0, null, 1)
  }

  private frame(kind: Frame['kind'], at: number, end: number, tag: Tag | null, braces: Braces): Frame {
    const test = kind === 'if' ? { tag: tag!, at, end, braces } : null
    return { kind, at, end, tag, braces, body: [], branches: [], test, html: this.html.save() }
  }

  run(): Ast {
    const { text } = this
    let from = 0
    let scan = 0
    for (;;) {
      const open = text.indexOf('{', scan)
      if (open === -1) break
      if (!this.mayOpen(open)) {
        scan = open + 1
        continue
      }
      this.literal(from, open)
      from = open
      scan = open + 1
      try {
        from = scan = this.tag(open)
      } catch (misfit) {
        if (!(misfit instanceof Misfit)) throw misfit
        if (!this.tolerated(misfit)) {
          // A tag that runs to the end of the template was left open where it began.
          const at = misfit.at >= text.length ? open : misfit.at
          throw new CompileError(this.source, at, misfit.reason, { expected: misfit.expected })
        }
        if (misfit.fatal) break
      }
    }
    this.literal(from, text.length)
    this.finish()
    let nodes = fold(this.top.body, this.text)
    if (this.options.mode === 'lenient') nodes = withoutOrphans(nodes, text, false)
    return { nodes, notes: this.notes }
  }

  private tolerated(misfit: Misfit): boolean {
    if (this.options.mode === 'lenient') {
      this.notes.push({ at: misfit.at, message: `taken as text: ${misfit.reason}` })
      return true
    }
    if (misfit.fatal || !this.options.html || !this.html.lenient) return false
    if (this.html.inComment) this.notes.push({ at: misfit.at, message: `taken as text in a comment: ${misfit.reason}` })
    return true
  }

  private mayOpen(open: number): boolean {
    if (this.options.braces === 'double') return this.text[open + 1] === '{' && startsTag(this.text, open + 2)
    return startsTag(this.text, open + 1)
  }

  /** Handles the tag at `open`; returns the offset behind it. */
  private tag(open: number): number {
    const { text } = this
    if (text[open + 1] === '*') return this.comment(open, 1)
    if (text[open + 1] !== '{') return this.accept(open, parseTag(this.lexer, open + 1, 1), 1)
    if (text[open + 2] === '*') return this.comment(open, 2)
    if (!startsTag(text, open + 2)) return this.objectOrText(open)
    let doubled: ParsedTag
    try {
      doubled = parseTag(this.lexer, open + 2, 2)
    } catch (first) {
      if (!(first instanceof Misfit) || first.fatal || this.options.braces === 'double') throw first
      // Not a doubled tag: a single one that begins with an object literal. Report whichever got further.
      let single: ParsedTag
      try {
        single = parseTag(this.lexer, open + 1, 1)
      } catch (second) {
        throw second instanceof Misfit && second.at > first.at ? second : first
      }
      return this.accept(open, single, 1)
    }
    if (this.options.braces === 'single') {
      // Creation of a static campaign: doubled tags are for the sending and stay as they stand.
      this.html.value()
      this.append(open, doubled.end)
      return doubled.end
    }
    return this.accept(open, doubled, 2)
  }

  /** `{{ ` is text like `{ `, unless it begins an object literal. */
  private objectOrText(open: number): number {
    let single: ParsedTag
    try {
      single = parseTag(this.lexer, open + 1, 1)
    } catch (misfit) {
      if (!(misfit instanceof Misfit) || misfit.fatal) throw misfit
      this.literal(open, open + 2)
      return open + 2
    }
    return this.accept(open, single, 1)
  }

  private comment(open: number, braces: Braces): number {
    const start = open + 1 + braces
    // Once one is found open all later ones are: looking again each time would be quadratic.
    const close = this.openComments[braces] ? -1 : this.text.indexOf(braces === 1 ? '*}' : '*}}', start)
    if (close === -1) {
      this.openComments[braces] = true
      throw new Misfit(open, 'the comment is not closed', "'*}'")
    }
    const end = close + 1 + braces
    if (braces === 2 && this.options.braces === 'single') this.append(open, end)
    else this.push({ type: 'comment', text: this.text.slice(start, close), braces, at: open })
    return end
  }

  private accept(open: number, parsed: ParsedTag, braces: Braces): number {
    const { tag, end } = parsed
    if (this.options.mode === 'lenient' || this.html.inScript) this.refuseForeign(open, tag)
    switch (tag.kind) {
      case 'print': {
        const edge = this.html.bareEdge(open)
        if (edge) this.top.body.push({ type: 'edge', ...edge })
        this.push({ type: 'print', expr: tag.expr, braces, place: this.html.value(), at: open })
        break
      }
      case 'include':
        this.push({ type: 'include', name: tag.name, braces, at: open })
        break
      case 'break':
      case 'continue':
        if (!this.inLoop()) throw new Misfit(open, `'${tag.kind}' outside of a foreach`)
        this.push({ type: tag.kind, braces, at: open })
        break
      case 'else':
      case 'elseif':
        this.nextBranch(open, end, tag, braces)
        break
      case 'close':
        this.close(open, tag.block, braces)
        break
      default:
        this.openBlock(tag.kind, open, end, tag, braces)
    }
    return end
  }

  /** In scripts and imported templates, what cannot be meant as Zephyr is text. */
  private refuseForeign(open: number, tag: Tag): void {
    if (this.html.inScript) {
      const word = tag.kind === 'print' && tag.expr.type === 'name' ? tag.expr.name : tag.kind
      if (SCRIPT_WORDS.has(word) && !(this.inLoop() && (word === 'break' || word === 'continue'))) {
        throw new Misfit(open, `'${word}' belongs to the script`)
      }
    }
    eachTagExpr(tag, (expr) =>
      eachCall(expr, (call) => {
        if (!this.options.callable(call.name)) throw new Misfit(call.at, `unknown function '${call.name}'`)
      }),
    )
  }

  private inLoop(): boolean {
    return this.top.kind === 'foreach' || this.stack.some((frame) => frame.kind === 'foreach')
  }

  private openBlock(
    kind: 'if' | 'foreach' | 'switch' | 'select' | 'case',
    at: number,
    end: number,
    tag: Tag,
    braces: Braces,
  ): void {
    const inside = this.top.kind === 'switch' || this.top.kind === 'select'
    if (kind === 'case' && !inside) throw new Misfit(at, "'case' outside of a switch or select")
    if (kind !== 'case' && inside) throw new Misfit(at, `only cases may stand inside a ${this.top.kind}`, "'{case'")
    if (this.stack.length >= this.options.nesting) {
      throw new Misfit(at, `blocks are nested more than ${this.options.nesting} deep`)
    }
    this.stack.push(this.top)
    this.top = this.frame(kind, at, end, tag, braces)
  }

  private nextBranch(at: number, end: number, tag: Tag, braces: Braces): void {
    const { top } = this
    if (top.kind !== 'if')
      throw new Misfit(at, `'else' outside of an if${top.kind === 'root' ? '' : ` ('${top.kind}' is still open)`}`)
    if (top.test!.tag.kind === 'else') throw new Misfit(at, "nothing may follow the last 'else'", "'{/if}'")
    this.endBranch(top)
    top.test = { tag, at, end, braces }
    this.html.restore(top.html)
  }

  private endBranch(frame: Frame): void {
    const { tag, at, end, braces } = frame.test!
    const test = tag.kind === 'if' || tag.kind === 'elseif' ? tag.expr : null
    frame.branches.push({ branch: { test, body: fold(frame.body, this.text), braces }, at, end })
    frame.body = []
  }

  private close(at: number, block: string, braces: Braces): void {
    const { top } = this
    if (top.kind === 'root') throw new Misfit(at, `{/${block}} closes nothing`)
    if (top.kind !== block)
      throw new Misfit(at, `{/${block}} does not close the open '${top.kind}'`, `'{/${top.kind}}'`)
    const node = this.build(top, braces)
    this.top = this.stack.pop()!
    if (node.type === 'case') {
      this.top.body.push(node as unknown as Node)
      this.html.restore(this.top.html)
    } else this.top.body.push(node)
  }

  private build(frame: Frame, closing: Braces): Node | Case {
    const { at } = frame
    const tag = frame.tag!
    const braces: Braces[] = [frame.braces, closing]
    if (tag.kind === 'if') {
      this.endBranch(frame)
      return { type: 'if', branches: frame.branches.map((b) => b.branch), braces: closing, at }
    }
    const body = fold(frame.body, this.text)
    if (tag.kind === 'foreach')
      return { type: 'foreach', over: tag.over, key: tag.key, value: tag.value, body, braces, at }
    if (tag.kind === 'case') return { type: 'case', test: tag.expr, body, braces, at }
    const items = body as unknown as SwitchNode['items']
    if (tag.kind === 'switch') return { type: 'switch', subject: tag.expr, items, braces, at }
    return { type: 'select', subject: null, items, braces, at }
  }

  private push(node: Node): void {
    const { kind } = this.top
    if ((kind === 'switch' || kind === 'select') && node.type !== 'comment') {
      throw new Misfit(node.at, `only cases may stand inside a ${kind}`, "'{case'")
    }
    this.top.body.push(node)
  }

  /** Literal text, read by the page tracker. */
  private literal(from: number, to: number): void {
    if (from >= to) return
    let start = from
    if (this.options.html) {
      for (const edge of this.html.text(this.text, from, to)) {
        this.append(start, edge.at)
        this.top.body.push({ type: 'edge', ...edge })
        start = edge.at
      }
    }
    this.append(start, to)
  }

  private append(from: number, to: number): void {
    if (from >= to) return
    const last = this.top.body.at(-1)
    if (last?.type === 'text' && last.at + last.text.length === from) last.text = this.text.slice(last.at, to)
    else this.top.body.push({ type: 'text', text: this.text.slice(from, to), at: from })
  }

  /** End of the source: everything must be closed, or in lenient mode turns back into text. */
  private finish(): void {
    while (this.stack.length > 0) {
      const frame = this.top
      if (this.options.mode === 'strict') {
        throw new CompileError(this.source, frame.at, `{${frame.kind}} is not closed`, {
          expected: `'{/${frame.kind}}'`,
        })
      }
      this.notes.push({ at: frame.at, message: `taken as text: {${frame.kind}} is not closed` })
      const body: Body = []
      if (frame.kind === 'if') {
        const last = frame.test!
        for (const { branch, at, end } of frame.branches) body.push(this.textNode(at, end), ...branch.body)
        body.push(this.textNode(last.at, last.end), ...frame.body)
      } else body.push(this.textNode(frame.at, frame.end), ...frame.body)
      this.top = this.stack.pop()!
      // An abandoned switch leaves its cases behind; they become text as well.
      for (const node of body) {
        if ((node as unknown as Case).type === 'case') this.unfoldCase(node as unknown as Case)
        else this.top.body.push(node)
      }
    }
  }

  private unfoldCase(item: Case): void {
    const from = item.at
    const end = parseTag(this.lexer, from + item.braces[0]!, item.braces[0]!).end
    this.top.body.push(this.textNode(from, end), ...item.body)
    const closing = item.braces[1] === 2 ? '{{/case}}' : '{/case}'
    this.top.body.push({ type: 'text', text: closing, at: end })
  }

  private textNode(at: number, end: number): Node {
    return { type: 'text', text: this.text.slice(at, end), at }
  }
}

/** Puts what lies between two link edges of one block into a link node; other edges vanish. */
function fold(body: Body, text: string): Node[] {
  const nodes: Node[] = []
  for (let i = 0; i < body.length; i++) {
    const node = body[i]!
    if (node.type !== 'edge') {
      nodes.push(node)
      continue
    }
    if (node.edge === 'end') continue
    let end = i + 1
    while (end < body.length && body[end]!.type !== 'edge') end++
    const closing = body[end] as Edge | undefined
    if (closing?.edge !== 'end') continue
    const inside = body.slice(i + 1, end) as Node[]
    const { at, attributes } = node
    nodes.push({ type: 'link', source: text.slice(at, closing.at), attributes, body: inside, at })
    i = end
  }
  return joinTexts(nodes)
}

/** Neighbouring texts become one, so that equal templates have equal trees. */
function joinTexts(nodes: Node[]): Node[] {
  const joined: Node[] = []
  for (const node of nodes) {
    const last = joined.at(-1)
    if (node.type === 'text' && last?.type === 'text') {
      joined[joined.length - 1] = { type: 'text', text: last.text + node.text, at: last.at }
    } else joined.push(node)
  }
  return joined
}

/** In lenient mode a loop may have turned into text around its `break`, which then is text too. */
function withoutOrphans(nodes: Node[], text: string, inLoop: boolean): Node[] {
  const kept = nodes.map((node): Node => {
    switch (node.type) {
      case 'break':
      case 'continue': {
        if (inLoop) return node
        const end = text.indexOf('}', node.at) + node.braces
        return { type: 'text', text: text.slice(node.at, end), at: node.at }
      }
      case 'if':
        for (const branch of node.branches) branch.body = withoutOrphans(branch.body, text, inLoop)
        return node
      case 'foreach':
        node.body = withoutOrphans(node.body, text, true)
        return node
      case 'switch':
      case 'select':
        for (const item of node.items) if (item.type === 'case') item.body = withoutOrphans(item.body, text, inLoop)
        return node
      case 'link':
        node.body = withoutOrphans(node.body, text, inLoop)
        return node
      default:
        return node
    }
  })
  return joinTexts(kept)
}

/** Whether the character behind an opening brace can begin a tag. */
function startsTag(text: string, offset: number): boolean {
  const c = text.charCodeAt(offset)
  if (isNameStart(c) || isDigit(c)) return true
  switch (text[offset]) {
    case "'":
    case '"':
    case '(':
    case '[':
    case '{':
    case '!':
    case '-':
    case '*':
      return true
    case '/':
      return closingBlock(text, offset) !== null
    default:
      return false
  }
}
