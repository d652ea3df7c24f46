import type { Context } from './compile/builder.ts'
import type { Data } from './data.ts'
import { plainText } from './functions/markup.ts'
import type { Env } from './host.ts'
import { merge, noFacts, type Reads, readsOf } from './reads.ts'
import { type Base, Names } from './run.ts'
import { build, type CompiledPart, type CompileOptions, prepare, type Template, type Warning } from './template.ts'

/** The fields of a template or campaign that hold Zephyr; absent ones are empty. */
export interface MessageSource {
  readonly setup?: string | null
  readonly from_name?: string | null
  readonly subject?: string | null
  readonly preheader?: string | null
  readonly content_html?: string | null
  /** Empty: made from the HTML part. */
  readonly content_text?: string | null
  /** Parameters added to every tracked link: `uid={md5(email)}`. */
  readonly link_params?: string | null
}

export type MessageOptions = Omit<CompileOptions, 'field' | 'context' | 'html' | 'autoEscape'>

export interface RenderedMessage {
  readonly fromName: string
  readonly subject: string
  readonly preheader: string
  readonly html: string
  readonly text: string
  readonly linkParams: string
}

export interface Message {
  /** Compiled fields by name, as far as they are not empty. */
  readonly parts: Readonly<Partial<Record<keyof MessageSource, Template>>>
  /** What all fields together read. `links` are those of the HTML part. */
  readonly reads: Reads
  readonly warnings: readonly Warning[]
  /**
   * Runs Setup, then every field on its own copy of what Setup left; the text part has the HTML part as
   * `rendered_html`. Throws `RenderError` or `Stop`.
   */
  render(data: Data, env?: Env): RenderedMessage
}

const FIELDS: readonly (readonly [field: keyof MessageSource, context: Context, html: boolean])[] = [
  ['setup', 'setup', false],
  ['from_name', 'mail', false],
  ['subject', 'mail', false],
  ['preheader', 'mail', false],
  ['content_html', 'mail', true],
  ['content_text', 'mail', false],
  ['link_params', 'link', false],
]

/** Compiles all fields of a message together. Throws `CompileError` naming the field. */
export function compileMessage(source: MessageSource, options: MessageOptions = {}): Message {
  const facts = noFacts()
  const units = FIELDS.flatMap(([field, context, html]) => {
    const text = source[field]
    if (text === undefined || text === null || text === '') return []
    const unit = prepare(text, { ...options, field, context, html, autoEscape: false }, source.setup ?? '')
    merge(facts, unit.facts)
    return [[field, unit] as const]
  })
  const names = new Names()
  const renderedHtml = names.slot('rendered_html')
  const parts: Partial<Record<keyof MessageSource, CompiledPart>> = {}
  for (const [field, unit] of units) parts[field] = build(unit, facts, names)
  const all = Object.values(parts)

  function render(data: Data, env: Env = {}): RenderedMessage {
    const fixed = env.now === undefined ? { ...env, now: Math.floor(Date.now() / 1000) } : env
    const base: Base | undefined = parts.setup?.renderPart(data, fixed).run.base()
    const field = (name: keyof MessageSource) => parts[name]?.renderPart(data, fixed, base).output ?? ''
    const fromName = oneLine(field('from_name'))
    const subject = oneLine(field('subject'))
    const preheader = field('preheader')
    const linkParams = field('link_params')
    const linking = linkParams === '' ? fixed : { ...fixed, linkParams }
    const html = parts.content_html?.renderPart(data, linking, base).output ?? ''
    const text =
      parts.content_text === undefined
        ? plainText(html)
        : parts.content_text.renderPart(data, fixed, base, [renderedHtml, html]).output
    return { fromName, subject, preheader, html, text, linkParams }
  }

  return {
    parts,
    get reads() {
      return readsOf(facts, parts.content_html?.reads.links ?? [])
    },
    get warnings() {
      return all.flatMap((part) => part.warnings)
    },
    render,
  }
}

/** Text for a header: line breaks and other control characters become spaces, so no header can be added. */
export function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim()
}

/** Adds parameters to an address, before its fragment. */
export function addLinkParams(url: string, params: string): string {
  if (params === '') return url
  const hash = url.indexOf('#')
  const head = hash === -1 ? url : url.slice(0, hash)
  const joint = !head.includes('?') ? '?' : head.endsWith('?') || head.endsWith('&') ? '' : '&'
  return head + joint + params + (hash === -1 ? '' : url.slice(hash))
}
