import { CompileError, lint, type Template } from '@fairlead/zephyr'
import { type DefaultTreeAdapterTypes, parse } from 'parse5'
import { attributeOf, elementsOf, formsOf } from './html.ts'
import { compilePage, type PageType } from './store.ts'

/** What stands in the way of saving a page, and what only deserves a look. */
export interface PageReport {
  problems: string[]
  warnings: string[]
}

type Element = DefaultTreeAdapterTypes.Element

/** Names that pages always have from us, whatever stands in their address. `list` only chooses what is shown. */
const SUPPLIED = ['page', 'message', 'template', 'form', 'result', 'signup_lists', 'list']
const REFUSALS = ['optout_basic', 'optout_all']
const CONTROLS = new Set(['input', 'button', 'select', 'textarea'])

/**
 * Checks a page before it is saved. A preference page must let people leave: a POST form with a submit control and a
 * reachable opt-out of at least marketing.
 */
export function lintPage(html: string, type: PageType): PageReport {
  const report: PageReport = { problems: [], warnings: [] }
  const template = compiled(html, report)
  if (!template) return report
  const document = parse(html)
  const elements = [...elementsOf(document)]
  if (type === 'manage') lintForms(document, report)
  else if (elements.some(({ tagName }) => CONTROLS.has(tagName))) {
    report.problems.push('a page of type other holds no inputs or buttons: use type manage')
  }
  lintResources(elements, report)
  // What visitors typed is escaped by itself on pages.
  const found = lint(template, { context: 'page', escaping: false, supplied: SUPPLIED })
  for (const { line, message } of found) report.warnings.push(`line ${line}: ${message}`)
  return report
}

function compiled(html: string, report: PageReport): Template | null {
  try {
    return compilePage(html)
  } catch (error) {
    if (!(error instanceof CompileError)) throw error
    const hint = error.suggestion === undefined ? '' : `; did you mean '${error.suggestion}'?`
    report.problems.push(`line ${error.line}, column ${error.column}: ${error.reason}${hint}`)
    return null
  }
}

function lintForms(document: DefaultTreeAdapterTypes.Document, report: PageReport): void {
  const forms = formsOf(document)
  const posting = forms.filter(({ element }) => attributeOf(element, 'method')?.toLowerCase() === 'post')
  if (posting.length === 0) {
    report.problems.push('a preference page needs a form with method="post"')
    return
  }
  if (posting.length < forms.length) report.warnings.push('forms without method="post" are not accepted')
  if (!posting.some(({ controls }) => controls.some(isSubmit))) {
    report.problems.push('no form has a button to submit it')
  }
  if (!posting.some(({ controls }) => controls.some(isRefusal))) {
    report.problems.push('people must be able to leave: a form needs optout_basic or optout_all')
  }
  for (const { controls } of posting) {
    const preticked = controls.find((control) => isOptin(control) && attributeOf(control, 'checked') !== null)
    if (preticked) report.warnings.push('a box that opts people in must not be ticked beforehand')
  }
}

function isSubmit(control: Element): boolean {
  const type = attributeOf(control, 'type')?.toLowerCase()
  if (control.tagName === 'button') return type === undefined || type === null || type === 'submit'
  return control.tagName === 'input' && (type === 'submit' || type === 'image')
}

function isRefusal(control: Element): boolean {
  const name = attributeOf(control, 'name') ?? ''
  if (REFUSALS.includes(name)) return true
  if (name !== 'optout') return false
  const values = control.tagName === 'select' ? [...elementsOf(control)] : [control]
  return values.some((one) => ['basic', 'all'].includes(attributeOf(one, 'value') ?? ''))
}

const isOptin = (control: Element) =>
  attributeOf(control, 'name') === 'optin' && attributeOf(control, 'type')?.toLowerCase() === 'checkbox'

/** Pages ask nothing of other machines and run no scripts, so that the link in the address bar stays with its owner. */
function lintResources(elements: Element[], report: PageReport): void {
  if (elements.some(({ tagName }) => tagName === 'script')) {
    report.warnings.push('scripts do not run on hosted pages')
  }
  for (const element of elements) {
    const address = attributeOf(element, element.tagName === 'link' ? 'href' : 'src')
    const loads = ['link', 'img', 'iframe', 'source', 'video', 'audio', 'embed'].includes(element.tagName)
    if (loads && address && !address.startsWith('data:')) {
      report.warnings.push(
        `<${element.tagName}> loads nothing: put styles into <style> and images into data: addresses`,
      )
      return
    }
  }
}
