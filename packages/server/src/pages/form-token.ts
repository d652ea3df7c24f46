import type { SigningKeys } from '../links/keys.ts'
import { openToken, seal } from '../links/tokens.ts'
import type { Json } from '../platform/json.ts'

/**
 * The hidden field `_fl` of every form: what the form offered, to whom, when, and under which words. Browsers do not
 * send boxes that are not ticked, so without it nobody could tell "leave this list" from "this list was not shown".
 */
export interface FormToken {
  page: string
  profileId: number | null
  /** Name → whether the form may add the person to it; leaving is always possible. */
  lists: ReadonlyMap<string, boolean>
  templates: ReadonlySet<string>
  vars: ReadonlySet<string>
  /** What an opting-in person reads: the text, or the id of text already kept. */
  wording: { text: string } | { id: string } | null
}

export type OpenedForm =
  | { state: 'fresh'; form: FormToken; issuedAt: Date }
  /** Genuine, but too old to opt anybody in. */
  | { state: 'stale'; form: FormToken; issuedAt: Date }
  | { state: 'bad' }

/** How long a rendered form can be saved, in ms. */
export const FORM_LIFETIME = 24 * 3_600_000

type Packed = [
  page: string,
  profileId: number | null,
  lists: Array<[string, 0 | 1]>,
  templates: string[],
  vars: string[],
  wording: { text: string } | { id: string } | null,
]

export function sealForm(keys: SigningKeys, form: FormToken, now: Date): string {
  const packed: Packed = [
    form.page,
    form.profileId,
    [...form.lists].map(([name, joinable]) => [name, joinable ? 1 : 0]),
    [...form.templates],
    [...form.vars],
    form.wording,
  ]
  const stamp = { issuedAt: now, expiresAt: new Date(now.getTime() + FORM_LIFETIME), id: '' }
  return seal(keys, 'form', packed as Json, stamp)
}

/**
 * Opens the token of a form that was rendered for this page and this person.
 *
 * @param expected.profileId undefined: for whomever it was rendered
 */
export function openForm(
  keys: SigningKeys,
  token: string | null,
  expected: { page: string; profileId: number | null | undefined; now: Date },
): OpenedForm {
  const opened = token === null ? null : openToken(keys, 'form', token, expected.now)
  if (!opened || (!opened.ok && opened.problem === 'bad')) return { state: 'bad' }
  const [page, profileId, lists, templates, vars, wording] = opened.content as Packed
  const isTheirs = expected.profileId === undefined || profileId === expected.profileId
  if (page !== expected.page || !isTheirs) return { state: 'bad' }
  const form: FormToken = {
    page,
    profileId,
    lists: new Map(lists.map(([name, joinable]) => [name, joinable === 1])),
    templates: new Set(templates),
    vars: new Set(vars),
    wording,
  }
  return { state: opened.ok ? 'fresh' : 'stale', form, issuedAt: opened.issuedAt }
}
