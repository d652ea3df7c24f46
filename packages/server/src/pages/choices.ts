import { type Level, rankOf, readLevel, stricter } from '../consent/levels.ts'
import type { Json } from '../platform/json.ts'
import type { LevelChange } from '../profiles/change.ts'
import { type Fields, fieldOf } from './form.ts'
import type { FormToken } from './form-token.ts'

/** What somebody decided by posting a form. */
export interface Choices {
  level: Pick<LevelChange, 'to' | 'mode'> | null
  /** Whether the person asked in so many words for email to be switched on again. */
  optsIn: boolean
  /** Name → keep or join (true), leave (false). */
  lists: Map<string, boolean>
  /** Template name → keep (true), leave (false). */
  templates: Map<string, boolean>
  vars: Map<string, Json>
  /** No more text messages. Only ever a refusal: coming back to them takes more than a page about email. */
  leavesSms: boolean
  /** An address to use from now on, as it was typed. */
  newEmail: string | null
  /** Where to go after saving, if the page allows it. */
  redirect: string | null
}

/** A form that says nothing. */
export const NO_CHOICES: Choices = {
  level: null,
  optsIn: false,
  lists: new Map(),
  templates: new Map(),
  vars: new Map(),
  leavesSms: false,
  newEmail: null,
  redirect: null,
}

const NO_OFFER: Pick<FormToken, 'lists' | 'templates' | 'vars'> = {
  lists: new Map(),
  templates: new Set(),
  vars: new Set(),
}

/**
 * Reads a posted form against what it offered: offered and absent means leave; not offered stays untouched, posted or
 * not. When a form says both in and out, the stricter wins.
 */
export function readChoices(
  fields: Fields,
  offer: Pick<FormToken, 'lists' | 'templates' | 'vars'> = NO_OFFER,
): Choices {
  const level = readLevelChoice(fields)
  return {
    level,
    optsIn: level?.to === 'none',
    lists: readLists(fields, offer.lists),
    templates: new Map([...offer.templates].map((name) => [name, isOn(fieldOf(fields, `templates[${name}]`))])),
    vars: readVars(fields, offer.vars),
    leavesSms: isOn(fieldOf(fields, 'optout_sms')),
    newEmail: fieldOf(fields, 'new_email')?.trim() || null,
    redirect: fieldOf(fields, 'redirect'),
  }
}

/** What a form that is too old may still do: everything that makes less mail. */
export function onlyRefusals(choices: Choices): Choices {
  const refuses = choices.level !== null && choices.level.to !== 'none'
  return {
    ...NO_CHOICES,
    level: refuses ? { to: choices.level!.to, mode: 'tighten' } : null,
    lists: new Map([...choices.lists].filter(([, stays]) => !stays)),
    templates: new Map([...choices.templates].filter(([, stays]) => !stays)),
    leavesSms: choices.leavesSms,
  }
}

/** Whether anything is refused at all. */
export const refusesAnything = ({ level, lists, templates, leavesSms }: Choices): boolean =>
  (level !== null && level.to !== 'none') || leavesSms || [...lists, ...templates].some(([, stays]) => !stays)

const isOn = (value: string | null) =>
  value !== null && value !== '' && value !== '0' && !/^(?:no|off|false)$/i.test(value)

/** Boxes and buttons only ever make the level stricter; the radio form and `optin` say what it is to be. */
function readLevelChoice(fields: Fields): Choices['level'] {
  const refused = (['blast', 'basic', 'all'] as const).filter((level) => isOn(fieldOf(fields, `optout_${level}`)))
  const named = readLevel(fieldOf(fields, 'optout') ?? '')
  const boxes = refused.reduce<Level>((strictest, level) => stricter(strictest, level), 'none')
  const optsIn = isOn(fieldOf(fields, 'optin'))
  if (refused.length > 0) return { to: named ? stricter(boxes, named) : boxes, mode: 'tighten' }
  if (named !== null && !(optsIn && rankOf(named) > 0)) return { to: named, mode: 'set' }
  if (named !== null) return { to: named, mode: 'tighten' }
  return optsIn ? { to: 'none', mode: 'set' } : null
}

function readLists(fields: Fields, offered: FormToken['lists']): Map<string, boolean> {
  const chosen = new Set<string>()
  for (const [name] of offered) if (isOn(fieldOf(fields, `lists[${name}]`))) chosen.add(name)
  for (const [name, value] of fields) {
    if (name === 'lists[]' || /^listgroup\[.+\]$/.test(name)) chosen.add(value)
  }
  const lists = new Map<string, boolean>()
  for (const [name, joinable] of offered) {
    if (!chosen.has(name)) lists.set(name, false)
    else if (joinable) lists.set(name, true)
  }
  return lists
}

function readVars(fields: Fields, declared: ReadonlySet<string>): Map<string, Json> {
  const vars = new Map<string, Json>()
  for (const name of declared) {
    const several = fields.filter(([key]) => key === `vars[${name}][]`).map(([, value]) => value)
    const one = fieldOf(fields, `vars[${name}]`)
    if (several.length > 0) vars.set(name, several)
    else if (one !== null) vars.set(name, one)
  }
  return vars
}
