/** One piece of template text and what to call it in messages. */
export interface Source {
  readonly text: string
  /** `subject`, `content_html`, `setup` … as the caller named it. */
  readonly field: string
  /** Set when the text is an included snippet: the snippet's name. */
  readonly snippet?: string
}

/** A place in a source, for people: both numbers count from 1. */
export interface Position {
  readonly line: number
  readonly column: number
  /** The line of source, shortened around the spot, and a caret beneath it. */
  readonly excerpt: string
}

const EXCERPT = 96

/** Line, column and a caret line for an offset. */
export function locate(source: Source, offset: number): Position {
  const { text } = source
  const at = Math.max(0, Math.min(offset, text.length))
  let line = 1
  let start = 0
  for (let i = text.indexOf('\n'); i !== -1 && i < at; i = text.indexOf('\n', i + 1)) {
    line++
    start = i + 1
  }
  let end = text.indexOf('\n', start)
  if (end === -1) end = text.length
  const column = at - start + 1
  const from = Math.max(start, Math.min(at - EXCERPT / 2, end - EXCERPT))
  const shown = text.slice(from, Math.min(end, from + EXCERPT))
  // Tabs and other control characters would move the caret away from the spot.
  const excerpt = `${shown.replace(/[\u0000-\u001f]/g, ' ')}\n${' '.repeat(Math.max(0, at - from))}^`
  return { line, column, excerpt }
}

/** Line and column of offsets asked for in ascending order, without reading the source again for each. */
export class Cursor {
  private readonly text: string
  private line = 1
  private start = 0
  /** End of the line it stands in. */
  private end: number

  constructor(text: string) {
    this.text = text
    this.end = lineEnd(text, 0)
  }

  /** Moves to an offset at or after the last one. */
  at(offset: number): { line: number; column: number } {
    const { text } = this
    while (this.end < offset) {
      this.line++
      this.start = this.end + 1
      this.end = lineEnd(text, this.start)
    }
    return { line: this.line, column: offset - this.start + 1 }
  }
}

function lineEnd(text: string, from: number): number {
  const at = text.indexOf('\n', from)
  return at === -1 ? text.length : at
}
