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
