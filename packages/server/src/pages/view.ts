import { type Data, dataOf, labelled, type Profile } from '@fairlead/zephyr'
import type { Config } from '../config.ts'
import type { SigningKeys } from '../links/keys.ts'
import { maskAddress } from '../profiles/address.ts'
import type { Settings } from '../settings/settings.ts'
import type { Choices } from './choices.ts'
import { type FormToken, sealForm } from './form-token.ts'
import type { Reached } from './reach.ts'
import { canUndo, type Saved } from './save-token.ts'
import type { Visit } from './visit.ts'
import { dayIn, howItWentOff, optinWording } from './wordings.ts'

/** What a preference page is rendered from. */
export interface PreferenceView {
  reached: Reached
  visit: Visit
  settings: Settings
  from: Config['from']
  now: Date
  /** A form that came too late, to be shown again as it was filled in. */
  stale?: Choices
  /** The save that led here, with its token. */
  saved?: { saved: Saved; token: string }
}

/** Names that a query parameter may not take: they would put something else in the place of what the page shows. */
const OURS = new Set(['page', 'message', 'template', 'form', 'result', 'profile', 'email', 'signup_lists'])

/** Query parameters that a page may see as variables. */
export const withoutOurs = (query: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(query).filter(([name]) => !OURS.has(name)))

/** Who writes, as people know them. */
export const senderOf = (from: Config['from']): string => from.name || from.address.replace(/^.*@/, '')

/** The parts of `page` that every built-in page shows. */
export const commonOf = (from: Config['from'], settings: Pick<Settings, 'sender_name'>) => ({
  sender: senderOf(from),
  footer: settings.sender_name,
})

/** The address a page speaks of, masked: the one that its message went to. */
export function shownAddress({ reached, visit }: Pick<PreferenceView, 'reached' | 'visit'>): string {
  const address = visit.message?.address || visit.person?.email || reached.email
  return address ? maskAddress(address) : 'your address'
}

/** Variables of the built-in pages `optout` and `saved`. */
export function builtInData(view: PreferenceView, keys: SigningKeys): Data {
  const { reached, visit, settings, from, now } = view
  const { person } = visit
  const level = person?.level ?? 'none'
  const sender = senderOf(from)
  const wording = optinWording(sender)
  const template = visit.message?.isCampaign ? null : visit.message?.template
  const outs = new Set(person?.templateOptouts.map(({ name }) => name))
  const keeps = (name: string) => view.stale?.templates.get(name) ?? !outs.has(name)
  const others = (person?.templateOptouts ?? []).filter(({ name }) => name !== template?.name)
  const lists = visit.lists
    .filter(({ offered }) => offered)
    .map(({ name, label, member }) => ({ name, label, member: view.stale?.lists.get(name) ?? member }))
  const base = { page: reached.page, profileId: person?.id ?? null, asOf: person?.decided ?? 0 }
  const nothing: FormToken = { ...base, lists: new Map(), templates: new Set(), vars: new Set(), wording: null }
  const choices: FormToken = {
    ...nothing,
    lists: new Map(lists.map(({ name }) => [name, true])),
    templates: new Set([...(template ? [template.name] : []), ...others.map(({ name }) => name)]),
  }
  const saved = view.saved?.saved
  const page = {
    name: reached.page,
    type: 'manage',
    ...commonOf(from, settings),
    address: shownAddress(view),
    action: reached.path,
    state: stateOf(visit),
    notice: view.stale ? 'stale' : null,
    how: howItWentOff(
      level,
      person?.levelVia ?? null,
      person?.levelAt ? dayIn(settings.timezone, person.levelAt) : null,
    ),
    wording,
    template: template ? { ...template, keeps: keeps(template.name) } : null,
    others: others.map(({ name, label }) => ({ name, label, keeps: keeps(name) })),
    lists,
    choices: level === 'none' ? sealForm(keys, choices, now) : '',
    simple: sealForm(keys, nothing, now),
    optin: level === 'none' ? '' : sealForm(keys, { ...nothing, wording: { text: wording } }, now),
    some: level === 'none' ? '' : sealForm(keys, { ...choices, templates: new Set(), wording: { text: wording } }, now),
    readdress: person !== null && person.email !== null && level !== 'all',
    result: saved?.result ?? null,
    was: saved?.was ?? null,
    besides: saved?.result.startsWith('address_') === true && canUndo(saved),
    joined: labelsOf(saved?.joined, visit),
    left: labelsOf(saved?.left, visit),
    stayed: labelsOf(saved?.stayed, visit),
    sms: saved?.smsWas !== undefined && saved.smsWas !== null,
    undo: saved && view.saved && canUndo(saved) && mayUndo(saved, visit) ? view.saved.token : null,
    bounces: person?.deliverability === 'hardbounce',
  }
  return dataOf({ profile: profileOf(view), named: { page } })
}

function stateOf({ person }: Visit): 'hardbounce' | 'complained' | null {
  if (person?.deliverability === 'hardbounce') return 'hardbounce'
  return person?.complainedAt ? 'complained' : null
}

/** After a spam report an opt-out is lifted by proof of the mailbox only, so it cannot be taken back here. */
const mayUndo = (saved: Saved, { person }: Visit): boolean => !saved.changedLevel || person?.complainedAt === null

function labelsOf(names: readonly string[] | undefined, { lists, person }: Visit): string[] {
  const labels = new Map([...(person?.templateOptouts ?? []), ...lists].map(({ name, label }) => [name, label]))
  return (names ?? []).map((name) => labels.get(name) ?? name)
}

/** Variables of an account's own preference page. */
export function ownPageData(view: PreferenceView, optoutUrl: string | null): Data {
  const { reached, visit } = view
  const { message, person } = visit
  return dataOf({
    standard: { email: person?.email ?? reached.email, ...(optoutUrl ? { optout_confirm_url: optoutUrl } : {}) },
    profile: profileOf(view),
    request: withoutOurs(reached.query),
    form: { form: { values: {}, errors: {} }, result: view.saved?.saved.result ?? (view.stale ? 'stale' : null) },
    named: {
      page: { name: reached.page, type: 'manage' },
      message: message && {
        type: message.isCampaign ? 'blast' : 'send',
        name: message.template?.name ?? null,
        list: null,
      },
      template:
        message?.template && !message.isCampaign
          ? labelled(message.template.label, { name: message.template.name, public_name: message.template.label })
          : null,
    },
  })
}

function profileOf({ visit, reached }: PreferenceView): Profile {
  const { person } = visit
  return {
    email: person?.email ?? reached.email,
    optout: person?.level ?? 'none',
    optout_date: person?.optoutAt?.toISOString() ?? null,
    optout_templates: person?.templateOptouts.map(({ name }) => name) ?? [],
    status: statusOf(visit),
    lists: visit.lists.filter(({ member }) => member).map(({ name }) => name),
    vars: person?.vars ?? {},
  }
}

/** One word, as the API shows it. */
function statusOf({ person }: Visit): string {
  if (person?.deliverability === 'hardbounce' || person?.deliverability === 'invalid') return person.deliverability
  return person && person.level !== 'none' ? 'optout' : 'valid'
}
