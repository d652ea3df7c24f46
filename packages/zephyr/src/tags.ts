import type { Expr } from './ast.ts'
import { expression, identifier } from './expressions.ts'
import { type Lexer, Misfit } from './lexer.ts'

/** What stands between the braces of one tag. */
export type Tag =
  | { kind: 'print'; expr: Expr }
  | { kind: 'if'; expr: Expr }
  | { kind: 'elseif'; expr: Expr }
  | { kind: 'switch'; expr: Expr }
  | { kind: 'case'; expr: Expr }
  | { kind: 'foreach'; over: Expr; key: string | null; value: string }
  | { kind: 'else' | 'select' | 'break' | 'continue' }
  | { kind: 'include'; name: string }
  | { kind: 'close'; block: string }

export interface ParsedTag {
  tag: Tag
  /** Offset behind the last brace. */
  end: number
}

/** Reads the tag whose inside begins at `offset` and that ends with `braces` closing braces. Throws `Misfit`. */
export function parseTag(lexer: Lexer, offset: number, braces: 1 | 2): ParsedTag {
  if (lexer.text.charCodeAt(offset) === 47) return closingTag(lexer, offset, braces)
  lexer.open(offset)
  const tag = lexer.kind === 'name' ? tagByWord(lexer) : { kind: 'print' as const, expr: expression(lexer) }
  return { tag, end: closed(lexer, braces) }
}

function closed(lexer: Lexer, braces: 1 | 2): number {
  if (!lexer.is('}')) throw lexer.unexpected("'}'")
  if (braces === 1) return lexer.end
  if (lexer.text[lexer.end] !== '}')
    throw new Misfit(lexer.start, "the tag begins with '{{' but does not end with '}}'", "'}}'")
  return lexer.end + 1
}

/** `{/if}` and its kind; tells whether a `/` after a brace begins one. */
export function closingBlock(text: string, offset: number): string | null {
  const found = /^\/(if|foreach|switch|select|case)(?![A-Za-z0-9_])/.exec(text.slice(offset, offset + 9))
  return found === null ? null : found[1]!
}

function closingTag(lexer: Lexer, offset: number, braces: 1 | 2): ParsedTag {
  const block = closingBlock(lexer.text, offset)
  if (block === null) throw new Misfit(offset, 'not a closing tag')
  lexer.open(offset + 1 + block.length)
  return { tag: { kind: 'close', block }, end: closed(lexer, braces) }
}

function tagByWord(lexer: Lexer): Tag {
  const word = lexer.value
  switch (word) {
    case 'if':
    case 'elseif':
    case 'switch':
    case 'case':
      lexer.next()
      return { kind: word, expr: condition(lexer, word) }
    case 'else':
      lexer.next()
      if (!lexer.isWord('if')) return { kind: 'else' }
      lexer.next()
      return { kind: 'elseif', expr: condition(lexer, 'else if') }
    case 'select':
      lexer.next()
      return { kind: 'select' }
    case 'foreach':
      lexer.next()
      return foreachTag(lexer)
    case 'break':
    case 'continue':
    case 'include':
      return wordOrVariable(lexer, word)
    default:
      return { kind: 'print', expr: expression(lexer) }
  }
}

function condition(lexer: Lexer, word: string): Expr {
  if (lexer.is('}')) throw new Misfit(lexer.start, `'${word}' needs an expression`, 'an expression')
  return expression(lexer)
}

function foreachTag(lexer: Lexer): Tag {
  const over = condition(lexer, 'foreach')
  if (!lexer.isWord('as')) throw lexer.unexpected("'as'")
  lexer.next()
  const first = identifier(lexer, 'a variable name')
  if (!lexer.is(',')) return { kind: 'foreach', over, key: null, value: first }
  lexer.next()
  return { kind: 'foreach', over, key: first, value: identifier(lexer, 'a variable name') }
}

/** `break`, `continue` and `include` are words only where they make a tag; elsewhere they name variables. */
function wordOrVariable(lexer: Lexer, word: 'break' | 'continue' | 'include'): Tag {
  const { start } = lexer
  lexer.next()
  if (word !== 'include') {
    if (lexer.is('}')) return { kind: word }
  } else if ((lexer.kind as string) === 'string') {
    const name = lexer.value
    lexer.next()
    if (!lexer.is('}')) throw new Misfit(lexer.start, 'the name of a snippet must be one literal text', "'}'")
    return { kind: 'include', name }
  }
  lexer.open(start)
  return { kind: 'print', expr: expression(lexer) }
}
