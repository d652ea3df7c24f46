import { keepWording } from '../consent/ledger.ts'
import { isWeaker } from '../consent/levels.ts'
import { parseAddress } from '../profiles/address.ts'
import type { Act, ChangeOutcome, PersonRef, ProfileChange } from '../profiles/change.ts'
import { askForAddress } from './address-change.ts'
import { aftermath } from './aftermath.ts'
import { type Choices, NO_CHOICES } from './choices.ts'
import { mailConfirmation } from './confirmation-mail.ts'
import type { FormToken } from './form-token.ts'
import { type Applied, applyNewest } from './newest.ts'
import type { PageParts } from './parts.ts'
import type { Reached } from './reach.ts'
import { NOTHING_SAVED, type Saved } from './save-token.ts'
import type { Visit } from './visit.ts'

/** Who posted, for the record. */
export interface Poster {
  ip: string
  userAgent: string | undefined
}

/** Saves what somebody chose on a preference page reached by a signed link, and says what came of it. */
export async function saveChoices(
  parts: PageParts,
  reached: Reached,
  visit: Visit,
  choices: Choices,
  form: { token: FormToken; issuedAt: Date } | null,
  poster: Poster,
): Promise<Saved> {
  const { person } = visit
  const proves = !addressChanged(visit)
  // A link that went to an address which is no longer the person's proves nothing about their mailbox of today.
  const withheld = !proves && choices.level && isWeaker(choices.level.to, person?.level ?? 'none')
  const level = withheld ? null : choices.level
  const since = form?.issuedAt ?? new Date(0)
  const act: Act = {
    ...actOf(reached, poster),
    ...(choices.optsIn && form ? await wordingOf(parts, form.token) : {}),
  }
  const change: ProfileChange = {
    person: personOf(reached),
    create: reached.email !== null,
    act,
    ...(level ? { level: { ...level, unlessRefusedAfter: since } } : {}),
    ...(await listsOf(parts, choices.lists)),
    ...(await templatesOf(parts, choices.templates)),
    ...(choices.vars.size > 0 ? { vars: Object.fromEntries(choices.vars) } : {}),
    ...(choices.leavesSms ? { sms: { marketing: 'opt-out' } } : {}),
  }
  const also = await aftermath(parts, reached, visit, choices)
  const { outcome, stayed } = await applyNewest(parts, change, since, also)
  const saved = await savedOf(parts, visit, choices, outcome, stayed)
  const unproven = withheld || (outcome.ok && outcome.levelOutcome === 'needs_confirmation')
  if (unproven && outcome.ok && person?.email) {
    const sent = await mailConfirmation(parts, outcome.profileId, person.email)
    saved.result = sent ? 'confirm_sent' : 'confirm_unsent'
  } else if (choices.newEmail !== null && form && saved.result === 'saved' && person?.email) {
    const owner = { ...person, email: person.email }
    saved.result = (proves ? await askForAddress(parts, owner, choices.newEmail) : 'address_unsent') ?? 'saved'
  }
  return saved
}

/** Takes a save back, unless something newer has been decided since. Works once. */
export async function undoSave(
  parts: PageParts,
  reached: Reached,
  visit: Visit,
  saved: Saved & { id: string; issuedAt: Date },
  poster: Poster,
): Promise<Saved> {
  const back: Choices = {
    ...NO_CHOICES,
    level: saved.changedLevel ? { to: saved.was, mode: 'set' } : null,
    lists: new Map([
      ...saved.joined.map((name) => [name, false] as const),
      ...saved.left.map((name) => [name, true] as const),
    ]),
    templates: new Map(saved.templates.map(([name, out]) => [name, out])),
  }
  const change: ProfileChange = {
    person: { kind: 'id', value: saved.profileId },
    create: false,
    act: { ...actOf(reached, poster), reason: 'undo', tokenId: saved.id },
    ...(back.level ? { level: { ...back.level, unlessRefusedAfter: saved.issuedAt } } : {}),
    ...(await listsOf(parts, back.lists)),
    ...(await templatesOf(parts, back.templates)),
    ...(saved.smsWas ? { sms: { marketing: saved.smsWas.was ?? undefined } } : {}),
    spend: { id: saved.id, purpose: 'undo' },
  }
  const also = await aftermath(parts, reached, visit, back)
  const { outcome, stayed } = await applyNewest(parts, change, saved.issuedAt, also)
  const undone = await savedOf(parts, visit, back, outcome, stayed)
  // A second press finds everything as the first one left it.
  const result = undone.result === 'saved' ? 'undone' : undone.result
  return { ...NOTHING_SAVED, profileId: undone.profileId, was: undone.was, stayed: undone.stayed, result }
}

