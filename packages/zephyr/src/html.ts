import type { Place } from './ast.ts'

/** Elements whose content is not markup. */
const RAW_TEXT: ReadonlySet<string> = new Set(['script', 'style', 'title', 'textarea', 'noframes', 'xmp'])

const URL_ATTRIBUTES: ReadonlySet<string> = new Set([
  'href',
  'src',
  'action',
  'formaction',
  'xlink:href',
  'data',
  'poster',
  'background',
  'cite',
  'ping',
  'manifest',
  'longdesc',
])

type State =
  | 'text'
  | 'tag-open'
  | 'tag-name'
  | 'end-tag'
  | 'attributes'
  | 'attribute-name'
  | 'before-value'
  | 'double'
  | 'single'
  | 'unquoted'
  | 'comment'
  | 'declaration'
  | 'raw'

/** A spot where the value of a link's `href` begins or ends. */
export interface LinkEdge {
  readonly at: number
  readonly edge: 'start' | 'end'
  /** Of the element, complete once its start tag is read. */
  readonly attributes: Attributes
}

/** Literal text of an element's attribute values, by lower-case name. */
export type Attributes = ReadonlyMap<string, string>

/**
 * Follows literal text through the states of an HTML tokenizer, as far as a template needs to know them:
 * which region a brace stands in, where `href` values lie, and where on the page a value is printed.
 * Branches are read one after the other; the parser puts the state back between them.
 */
export class HtmlTracker {
  private state: State = 'text'
  private element = ''
  private attribute = ''
  /** How much of an address is written: nothing, values only, or enough text to settle its scheme. */
  private url: 'start' | 'open' | 'settled' = 'start'
  /** Quote character open in a script, or ''. */
  private quote = ''
  private raw = ''
  private link = false
  /** Of the `<a>` or `<area>` that is being read. */
  private attributes = new Map<string, string>()
  /** Next occurrences already looked up; reading only moves forward, so each stays true until it is passed. */
  private readonly found = new Map<string, number>()

  /** First occurrence at or after `from`, `Infinity` if there is none. Keeps hostile sources linear. */
  private next(source: string, needle: string, from: number): number {
    const known = this.found.get(needle)
    if (known !== undefined && known >= from) return known
    const at = source.indexOf(needle, from)
    const result = at === -1 ? Number.POSITIVE_INFINITY : at
    this.found.set(needle, result)
    return result
  }

  save(): HtmlTracker {
    return Object.assign(new HtmlTracker(), this)
  }

  restore(saved: HtmlTracker): void {
    Object.assign(this, saved)
  }

  /** Braces here may be CSS, JavaScript or commented out. */
  get lenient(): boolean {
    return this.state === 'comment' || this.inScript || this.inStyle
  }

  get inScript(): boolean {
    return this.state === 'raw' && this.raw === 'script'
  }

  get inStyle(): boolean {
    return this.state === 'raw' && this.raw === 'style'
  }

  get inComment(): boolean {
    return this.state === 'comment'
  }

  private get isLink(): boolean {
    return this.attribute === 'href' && this.isAnchor
  }

  private get isAnchor(): boolean {
    return this.element === 'a' || this.element === 'area'
  }

  /** The edge before a value printed now, when it is the beginning of a link's address without quotes. */
  bareEdge(at: number): LinkEdge | null {
    return this.state === 'before-value' && this.isLink ? this.edge(at, 'start') : null
  }

  private edge(at: number, edge: LinkEdge['edge']): LinkEdge {
    return { at, edge, attributes: this.attributes }
  }

  /** The place a value printed now would land in; afterwards the value counts as part of what is open. */
  value(): Place {
    const place = this.place()
    if (this.state === 'before-value') {
      this.state = 'unquoted'
      this.url = 'open'
      this.link = this.isLink
    } else if (this.state === 'attributes') {
      this.state = 'attribute-name'
      this.attribute = '\u0000'
    } else if (this.state === 'attribute-name') this.attribute += '\u0000'
    else if (this.url === 'start') this.url = 'open'
    return place
  }

  private place(): Place {
    switch (this.state) {
      case 'raw':
        if (this.raw === 'script') return this.quote === '' ? 'script' : 'script-string'
        return this.raw === 'style' ? 'style' : 'text'
      case 'double':
      case 'single':
        return this.valuePlace('attribute')
      case 'before-value':
        this.url = 'start'
        this.quote = ''
        return this.valuePlace('bare-attribute')
      case 'unquoted':
        return this.valuePlace('bare-attribute')
      case 'tag-open':
      case 'tag-name':
      case 'end-tag':
      case 'attributes':
      case 'attribute-name':
        return 'tag'
      default:
        return 'text'
    }
  }

  private valuePlace(usual: Place): Place {
    if (this.attribute.startsWith('on')) return this.quote === '' ? 'handler' : 'handler-string'
    if (this.attribute === 'srcdoc') return 'srcdoc'
    // A name that is itself printed by a tag could be anything, a handler included.
    if (this.attribute.includes('\u0000')) return 'tag'
    if (this.url === 'settled' || !URL_ATTRIBUTES.has(this.attribute)) return usual
    if (usual === 'bare-attribute') return this.url === 'start' ? 'bare-url' : 'bare-url-rest'
    return this.url === 'start' ? 'url' : 'url-rest'
  }

