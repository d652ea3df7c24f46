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
  /** `decided` of the person as the form shows them: it lifts no refusal with a higher number. 0: unknown. */
  asOf: number
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
  asOf?: number,
]

export function sealForm(keys: SigningKeys, form: FormToken, now: Date): string {
  const packed: Packed = [
    form.page,
    form.profileId,
    [...form.lists].map(([name, joinable]) => [name, joinable ? 1 : 0]),
    [...form.templates],
    [...form.vars],
    form.wording,
    form.asOf,
  ]
  const stamp = { issuedAt: now, expiresAt: new Date(now.getTime() + FORM_LIFETIME), id: '' }
  return seal(keys, 'form', packed as Json, stamp)
}

/** Opens the token of a form that was rendered for this page. Whom it was rendered for is the caller's to check. */
export function openForm(keys: SigningKeys, token: string | null, expected: { page: string; now: Date }): OpenedForm {
  const opened = token === null ? null : openToken(keys, 'form', token, expected.now)
  if (!opened || (!opened.ok && opened.problem === 'bad')) return { state: 'bad' }
  const [page, profileId, lists, templates, vars, wording, asOf = 0] = opened.content as Packed
  if (page !== expected.page) return { state: 'bad' }
  const form: FormToken = {
    page,
    profileId,
    lists: new Map(lists.map(([name, joinable]) => [name, joinable === 1])),
    templates: new Set(templates),
    vars: new Set(vars),
    asOf,
    wording,
  }
  return { state: opened.ok ? 'fresh' : 'stale', form, issuedAt: opened.issuedAt }
}
