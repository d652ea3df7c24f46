import { endOfPiece, PIECE } from '../pieces.ts'

/** Told how much was read, in UTF-16 units; throws when it was enough. */
type Worked = (amount: number) => void

const NAMED: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  copy: '©',
  reg: '®',
  trade: '™',
  hellip: '…',
  mdash: '—',
  ndash: '–',
  lsquo: '‘',
  rsquo: '’',
  ldquo: '“',
  rdquo: '”',
  laquo: '«',
  raquo: '»',
  bull: '•',
  middot: '·',
  euro: '€',
  pound: '£',
  yen: '¥',
  cent: '¢',
  times: '×',
  deg: '°',
  shy: '',
  zwnj: '',
  zwj: '',
}

/** Character references as the characters they stand for; unknown ones stay. */
export function decodeEntities(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(/&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([A-Za-z]{2,8}));/g, (whole, dec, hex, name) => {
    if (name !== undefined) return Object.hasOwn(NAMED, name) ? NAMED[name]! : whole
    const code = dec === undefined ? Number.parseInt(hex, 16) : Number(dec)
    if (code === 0xa0) return ' '
    return code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? String.fromCodePoint(code) : whole
  })
}

/** What a piece of markup is handed to: runs of text, and tags with their attributes unread. */
interface Reader {
  text(text: string): void
  tag(name: string, closing: boolean, inside: string): void
}

/** Cuts markup into text and tags; comments and declarations vanish. Linear, whatever it is given. */
function scan(html: string, reader: Reader, worked: Worked): void {
  const tags = new Finder(html, '<')
  const comments = new Finder(html, '-->')
  const ends = new TagEnds(html)
  let i = 0
  while (i < html.length) {
    const open = tags.next(i)
    for (let from = i; from < open; ) {
      const to = open - from <= PIECE ? open : endOfPiece(html, from)
      worked(64 + (to - from) * 8)
      reader.text(html.slice(from, to))
      from = to
    }
    if (open >= html.length) return
    const closing = html.charCodeAt(open + 1) === 47
    const start = closing ? open + 2 : open + 1
    const first = html.charCodeAt(start)
    if (isLetter(first)) {
      let name = start + 1
      while (isNamePart(html.charCodeAt(name))) name++
      const end = ends.next(name)
      worked(64 + (end - start) * 8)
      reader.tag(html.slice(start, name).toLowerCase(), closing, html.slice(name, end))
      i = end + 1
    } else if (html.startsWith('<!--', open)) i = comments.next(open + 4) + 3
    else if (first === 33 || first === 63) i = ends.next(start) + 1
    else {
      reader.text('<')
      i = open + 1
    }
  }
}

function isLetter(c: number): boolean {
  return (c >= 97 && c <= 122) || (c >= 65 && c <= 90)
}

function isNamePart(c: number): boolean {
  return isLetter(c) || (c >= 48 && c <= 58) || c === 45
}

/** Remembers where the next occurrence is, so that looking ahead again and again stays linear. */
class Finder {
  private readonly text: string
  private readonly needle: string
  private known = -1

  constructor(text: string, needle: string) {
    this.text = text
    this.needle = needle
  }

  /** First occurrence at or after `from`, the length of the text if there is none. */
  next(from: number): number {
    if (this.known < from) {
      const found = this.text.indexOf(this.needle, from)
      this.known = found === -1 ? this.text.length : found
    }
    return this.known
  }
}

/** Finds the `>` that ends a tag, not one inside a quoted attribute value. */
class TagEnds {
  private readonly html: string
  private readonly closes: Finder
  private readonly values: readonly [Finder, Finder]
  private readonly quotes: readonly [Finder, Finder]

  constructor(html: string) {
    this.html = html
    this.closes = new Finder(html, '>')
    this.values = [new Finder(html, '="'), new Finder(html, "='")]
    this.quotes = [new Finder(html, '"'), new Finder(html, "'")]
  }

  next(from: number): number {
    let i = from
    for (;;) {
      const close = this.closes.next(i)
      const double = this.values[0].next(i)
      const single = this.values[1].next(i)
      const quote = Math.min(double, single)
      if (quote >= close) return close
      const end = (double < single ? this.quotes[0] : this.quotes[1]).next(quote + 2)
      if (end >= this.html.length) return close
      i = end + 1
    }
  }
}

/** Removes tags and comments, leaves character references. */
export function stripTags(html: string, worked: Worked): string {
  let out = ''
  const reader: Reader = {
    text(text) {
      out += text
    },
    tag() {},
  }
  scan(html, reader, worked)
  return out
}