const personOf = (reached: Reached): PersonRef =>
  reached.email !== null ? { kind: 'email', value: reached.email } : { kind: 'id', value: reached.profileId! }

function actOf(reached: Reached, poster: Poster): Act {
  return {
    via: 'hosted_page',
    evidence: 2,
    listSource: 'hosted_page',
    ip: poster.ip,
    ...(poster.userAgent ? { userAgent: poster.userAgent.slice(0, 500) } : {}),
    url: reached.place,
    ...(reached.messageId === null ? {} : { messageId: reached.messageId }),
  }
}

async function wordingOf(parts: PageParts, { wording }: FormToken): Promise<Pick<Act, 'wordingId'>> {
  if (!wording) return {}
  return { wordingId: 'id' in wording ? wording.id : await keepWording(parts.db, wording.text, parts.clock.now()) }
}

function addressChanged({ message, person }: Visit): boolean {
  if (!message || !person?.email) return false
  return parseAddress(message.address)?.lookup !== parseAddress(person.email)?.lookup
}

/** Lists that a form may join are made when they do not exist; others are only ever left. */
async function listsOf(parts: PageParts, wanted: Choices['lists']): Promise<Pick<ProfileChange, 'lists'>> {
  if (wanted.size === 0) return {}
  const joining = [...wanted].filter(([, join]) => join).map(([name]) => name)
  await parts.lists.ensure(joining)
  const ids = await parts.lists.find([...wanted.keys()])
  return { lists: new Map([...ids].map(([name, id]) => [id, wanted.get(name) === true])) }
}

async function templatesOf(parts: PageParts, wanted: Choices['templates']): Promise<Pick<ProfileChange, 'templates'>> {
  if (wanted.size === 0) return {}
  const found = await parts.templates.byNames([...wanted.keys()])
  return {
    templates: new Map(
      [...found].map(([name, { id, publicName }]) => [id, { out: wanted.get(name) === false, name: publicName }]),
    ),
  }
}

async function savedOf(
  parts: PageParts,
  visit: Visit,
  choices: Choices,
  outcome: ChangeOutcome,
  stayed: Applied['stayed'],
): Promise<Saved> {
  const { person } = visit
  const was = person?.level ?? 'none'
  if (!outcome.ok) return { ...NOTHING_SAVED, profileId: person?.id ?? 0, was }
  const [lists, templates] = await Promise.all([
    parts.lists.byIds([...outcome.joined, ...outcome.left, ...stayed.lists]),
    stayed.templates.length > 0 ? parts.templates.byNames([...choices.templates.keys()]) : [],
  ])
  const nameOf = (id: number) => lists.get(id)?.name ?? ''
  const stayedTemplates = [...templates].flatMap(([name, { id }]) => (stayed.templates.includes(id) ? [name] : []))
  const outs = new Set(person?.templateOptouts.map(({ name }) => name))
  const smsBefore = person?.sms.marketing ?? null
  return {
    profileId: outcome.profileId,
    result: outcome.levelOutcome === 'superseded' ? 'superseded' : 'saved',
    was,
    changedLevel: outcome.levelOutcome === 'applied',
    joined: outcome.joined.map(nameOf),
    left: outcome.left.map(nameOf),
    templates: [...choices.templates]
      .filter(([name, keeps]) => keeps === outs.has(name) && !stayedTemplates.includes(name))
      .map(([name, keeps]): [string, boolean] => [name, !keeps]),
    stayed: [...stayed.lists.map(nameOf), ...stayedTemplates],
    smsWas: choices.leavesSms && smsBefore !== 'opt-out' ? { was: smsBefore } : null,
  }
}
