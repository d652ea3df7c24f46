import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { compile, type Data, type Template } from '@fairlead/zephyr'

/** Our own pages, as files beside this one. */
export type BuiltInName = 'optout' | 'saved' | 'confirm' | 'signup-confirm' | 'notice'

export interface BuiltIn {
  render(name: BuiltInName, data: Data): string
  /** For the content security policy: exactly the one style sheet they all carry. */
  styles: string
}

const NAMES: readonly BuiltInName[] = ['optout', 'saved', 'confirm', 'signup-confirm', 'notice']

/** Compiles all of them, once per process. */
export function loadBuiltIn(): BuiltIn {
  const read = (file: string) => readFileSync(new URL(`./defaults/${file}`, import.meta.url), 'utf8')
  const style = read('style.css')
  const head = read('head.html').replace('{* style *}', () => style)
  const snippets = (name: string) => (name === 'head' ? head : undefined)
  const pages = new Map<BuiltInName, Template>(
    NAMES.map((name) => [name, compile(read(`${name}.html`), { field: `${name}.html`, context: 'page', snippets })]),
  )
  return {
    render: (name, data) => pages.get(name)!.render(data),
    styles: `'sha256-${hash('sha256', style, 'base64')}'`,
  }
}
