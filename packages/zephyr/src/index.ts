/**
 * The Zephyr template language: compile once, render many. Start with `compile` for one template, with
 * `compileMessage` for the fields of a mail, and with `dataOf` for the variables they see.
 * The language itself is described in `docs/zephyr.md`.
 */

export type { Ast, Expr, Node } from './ast.ts'
export type { Context } from './compile/builder.ts'
export { type Data, dataOf, type Layer, labelled, type Profile, type Sources, type Values } from './data.ts'
export { isTimeZone } from './dates/zone.ts'
export { CompileError, RenderError, type RenderErrorKind, Stop } from './errors.ts'
export { escapeHtml } from './escape.ts'
export { plainText } from './functions/markup.ts'
export { shareAddress } from './functions/platform.ts'
export type { Env, Host, LinkSource, SendRequest, SignupRequest } from './host.ts'
export { type CompileLimits, type Limits, MAIL_LIMITS, PAGE_LIMITS } from './limits.ts'
export { collisions, type LintOptions, lint, lintMessage } from './lint.ts'
export {
  addLinkParams,
  compileMessage,
  type Message,
  type MessageOptions,
  type MessageSource,
  oneLine,
  type RenderedMessage,
} from './message.ts'
export { print } from './print.ts'
export type { Reads } from './reads.ts'
export { type CompileOptions, compile, type Template, type Warning } from './template.ts'
export { PROTECTED as PROTECTED_VARIABLES } from './vocabulary.ts'