const HIDDEN: ReadonlySet<string> = new Set(['head', 'style', 'script', 'title', 'template', 'noscript', 'select'])
/** Elements that begin and end on a line of their own, and how many line ends separate them. */
const LINES: ReadonlyMap<string, number> = new Map([
  ['p', 2],
  ['h1', 2],
  ['h2', 2],
  ['h3', 2],
  ['h4', 2],
  ['h5', 2],
  ['h6', 2],
  ['ul', 2],
  ['ol', 2],
  ['table', 2],
  ['blockquote', 2],
  ['pre', 2],
  ['div', 1],
  ['tr', 1],
  ['li', 1],
  ['section', 1],
  ['article', 1],
  ['header', 1],
  ['footer', 1],
  ['center', 1],
  ['form', 1],
  ['body', 1],
  ['dl', 1],
  ['dt', 1],
  ['dd', 1],
])

/** Readable plain text of a page: links as `label <url>`, list items with a dash, blocks on lines of their own. */
export function plainText(html: string, worked: Worked = () => {}): string {
  const writer = new TextWriter()
  scan(html, writer, worked)
  return writer.lines.toString()
}

class TextWriter implements Reader {
  readonly lines = new Lines()
  /** The element whose content is left out, and how often it is open. */
  private hidden = ''
  private depth = 0
  private href = ''

  text(text: string): void {
    if (this.hidden === '') this.lines.text(decodeEntities(text))
  }

  tag(name: string, closing: boolean, inside: string): void {
    if (this.hidden !== '') {
      if (name === this.hidden) this.depth += closing ? -1 : 1
      // A head that is never closed ends where the body begins.
      if (this.depth === 0 || (name === 'body' && this.hidden === 'head')) this.hidden = ''
    } else if (name === 'a') this.link(closing, inside)
    else if (name === 'br') this.lines.line(1, true)
    else if (name === 'hr') this.lines.line(1)
    else if (name === 'img') this.lines.text(decodeEntities(attribute(inside, 'alt')))
    else if (name === 'td' || name === 'th') this.lines.text(' ')
    else if (LINES.has(name)) {
      this.lines.line(LINES.get(name)!)
      if (name === 'li' && !closing) this.lines.text('- ')
    } else if (!closing && HIDDEN.has(name)) {
      this.hidden = name
      this.depth = 1
    }
  }

  private link(closing: boolean, inside: string): void {
    if (!closing) {
      this.href = decodeEntities(attribute(inside, 'href')).trim()
      this.lines.mark()
      return
    }
    const url = this.href
    this.href = ''
    if (url === '' || url.startsWith('#')) return
    const label = this.lines.marked()
    if (label === '') this.lines.text(url)
    else if (label !== url && `mailto:${label}` !== url) this.lines.text(` <${url}>`)
  }
}

/** Value of one attribute, '' if it has none. */
function attribute(inside: string, name: string): string {
  // The usual spelling first.
  const usual = inside.indexOf(` ${name}="`)
  if (usual !== -1) {
    const start = usual + name.length + 3
    const end = inside.indexOf('"', start)
    if (end !== -1 && inside.indexOf("'") === -1) return inside.slice(start, end)
  }
  const pattern = /(?<![A-Za-z0-9_:.-])([A-Za-z_:][A-Za-z0-9_:.-]*)\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/g
  for (const [, key, double, single, bare] of inside.slice(0, 10_000).matchAll(pattern)) {
    if (key!.toLowerCase() === name) return double ?? single ?? bare ?? ''
  }
  return ''
}

const UNEVEN = /[\t\r\n\f]| {2}/
const SPACES = /[ \t\r\n\f]+/g

function isSpace(c: number): boolean {
  return c === 32 || c === 9 || c === 10 || c === 12 || c === 13
}

/** Collects words into lines: white space collapses, line breaks asked for twice count once. */
class Lines {
  private out = ''
  private breaks = 0
  private space = false
  private label = ''

  text(text: string): void {
    let from = 0
    let to = text.length
    while (from < to && isSpace(text.charCodeAt(from))) from++
    if (from > 0) this.space = true
    if (from === to) return
    while (isSpace(text.charCodeAt(to - 1))) to--
    if (this.out !== '') {
      if (this.breaks > 0) this.out += this.breaks === 1 ? '\n' : '\n\n'
      else if (this.space) this.out += ' '
    }
    this.breaks = 0
    this.space = to < text.length
    const piece = text.slice(from, to)
    const words = UNEVEN.test(piece) ? piece.replace(SPACES, ' ') : piece
    this.out += words
    this.label += this.label === '' ? words : ` ${words}`
  }

  line(count: number, more = false): void {
    this.breaks = more ? Math.min(2, this.breaks + count) : Math.max(this.breaks, count)
    this.space = false
  }

  /** Begins to note what is written, for the label of a link. */
  mark(): void {
    this.label = ''
  }

  marked(): string {
    return this.label.trim()
  }

  toString(): string {
    return this.out
  }
}
