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

/** One piece of markup: a run of text, or a tag with its attributes unread. */
type Piece = { text: string } | { tag: string; closing: boolean; inside: string }

/** Cuts markup into text and tags; comments and declarations vanish. Linear, whatever it is given. */
function* scan(html: string): Generator<Piece> {
  let i = 0
  const next = finder(html)
  while (i < html.length) {
    const open = next('<', i)
    if (open > i) yield { text: html.slice(i, open) }
    if (open >= html.length) return
    if (html.startsWith('<!--', open)) {
      i = next('-->', open + 4) + 3
      continue
    }
    const head = /^<(\/?)([A-Za-z][A-Za-z0-9:-]{0,30})|^<[!?]/.exec(html.slice(open, open + 34))
    if (head === null) {
      yield { text: '<' }
      i = open + 1
      continue
    }
    const end = tagEnd(html, open + head[0].length, next)
    if (head[2] !== undefined) {
      yield { tag: head[2].toLowerCase(), closing: head[1] === '/', inside: html.slice(open + head[0].length, end) }
    }
    i = end + 1
  }
}

/** Remembers where things are, so that looking ahead again and again stays linear. */
function finder(text: string): (needle: string, from: number) => number {
  const known = new Map<string, number>()
  return (needle, from) => {
    const at = known.get(needle)
    if (at !== undefined && at >= from) return at
    const found = text.indexOf(needle, from)
    const result = found === -1 ? text.length : found
    known.set(needle, result)
    return result
  }
}

/** The `>` that ends a tag, not one inside a quoted attribute value. */
function tagEnd(html: string, from: number, next: (needle: string, from: number) => number): number {
  let i = from
  for (;;) {
    const close = next('>', i)
    const quote = Math.min(next('="', i), next("='", i))
    if (quote >= close) return close
    const end = next(html[quote + 1]!, quote + 2)
    if (end >= html.length) return close
    i = end + 1
  }
}

/** Removes tags and comments, leaves character references. */
export function stripTags(html: string): string {
  let out = ''
  for (const piece of scan(html)) if ('text' in piece) out += piece.text
  return out
}

const HIDDEN: ReadonlySet<string> = new Set(['head', 'style', 'script', 'title', 'template', 'noscript', 'select'])
/** Elements that begin and end on a line of their own, and how many line ends separate them. */
const LINES: Readonly<Record<string, number>> = {
  p: 2,
  h1: 2,
  h2: 2,
  h3: 2,
  h4: 2,
  h5: 2,
  h6: 2,
  ul: 2,
  ol: 2,
  table: 2,
  blockquote: 2,
  pre: 2,
  div: 1,
  tr: 1,
  li: 1,
  section: 1,
  article: 1,
  header: 1,
  footer: 1,
  center: 1,
  form: 1,
  body: 1,
  dl: 1,
  dt: 1,
  dd: 1,
}

/** Readable plain text of a page: links as `label <url>`, list items with a dash, blocks on lines of their own. */
export function plainText(html: string): string {
  const out = new Lines()
  let hidden = ''
  let hiddenDepth = 0
  let href = ''
  for (const piece of scan(html)) {
    if (hidden !== '') {
      if ('tag' in piece && piece.tag === hidden) hiddenDepth += piece.closing ? -1 : 1
      if (hiddenDepth === 0) hidden = ''
      continue
    }
    if ('text' in piece) {
      out.text(decodeEntities(piece.text))
      continue
    }
    const { tag, closing } = piece
    if (!closing && HIDDEN.has(tag)) {
      hidden = tag
      hiddenDepth = 1
    } else if (tag === 'br') out.line(1, true)
    else if (tag === 'hr') out.line(1)
    else if (tag === 'img') out.text(decodeEntities(attribute(piece.inside, 'alt')))
    else if ((tag === 'td' || tag === 'th') && closing) out.text(' ')
    else if (tag === 'a' && !closing) {
      href = decodeEntities(attribute(piece.inside, 'href')).trim()
      out.mark()
    } else if (tag === 'a') {
      const url = href
      href = ''
      if (url === '' || url.startsWith('#')) continue
      const label = out.marked()
      if (label === '') out.text(url)
      else if (label !== url && `mailto:${label}` !== url) out.text(` <${url}>`)
    } else if (Object.hasOwn(LINES, tag)) {
      out.line(LINES[tag]!)
      if (tag === 'li' && !closing) out.text('- ')
    }
  }
  return out.toString()
}

/** Value of one attribute, '' if it has none. */
function attribute(inside: string, name: string): string {
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
