import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { compile, type Data, type Template } from '@fairlead/zephyr'

/** Our own pages, as files beside this one. */
export type BuiltInName = 'optout' | 'saved' | 'confirm' | 'signup-confirm' | 'address' | 'follow' | 'notice'

export interface BuiltIn {
  render(name: BuiltInName, data: Data): string
  /** For the content security policy: exactly the one style sheet they all carry. */
  styles: string
  /** The same for the one script there is. */
  scripts: string
}

const NAMES: readonly BuiltInName[] = ['optout', 'saved', 'confirm', 'signup-confirm', 'address', 'follow', 'notice']

/** Compiles all of them, once per process. */
export function loadBuiltIn(): BuiltIn {
  const read = (file: string) => readFileSync(new URL(`./defaults/${file}`, import.meta.url), 'utf8')
  const style = read('style.css')
  const head = read('head.html').replace('{* style *}', () => style)
  const script = read('confirm-auto.js')
  const parts = new Map([
    ['head', head],
    ['readdress', read('readdress.html')],
    ['confirm-auto', `<script>${script}</script>`],
  ])
  const snippets = (name: string) => parts.get(name)
  const pages = new Map<BuiltInName, Template>(
    NAMES.map((name) => [name, compile(read(`${name}.html`), { field: `${name}.html`, context: 'page', snippets })]),
  )
  return {
    render: (name, data) => pages.get(name)!.render(data),
    styles: sourceOf(style),
    scripts: sourceOf(script),
  }
}

/** How a policy names a style or script that stands in the page. */
const sourceOf = (text: string) => `'sha256-${hash('sha256', text, 'base64')}'`
