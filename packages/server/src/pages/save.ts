import { keepWording } from '../consent/ledger.ts'
import { isWeaker } from '../consent/levels.ts'
import { onlyRefusing } from '../consent/refusals.ts'
import { parseAddress } from '../profiles/address.ts'
import type { Act, ChangeOutcome, PersonRef, ProfileChange } from '../profiles/change.ts'
import { askForAddress } from './address-change.ts'
import { aftermath } from './aftermath.ts'
import { type Also, applyChange } from './apply.ts'
import { type Choices, NO_CHOICES } from './choices.ts'
import { mailConfirmation } from './confirmation-mail.ts'
import type { FormToken } from './form-token.ts'
import type { PageParts } from './parts.ts'
import type { Reached } from './reach.ts'
import { NOTHING_SAVED, type Saved } from './save-token.ts'
import type { Visit } from './visit.ts'

/** Who posted, for the record. */
export interface Poster {
  ip: string
  userAgent: string | undefined
}

/**
 * Saves what somebody chose on a preference page reached by a signed link, and says what came of it.
 *
 * @param form null: a form that is too old or not ours, of which only refusals are left
 */
export async function saveChoices(
  parts: PageParts,
  reached: Reached,
  visit: Visit,
  choices: Choices,
  form: FormToken | null,
  poster: Poster,
): Promise<Saved> {
  const { person } = visit
  const proves = provesMailbox(reached, visit)
  const permitted = proves ? choices : withoutPermissions(choices)
  const withheld = !proves && choices.level && isWeaker(choices.level.to, person?.level ?? 'none')
  const change: ProfileChange = {
    person: personOf(reached, visit),
    create: reached.email !== null,
    act: {
      ...actOf(reached, poster, proves),
      ...(choices.optsIn && form ? await wordingOf(parts, form) : {}),
    },
    asOf: form?.asOf ?? 0,
    ...(await partsOf(parts, withheld ? { ...permitted, level: null } : permitted)),
    ...(choices.vars.size > 0 ? { vars: Object.fromEntries(choices.vars) } : {}),
  }
  const also = [...refusedElsewhere(parts, reached, change), ...(await aftermath(parts, reached, visit, permitted))]
  const outcome = await applyChange(parts, change, also)
  const saved = await savedOf(parts, visit, permitted, outcome)
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

/** Takes a save back, and nothing that was refused by another act, before or after it. Works once. */
export async function undoSave(
  parts: PageParts,
  reached: Reached,
  visit: Visit,
  saved: Saved & { id: string },
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
  const act = { ...actOf(reached, poster, provesMailbox(reached, visit)), reason: 'undo', tokenId: saved.id }
  const change: ProfileChange = {
    person: { kind: 'id', value: saved.profileId },
    create: false,
    act,
    asOf: saved.decided,
    ...(await partsOf(parts, back)),
    ...(saved.smsWas ? { sms: { marketing: saved.smsWas.was ?? undefined } } : {}),
    spend: { id: saved.id, purpose: 'undo' },
  }
  const outcome = await applyChange(parts, change, await aftermath(parts, reached, visit, back))
  const undone = await savedOf(parts, visit, back, outcome)
  // A second press finds everything as the first one left it.
  const result = undone.result === 'saved' ? 'undone' : undone.result
  return { ...NOTHING_SAVED, profileId: undone.profileId, was: undone.was, stayed: undone.stayed, result }
}

const personOf = (reached: Reached, { person }: Visit): PersonRef =>
  reached.email !== null
    ? { kind: 'email', value: reached.email }
    : { kind: 'id', value: person?.id ?? reached.profileId! }

/** What a page is reached by proves no more than its link does. */
function actOf(reached: Reached, poster: Poster, proves: boolean): Act {
  return {
    via: 'hosted_page',
    evidence: proves ? 2 : 0,
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

/**
 * Whether a link proves that its holder has the person's mailbox: one that was mailed to an address which is no longer
 * the person's proves nothing about their mailbox of today.
 */
function provesMailbox(reached: Reached, { message, person }: Visit): boolean {
  if (reached.messageId === null || !person?.email) return true
  return message !== null && parseAddress(message.address)?.lookup === parseAddress(person.email)?.lookup
}

/** The part of choices that permits nothing. */
function withoutPermissions(choices: Choices): Choices {
  return {
    ...choices,
    lists: new Map([...choices.lists].filter(([, stays]) => !stays)),
    templates: new Map([...choices.templates].filter(([, stays]) => !stays)),
  }
}

/** What is refused holds for whoever has the address of the message now, too. */
function refusedElsewhere({ refusals }: PageParts, reached: Reached, change: ProfileChange): Also[] {
  const { profileId, messageId } = reached
  const refusing = profileId === null || messageId === null ? null : onlyRefusing(change)
  if (!refusing) return []
  return [
    async (tx, outcome) => {
      await refusals.elsewhere(tx, { profileId: profileId!, messageId }, refusing, outcome.profileId)
    },
  ]
}

/** What choices wish and refuse, as the parts of a change; those that they do not speak of are missing. */
export async function partsOf(
  parts: PageParts,
  { level, lists, templates, leavesSms }: Choices,
): Promise<Pick<ProfileChange, 'level' | 'lists' | 'templates' | 'sms'>> {
  return {
    ...(level ? { level } : {}),
    ...(await listsOf(parts, lists)),
    ...(await templatesOf(parts, templates)),
    ...(leavesSms ? { sms: { marketing: 'opt-out' } } : {}),
  }
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

async function savedOf(parts: PageParts, visit: Visit, choices: Choices, outcome: ChangeOutcome): Promise<Saved> {
  const { person } = visit
  if (!outcome.ok) return { ...NOTHING_SAVED, profileId: person?.id ?? 0, was: person?.level ?? 'none' }
  const { stayed } = outcome
  const [lists, templates] = await Promise.all([
    parts.lists.byIds([...outcome.joined, ...outcome.left, ...stayed.lists]),
    outcome.templates.size + stayed.templates.length > 0 ? parts.templates.byNames([...choices.templates.keys()]) : [],
  ])
  const nameOf = (id: number) => lists.get(id)?.name ?? ''
  const smsBefore = person?.sms.marketing ?? null
  return {
    profileId: outcome.profileId,
    result: outcome.levelOutcome === 'superseded' ? 'superseded' : 'saved',
    decided: outcome.decided,
    was: outcome.levelBefore,
    changedLevel: outcome.levelOutcome === 'applied',
    joined: outcome.joined.map(nameOf),
    left: outcome.left.map(nameOf),
    templates: [...templates].flatMap(([name, { id }]): Array<[string, boolean]> => {
      const out = outcome.templates.get(id)
      return out === undefined ? [] : [[name, out]]
    }),
    stayed: [
      ...stayed.lists.map(nameOf),
      ...[...templates].flatMap(([name, { id }]) => (stayed.templates.includes(id) ? [name] : [])),
    ],
    smsWas: choices.leavesSms && smsBefore !== 'opt-out' ? { was: smsBefore } : null,
  }
}
