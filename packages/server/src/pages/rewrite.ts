import { type DefaultTreeAdapterTypes, parse, parseFragment, serialize } from 'parse5'
import type { Json } from '../platform/json.ts'
import { attributeOf, type Element, elementsOf, type Form, formsOf, setAttribute, textOf } from './html.ts'

/** What a form of an account's own page offers, as its rendered HTML shows. */
export interface FormOffer {
  lists: Set<string>
  templates: Set<string>
  vars: Set<string>
}

export interface Prefill {
  /** Names of the lists to show as joined. */
  lists: ReadonlySet<string>
  /** Names of the templates to show as left. */
  templatesOut: ReadonlySet<string>
  level: string
  vars: { [name: string]: Json }
  /** Whether text messages are refused. */
  leftSms: boolean
}

/**
 * Prepares an account's own page for one visitor: sets boxes, radios, drop-downs and fields to what is so, and puts a
 * signed `_fl` into every form that posts to us. Works on the parsed page, so that no text can pass for markup.
 *
 * @param action where the forms post to
 */
export function rewritePage(
  html: string,
  action: string,
  prefill: Prefill,
  sign: (offer: FormOffer) => string,
): string {
  const document = parse(html)
  for (const form of formsOf(document)) {
    if (!isOurs(form.element, action)) continue
    for (const control of form.controls) fill(control, prefill)
    setAttribute(form.element, 'action', action)
    removeTokens(form)
    const field = parseFragment('<input type="hidden" name="_fl">').childNodes[0] as Element
    setAttribute(field, 'value', sign(offerOf(form)))
    field.parentNode = form.element
    form.element.childNodes.unshift(field)
  }
  return serialize(document)
}

/** A form that goes elsewhere gets no token: it would carry it away. */
function isOurs(form: Element, action: string): boolean {
  if (attributeOf(form, 'method')?.toLowerCase() !== 'post') return false
  const target = attributeOf(form, 'action')?.trim() ?? ''
  return target === '' || target.startsWith('#') || target.startsWith('?') || target === action
}

function removeTokens(form: Form): void {
  for (const control of form.controls) {
    if (attributeOf(control, 'name') === '_fl') setAttribute(control, 'name', null)
  }
}

/** `lists[Daily]` → `['lists', 'Daily']`; `lists[]` → `['lists', '']`. */
function nameOf(control: Element): [group: string, item: string] | null {
  const found = /^(lists|listgroup|templates|vars)\[([^\]]*)\](?:\[\])?$/.exec(attributeOf(control, 'name') ?? '')
  return found && [found[1]!, found[2]!]
}

function offerOf({ controls }: Form): FormOffer {
  const offer: FormOffer = { lists: new Set(), templates: new Set(), vars: new Set() }
  for (const control of controls) {
    const name = nameOf(control)
    if (!name) continue
    const [group, item] = name
    if (group === 'vars' && item) offer.vars.add(item)
    else if (group === 'templates' && item) offer.templates.add(item)
    else if (group === 'lists' && item) offer.lists.add(item)
    else if (group === 'lists' || group === 'listgroup') for (const value of valuesOf(control)) offer.lists.add(value)
  }
  return offer
}

/** The values a control can post. */
function valuesOf(control: Element): string[] {
  const sources = control.tagName === 'select' ? optionsOf(control) : [control]
  return sources.map(postedBy).filter((value) => value !== '')
}

const optionsOf = (select: Element) => [...elementsOf(select)].filter(({ tagName }) => tagName === 'option')

const postedBy = (element: Element) =>
  attributeOf(element, 'value') ?? (element.tagName === 'option' ? textOf(element).trim() : '')

const isOff = (value: string) => value === '0' || /^no$/i.test(value)

function fill(control: Element, prefill: Prefill): void {
  const name = nameOf(control)
  if (attributeOf(control, 'name') === 'optout') choose(control, (value) => value === prefill.level)
  if (attributeOf(control, 'name') === 'optout_sms') chooseYesNo(control, prefill.leftSms)
  if (!name) return
  const [group, item] = name
  if (group === 'lists' && item) chooseYesNo(control, prefill.lists.has(item))
  else if (group === 'lists') choose(control, (value) => prefill.lists.has(value))
  else if (group === 'listgroup') choose(control, (value) => prefill.lists.has(value), 'or none')
  else if (group === 'templates') chooseYesNo(control, !prefill.templatesOut.has(item))
  else if (Object.hasOwn(prefill.vars, item)) fillVar(control, prefill.vars[item]!)
}

/** A box stands for yes; radios and drop-downs say yes or no by their value. */
function chooseYesNo(control: Element, yes: boolean): void {
  if (typeOf(control) === 'checkbox') setAttribute(control, 'checked', yes ? '' : null)
  else choose(control, (value) => isOff(value) !== yes)
}

function choose(control: Element, matches: (value: string) => boolean, none?: 'or none'): void {
  const type = typeOf(control)
  if (control.tagName === 'select') {
    const options = optionsOf(control)
    const chosen = options.filter((option) => matches(postedBy(option)))
    if (chosen.length === 0 && !none) return
    for (const option of options) setAttribute(option, 'selected', chosen.includes(option) ? '' : null)
  } else if (type === 'checkbox' || (type === 'radio' && postedBy(control) !== '')) {
    setAttribute(control, 'checked', matches(postedBy(control)) ? '' : null)
  }
}

const TYPED = new Set([
  '',
  'text',
  'email',
  'tel',
  'url',
  'number',
  'date',
  'month',
  'week',
  'time',
  'search',
  'color',
  'range',
])

function fillVar(control: Element, value: Json): void {
  const texts = (Array.isArray(value) ? value : [value]).map((one) => (one === null ? '' : String(one)))
  const type = typeOf(control)
  if (control.tagName === 'select' || type === 'checkbox' || type === 'radio')
    choose(control, (one) => texts.includes(one))
  else if (typeof value === 'object' && value !== null) return
  else if (control.tagName === 'textarea') setText(control, texts[0]!)
  else if (control.tagName === 'input' && TYPED.has(type)) setAttribute(control, 'value', texts[0]!)
}

const typeOf = (control: Element) => (attributeOf(control, 'type') ?? '').toLowerCase()

function setText(element: Element, value: string): void {
  const text: DefaultTreeAdapterTypes.TextNode = { nodeName: '#text', value, parentNode: element }
  element.childNodes = [text]
}
