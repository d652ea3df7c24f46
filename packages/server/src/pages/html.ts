import type { DefaultTreeAdapterTypes } from 'parse5'

export type Element = DefaultTreeAdapterTypes.Element
export type Parent = DefaultTreeAdapterTypes.ParentNode

/** A form and the controls that belong to it, those outside that name it by `form="id"` included. */
export interface Form {
  element: Element
  controls: Element[]
}

const CONTROLS = new Set(['input', 'button', 'select', 'textarea'])

const isElement = (node: DefaultTreeAdapterTypes.ChildNode): node is Element => 'tagName' in node

/** All elements below a node, in document order; what stands in a `<template>` is no part of the page. */
export function* elementsOf(parent: Parent): Generator<Element> {
  for (const node of parent.childNodes) {
    if (!isElement(node)) continue
    yield node
    yield* elementsOf(node)
  }
}

/** Null: the attribute is not there. */
export function attributeOf(element: Element, name: string): string | null {
  return element.attrs.find((attribute) => attribute.name === name)?.value ?? null
}

/** Sets an attribute, or takes it away (null). */
export function setAttribute(element: Element, name: string, value: string | null): void {
  const present = element.attrs.find((attribute) => attribute.name === name)
  if (value === null) element.attrs = element.attrs.filter((attribute) => attribute !== present)
  else if (present) present.value = value
  else element.attrs.push({ name, value })
}

export function formsOf(document: Parent): Form[] {
  const elements = [...elementsOf(document)]
  const forms = elements
    .filter(({ tagName }) => tagName === 'form')
    .map((element) => ({ element, controls: [] as Element[] }))
  for (const form of forms) {
    form.controls.push(
      ...[...elementsOf(form.element)].filter(
        (element) => CONTROLS.has(element.tagName) && attributeOf(element, 'form') === null,
      ),
    )
  }
  for (const element of elements) {
    const owner = CONTROLS.has(element.tagName) ? attributeOf(element, 'form') : null
    const form = owner && forms.find((one) => attributeOf(one.element, 'id') === owner)
    if (form) form.controls.push(element)
  }
  return forms
}

/** Text inside an element. */
export function textOf(element: Parent): string {
  return element.childNodes.map((node) => ('value' in node ? node.value : isElement(node) ? textOf(node) : '')).join('')
}
