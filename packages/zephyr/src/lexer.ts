/**
 * Why a candidate tag is not a tag. Not an Error: in style sheets and scripts nearly every brace ends up
 * here, and a stack trace for each would cost more than the parsing.
 */
export class Misfit {
  readonly at: number
  readonly reason: string
  readonly expected: string | undefined
  /** True when no reading of the rest of the source could be right: give up, do not try the next brace. */
  readonly fatal: boolean

  constructor(at: number, reason: string, expected?: string, fatal = false) {
    this.at = at
    this.reason = reason
    this.expected = expected
    this.fatal = fatal
  }
}

export type TokenKind = 'name' | 'string' | 'number' | 'operator' | 'end'

/** Shared by all lexers of one source, so that a hostile source cannot make each brace re-read the rest. */
export interface Work {
  tokens: number
  readonly most: number
}

/** What rich-text editors turn these characters into, read back outside string literals. */
const ENTITIES: readonly (readonly [string, string])[] = [
  ['&quot;', '"'],
  ['&#34;', '"'],
  ['&#39;', "'"],
  ['&amp;', '&'],
  ['&lt;', '<'],
  ['&gt;', '>'],
  ['&nbsp;', ' '],
]

const PAIRS: ReadonlySet<string> = new Set(['==', '!=', '<=', '>=', '&&', '||', '?:'])
const SINGLES = '+-*/%<>!?:=.,()[]{}'

/** Reads the tokens inside one tag. State: where it stands and the token in hand. */
export class Lexer {
  readonly text: string
  readonly work: Work
  /** Deepest nesting of an expression. */
  readonly nesting: number
  kind: TokenKind = 'end'
  /** Name, operator or the value of a string literal. */
  value = ''
  number = 0
  /** Offsets of the token in hand. */
  start = 0
  end = 0
  /** Nesting of the expression being read. */
  depth = 0

  constructor(text: string, work: Work, nesting: number) {
    this.text = text
    this.work = work
    this.nesting = nesting
  }

  /** Stands at an offset and reads the first token there. */
  open(offset: number): void {
    this.end = offset
    this.depth = 0
    this.next()
  }

  is(operator: string): boolean {
    return this.kind === 'operator' && this.value === operator
  }

  isWord(word: string): boolean {
    return this.kind === 'name' && this.value === word
  }

  /** Steps over an operator, or fails saying what was expected. */
  expect(operator: string): void {
    if (!this.is(operator)) throw this.unexpected(`'${operator}'`)
    this.next()
  }

  unexpected(expected: string): Misfit {
    const found =
      this.kind === 'end'
        ? 'the end of the template'
        : `'${this.text.slice(this.start, Math.min(this.end, this.start + 40))}'`
    return new Misfit(this.start, `expected ${expected}, found ${found}`, expected)
  }

  next(): void {
    if (++this.work.tokens > this.work.most)
      throw new Misfit(this.end, 'the template is too entangled to read', undefined, true)
    const { text } = this
    let i = this.end
    for (;;) {
      const c = text.charCodeAt(i)
      if (c === 32 || (c >= 9 && c <= 13) || c === 0xa0) i++
      else if (c === 38 && text.startsWith('&nbsp;', i)) i += 6
      else break
    }
    this.start = i
    if (i >= text.length) {
      this.kind = 'end'
      this.value = ''
      this.end = i
      return
    }
    const c = text.charCodeAt(i)
    if (isNameStart(c)) {
      let j = i + 1
      while (isNamePart(text.charCodeAt(j))) j++
      this.kind = 'name'
      this.value = text.slice(i, j)
      this.end = j
      return
    }
    if (isDigit(c) || (c === 46 && isDigit(text.charCodeAt(i + 1)))) {
      this.readNumber(i)
      return
    }
    const [char, width] = this.charAt(i)
    if (char === '"' || char === "'") {
      this.readString(i, char, width)
      return
    }
    const [second, more] = this.charAt(i + width)
    this.kind = 'operator'
    if (PAIRS.has(char + second)) {
      this.value = char + second
      this.end = i + width + more
    } else if (SINGLES.includes(char)) {
      this.value = char
      this.end = i + width
    } else {
      this.value = char
      this.end = i + width
      throw new Misfit(i, `unexpected character '${char}'`)
    }
  }

  /** One character, an entity counting as the character it stands for, and its width in the source. */
  private charAt(i: number): [string, number] {
    const { text } = this
    if (i >= text.length) return ['', 0]
    if (text.charCodeAt(i) === 38) {
      for (const [entity, char] of ENTITIES) if (text.startsWith(entity, i)) return [char, entity.length]
    }
    return [text[i]!, 1]
  }

  private readNumber(i: number): void {
    const { text } = this
    let j = i
    while (isDigit(text.charCodeAt(j))) j++
    if (text.charCodeAt(j) === 46 && isDigit(text.charCodeAt(j + 1))) {
      j++
      while (isDigit(text.charCodeAt(j))) j++
    }
    this.kind = 'number'
    this.number = Number(text.slice(i, j))
    this.value = ''
    this.end = j
    if (!Number.isFinite(this.number)) throw new Misfit(i, 'the number is too large')
    if (isNameStart(text.charCodeAt(j))) throw new Misfit(j, 'a number cannot be followed by a letter')
  }

  /**
   * A literal opened by an entity (`&quot;`) was typed into an editor that writes every such quote as an
   * entity, so it is closed by one as well; the plain character is accepted too.
   */
  private readString(start: number, quote: string, width: number): void {
    const { text } = this
    const entities = width === 1 ? [] : quote === '"' ? ['&quot;', '&#34;'] : ['&#39;']
    let value = ''
    let from = start + width
    let i = from
    for (;;) {
      const c = text.charCodeAt(i)
      if (i >= text.length) throw new Misfit(start, 'the text is not closed', `a closing ${quote}`)
      if (c === quote.charCodeAt(0)) {
        this.end = i + 1
        break
      }
      if (c === 38 && entities.length > 0) {
        const closing = entities.find((e) => text.startsWith(e, i))
        if (closing !== undefined) {
          this.end = i + closing.length
          break
        }
      }
      if (c === 92) {
        value += text.slice(from, i)
        i++
        const escaped = text[i] ?? ''
        const quoted = entities.find((e) => text.startsWith(e, i))
        const unicode = escaped === 'u' ? /^[0-9a-fA-F]{4}/.exec(text.slice(i + 1, i + 5)) : null
        if (unicode !== null) {
          value += String.fromCharCode(Number.parseInt(unicode[0], 16))
          i += 5
        } else if (quoted !== undefined) {
          value += quote
          i += quoted.length
        } else {
          value += escaped === 'n' ? '\n' : escaped === 't' ? '\t' : escaped === 'r' ? '\r' : escaped
          i++
        }
        from = i
        continue
      }
      i++
    }
    this.kind = 'string'
    this.value = value + text.slice(from, i)
  }
}

export function isDigit(c: number): boolean {
  return c >= 48 && c <= 57
}

export function isNameStart(c: number): boolean {
  return (c >= 97 && c <= 122) || (c >= 65 && c <= 90) || c === 95
}

export function isNamePart(c: number): boolean {
  return isNameStart(c) || isDigit(c)
}
