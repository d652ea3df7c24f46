/** Every node carries `at`: the offset of its first character, for messages only. */
export type Expr =
  | { type: 'value'; value: null | boolean | number | string; at: number }
  | { type: 'name'; name: string; at: number }
  | { type: 'member'; object: Expr; name: string; at: number }
  | { type: 'index'; object: Expr; key: Expr; at: number }
  | CallExpr
  | { type: 'apply'; callee: Expr; args: Expr[]; at: number }
  | { type: 'list'; items: Expr[]; at: number }
  | { type: 'object'; entries: { key: string; value: Expr }[]; at: number }
  | { type: 'comprehension'; item: Expr; name: string; over: Expr; test: Expr | null; at: number }
  | { type: 'unary'; op: '!' | '-'; operand: Expr; at: number }
  | BinaryExpr
  | { type: 'logic'; op: '&&' | '||'; operands: Expr[]; at: number }
  | { type: 'choice'; test: Expr; then: Expr; else: Expr; at: number }
  | { type: 'fallback'; value: Expr; otherwise: Expr; at: number }
  | { type: 'lambda'; params: string[]; body: Expr; at: number }
  | AssignExpr

/** A name followed by an argument list: a function, or a variable that holds a lambda. */
export type CallExpr = { type: 'call'; name: string; args: Expr[]; at: number }

export type BinaryOp = '+' | '-' | '*' | '/' | '%' | '==' | '!=' | '<' | '<=' | '>' | '>='

/**
 * Operators of one precedence level, left to right, kept in one flat node: a chain of thousands of `+`
 * must not become a tree thousands deep.
 */
export type BinaryExpr = { type: 'binary'; first: Expr; rest: { op: BinaryOp; right: Expr }[]; at: number }

export type Target = Extract<Expr, { type: 'name' | 'member' | 'index' }>

export type AssignExpr = { type: 'assign'; target: Target; value: Expr; at: number }

/** How often the tag's braces were written; only static campaigns make a difference. */
export type Braces = 1 | 2

export type Node =
  | { type: 'text'; text: string; at: number }
  | { type: 'comment'; text: string; braces: Braces; at: number }
  | { type: 'print'; expr: Expr; braces: Braces; place: Place; at: number }
  | IfNode
  | { type: 'foreach'; over: Expr; key: string | null; value: string; body: Node[]; braces: Braces[]; at: number }
  | SwitchNode
  | { type: 'break' | 'continue'; braces: Braces; at: number }
  | { type: 'include'; name: string; braces: Braces; at: number }
  | LinkNode

export type Branch = { test: Expr | null; body: Node[]; braces: Braces }

/** `braces` of a block is that of its closing tag; branches and cases carry their own. */
export type IfNode = { type: 'if'; branches: Branch[]; braces: Braces; at: number }

export type Case = { type: 'case'; test: Expr; body: Node[]; braces: Braces[]; at: number }

/** Text between the cases is kept for printing the source back; it is never rendered. */
export type SwitchNode = {
  type: 'switch' | 'select'
  subject: Expr | null
  items: (Case | Extract<Node, { type: 'text' | 'comment' }>)[]
  braces: Braces[]
  at: number
}

/** The value of one `href`, without its quotes. */
export type LinkNode = {
  type: 'link'
  source: string
  /** Of the element: literal texts by lower-case name. */
  attributes: ReadonlyMap<string, string>
  body: Node[]
  at: number
}

/**
 * Where in the page a value is printed; decides how visitors' text is escaped on hosted pages.
 * `quoted` for scripts: inside a string literal of the script.
 */
export type Place =
  | 'text'
  | 'attribute'
  | 'bare-attribute'
  | 'tag'
  | 'url'
  | 'url-rest'
  | 'bare-url'
  | 'bare-url-rest'
  | 'srcdoc'
  | 'style'
  | 'script'
  | 'script-string'
  | 'handler'
  | 'handler-string'

/** A warning of the parser: something was taken as text that looks like a tag. */
export interface ParseNote {
  readonly at: number
  readonly message: string
}

export interface Ast {
  readonly nodes: Node[]
  readonly notes: ParseNote[]
}