  /** Reads literal text; reports the edges of link addresses in it. */
  text(source: string, from: number, to: number): LinkEdge[] {
    const edges: LinkEdge[] = []
    let i = from
    while (i < to) {
      switch (this.state) {
        case 'text': {
          const open = this.next(source, '<', i)
          if (open >= to) return edges
          i = open + 1
          this.state = 'tag-open'
          break
        }
        case 'tag-open': {
          const c = source[i]!
          if (c === '!') {
            if (source.startsWith('!--', i)) {
              this.state = 'comment'
              i += 3
            } else {
              this.state = 'declaration'
              i++
            }
          } else if (c === '/') {
            this.state = 'end-tag'
            i++
          } else if (c === '?') {
            this.state = 'declaration'
            i++
          } else if (isLetter(c)) {
            this.state = 'tag-name'
            this.element = ''
            this.attributes = new Map()
            this.link = false
          } else this.state = 'text'
          break
        }
        case 'comment': {
          const close = this.next(source, '-->', i)
          if (close >= to) return edges
          i = close + 3
          this.state = 'text'
          break
        }
        case 'declaration':
        case 'end-tag': {
          const close = this.next(source, '>', i)
          if (close >= to) return edges
          i = close + 1
          this.state = 'text'
          break
        }
        case 'raw':
          i = this.rawText(source, i, to)
          break
        default:
          i = this.insideTag(source, i, to, edges)
      }
    }
    return edges
  }

  private insideTag(source: string, i: number, to: number, edges: LinkEdge[]): number {
    const c = source[i]!
    switch (this.state) {
      case 'tag-name':
        if (isSpace(c) || c === '/') this.state = 'attributes'
        else if (c === '>') this.closeTag()
        else this.element += c.toLowerCase()
        return i + 1
      case 'attributes':
        if (c === '>') this.closeTag()
        else if (!isSpace(c) && c !== '/') {
          this.state = 'attribute-name'
          this.attribute = c.toLowerCase()
        }
        return i + 1
      case 'attribute-name':
        if (c === '=') this.state = 'before-value'
        else if (c === '>') this.closeTag()
        else if (c === '/') this.state = 'attributes'
        else if (isSpace(c)) {
          let j = i
          while (j < to && isSpace(source[j]!)) j++
          if (source[j] !== '=' || j >= to) this.state = 'attributes'
          else this.state = 'before-value'
          return source[j] === '=' && j < to ? j + 1 : j
        } else this.attribute += c.toLowerCase()
        return i + 1
      case 'before-value':
        if (isSpace(c)) return i + 1
        this.url = 'start'
        this.quote = ''
        if (c === '"' || c === "'") {
          this.state = c === '"' ? 'double' : 'single'
          this.link = this.isLink
          if (this.link) edges.push(this.edge(i + 1, 'start'))
          return i + 1
        }
        if (c === '>') {
          this.closeTag()
          return i + 1
        }
        this.state = 'unquoted'
        this.link = this.isLink
        if (this.link) edges.push(this.edge(i, 'start'))
        return i
      case 'double':
      case 'single': {
        const end = Math.min(to, this.next(source, this.state === 'double' ? '"' : "'", i))
        this.written(source, i, end)
        if (end === to) return to
        if (this.link) edges.push(this.edge(end, 'end'))
        this.link = false
        this.state = 'attributes'
        return end + 1
      }
      default: {
        const ends = isSpace(c) || c === '>'
        if (ends && this.link) edges.push(this.edge(i, 'end'))
        if (ends) this.link = false
        if (c === '>') this.closeTag()
        else if (ends) this.state = 'attributes'
        else this.written(source, i, i + 1)
        return i + 1
      }
    }
  }

  /** Literal text inside an attribute value. */
  private written(source: string, from: number, to: number): void {
    if (this.isAnchor) {
      const { attributes, attribute } = this
      attributes.set(attribute, (attributes.get(attribute) ?? '') + source.slice(from, to))
    }
    if (this.url !== 'settled') {
      const text = source.slice(from, to)
      if (/[:/?#]/.test(text)) this.url = 'settled'
      else if (text.trim() !== '') this.url = 'open'
    }
    if (this.attribute.startsWith('on'))
      this.script(
        source
          .slice(from, to)
          .replace(/&quot;|&#34;/g, '"')
          .replace(/&#39;/g, "'"),
      )
  }

  private closeTag(): void {
    if (RAW_TEXT.has(this.element)) {
      this.state = 'raw'
      this.raw = this.element
      this.quote = ''
    } else this.state = 'text'
  }

  private rawText(source: string, from: number, to: number): number {
    let i = from
    for (;;) {
      const close = this.next(source, '</', i)
      if (close >= to) {
        if (this.raw === 'script') this.script(source.slice(from, to))
        return to
      }
      const name = source.slice(close + 2, close + 2 + this.raw.length).toLowerCase()
      const after = source[close + 2 + this.raw.length] ?? '>'
      if (name === this.raw && (isSpace(after) || after === '>' || after === '/')) {
        this.state = 'end-tag'
        return close + 2
      }
      i = close + 2
    }
  }

  /** Follows string literals and comments of JavaScript. */
  private script(code: string): void {
    for (let i = 0; i < code.length; i++) {
      const c = code[i]!
      if (this.quote === '') {
        if (c === '"' || c === "'" || c === '`') this.quote = c
        else if (c === '/' && code[i + 1] === '/') {
          const end = code.indexOf('\n', i)
          if (end === -1) return
          i = end
        } else if (c === '/' && code[i + 1] === '*') {
          const end = code.indexOf('*/', i + 2)
          if (end === -1) return
          i = end + 1
        }
      } else if (c === '\\') i++
      else if (c === this.quote || (c === '\n' && this.quote !== '`')) this.quote = ''
    }
  }
}

function isSpace(c: string): boolean {
  return c === ' ' || c === '\n' || c === '\t' || c === '\r' || c === '\f'
}

function isLetter(c: string): boolean {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
}
