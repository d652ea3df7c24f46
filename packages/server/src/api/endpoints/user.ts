import { Type } from 'typebox'
import type { Level } from '../../consent/levels.ts'
import { parseAddress } from '../../profiles/address.ts'
import type { Act, ChangeOutcome, PersonRef, ProfileChange } from '../../profiles/change.ts'
import { map, time } from '../coerce.ts'
import { askForConfirmation } from '../confirmation.ts'
import type { Context, Endpoint } from '../endpoints.ts'
import { type ApiError, invalidEmail, keyConflict, unknownTemplate, userNotFound } from '../errors.ts'
import type { Params } from '../parameters.ts'
import type { ApiParts } from '../parts.ts'
import type { People } from '../people.ts'
import {
  choice,
  readAct,
  readChoices,
  readKeys,
  readLevelParam,
  readPerson,
  readPersonVars,
  requiredPerson,
} from '../person-params.ts'
import { readFields, showUser } from '../user-fields.ts'
import { anyMap, choices, consentSchema, orNull } from './schemas.ts'

const CONFLICT = ['error', 'merge'] as const
const SMS = ['opt-in', 'opt-out'] as const
const SMS_MORE = ['opt-in', 'opt-out', 'pending', 'double-opt-in'] as const
const KINDS = ['email', 'sid', 'extid', 'cookie', 'sms', 'fb', 'twitter']

const person = {
  id: Type.String({ description: 'Whom: the value of a key', maxLength: 255 }),
  key: Type.Optional(
    Type.Enum(KINDS, { description: 'Which key; default `email`, or `sid` for 24 hexadecimal digits' }),
  ),
}
const fields = Type.Optional(
  anyMap(
    'The fields to answer, each with 1: `keys`, `vars`, `lists`, `optout_email`, `activity`, `optout_templates` …',
  ),
)

const saveParams = Type.Object({
  ...person,
  id: Type.Optional(person.id),
  keys: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'Keys to add or replace' })),
  keysconflict: Type.Optional(
    Type.Enum(['error', 'merge'], { description: 'When a key belongs to somebody else; default `error`' }),
  ),
  lists: Type.Optional(choices('1 joins, 0 leaves; lists are made when needed')),
  vars: Type.Optional(anyMap('Merged into the vars of the person; null deletes')),
  optout_email: Type.Optional(Type.Enum(['none', 'blast', 'basic', 'all', 'valid'], { description: 'Opt-out level' })),
  optout_templates: Type.Optional(choices('Template by template: 0 opts out, 1 opts back in')),
  optout_sms_status: Type.Optional(Type.Enum([...SMS])),
  sms_marketing_status: Type.Optional(Type.Enum([...SMS_MORE])),
  sms_transactional_status: Type.Optional(Type.Enum([...SMS_MORE])),
  pixel_tracking_consent: orNull(Type.Enum([...SMS])),
  login: Type.Optional(anyMap('Records a visit: `{site, user_agent, ip, time}`')),
  cookies: Type.Optional(anyMap('Anonymous browsing; taken and not used yet')),
  consent: Type.Optional(consentSchema),
  fields,
})

type Parts = Pick<ApiParts, 'db' | 'log' | 'settings' | 'lists' | 'profiles' | 'templates' | 'sends' | 'purchases'> & {
  people: People
}

/** `user`: people, their keys, vars, lists and what they agreed to. */
export function userEndpoint(parts: Parts): Endpoint {
  const { people, settings, lists, profiles, templates } = parts
  return {
    get: {
      summary: 'Show a person',
      params: Type.Object({ ...person, fields }),
      async handle({ now }, params) {
        const who = requiredPerson(readPerson(params))
        const wanted = readFields(params)
        const [{ timezone }, profile] = await Promise.all([settings.get(), people.find(who)])
        if (!profile) throw userNotFound(who.kind, String(who.value))
        return showUser(parts, profile, wanted, { now, zone: timezone })
      },
    },

    post: {
      summary: 'Create or change a person',
      params: saveParams,
      async handle(context, params) {
        const { timezone } = await settings.get()
        const wanted = readFields(params)
        const change = await readUserChange(context, params, timezone)
        const outcome = await profiles.change(change)
        if (!outcome.ok) throw refusal(outcome, change.person)
        const isPending = outcome.levelOutcome === 'needs_confirmation'
        if (isPending) await askForConfirmation(parts, outcome.profileId, change.act)
        // The person refused something later than the consent that the site attests.
        const isSuperseded = outcome.levelOutcome === 'superseded'
        if (!isPending && !isSuperseded && wanted === null) return { ok: true }
        const answer = { ok: true, ...(isPending && { pending: 1 }), ...(isSuperseded && { superseded: 1 }) }
        const profile = wanted && (await people.find({ kind: 'id', value: outcome.profileId }))
        if (!profile) return answer
        return { ...answer, ...(await showUser(parts, profile, wanted, { now: context.now, zone: timezone })) }
      },
    },

    delete: {
      summary: 'Delete a person; that they left is kept under a hash of the address',
      params: Type.Object(person),
      async handle(context, params) {
        const who = requiredPerson(readPerson(params))
        const act: Act = { via: 'api', evidence: 0, actor: context.apiKey.key }
        const outcome = await profiles.change({ person: who, create: false, act, erase: true })
        if (!outcome.ok) throw refusal(outcome, who)
        return { ok: true }
      },
    },
  }

  /** Everything in one change. Reads all parameters before it makes any list, so that a refused call leaves nothing. */
  async function readUserChange(context: Context, params: Params, zone: string): Promise<ProfileChange> {
    const given = readKeys(params)
    const person = requiredPerson(readPerson(params) ?? given.person)
    for (const email of [person.kind === 'email' ? person.value : null, given.keys?.email]) {
      if (email && !parseAddress(email)) throw invalidEmail(email)
    }
    const change: ProfileChange = {
      person,
      act: readAct(context, params, zone),
      keys: given.keys,
      keysConflict: choice(params, 'keysconflict', CONFLICT) ?? 'error',
      vars: readPersonVars(params),
      level: levelChange(readLevelParam(params, 'optout_email')),
      login: readLogin(params, context.now, zone),
      sms: readSms(params),
      pixelConsent: readPixelConsent(params),
    }
    const wishes = readChoices(params, 'optout_templates')
    const listWishes = readChoices(params, 'lists')
    if (wishes?.size) change.templates = await templateChanges(templates, wishes)
    if (listWishes?.size) change.lists = await listChanges(lists, listWishes)
    return change
  }
}

const levelChange = (to: Level | null): ProfileChange['level'] => (to === null ? undefined : { to, mode: 'set' })

/** What a refused change is in words of the API. */
export function refusal(outcome: Exclude<ChangeOutcome, { ok: true }>, who: PersonRef): ApiError {
  if (outcome.problem === 'invalid_email') return invalidEmail(outcome.email)
  if (outcome.problem === 'key_conflict') return keyConflict(outcome.kind)
  return userNotFound(who.kind, String(who.value))
}

/** Lists by id: those to join are made when they are new; nobody can leave a list that does not exist. */
export async function listChanges(
  lists: Parts['lists'],
  wishes: ReadonlyMap<string, boolean>,
): Promise<Map<number, boolean>> {
  const names = [...wishes.keys()]
  const joining = names.filter((name) => wishes.get(name))
  const leaving = names.filter((name) => !wishes.get(name))
  const ids = joining.length > 0 ? await lists.ensure(joining) : new Map<string, number>()
  if (leaving.length > 0) for (const [name, id] of await lists.find(leaving)) ids.set(name, id)
  const changes = new Map<number, boolean>()
  for (const [name, id] of ids) changes.set(id, wishes.get(name) ?? false)
  return changes
}

/** Template opt-outs by id: 0 is out, 1 is back in (docs/decisions/0003-optout-templates-polarity.md). */
export async function templateChanges(
  templates: Parts['templates'],
  wishes: ReadonlyMap<string, boolean>,
): Promise<NonNullable<ProfileChange['templates']>> {
  const found = await templates.byNames([...wishes.keys()])
  const changes = new Map<number, { out: boolean; name: string }>()
  for (const [name, isIn] of wishes) {
    const template = found.get(name)
    if (template) changes.set(template.id, { out: !isIn, name: template.publicName })
    else if (!isIn) throw unknownTemplate(name)
  }
  return changes
}

function readLogin(params: Params, now: Date, zone: string): ProfileChange['login'] {
  const login = map(params, 'login')
  if (login === null || Object.keys(login).length === 0) return undefined
  const at = time(login, 'time', now, zone, 'login[time]') ?? now
  return { at: at > now ? now : at }
}

function readSms(params: Params): ProfileChange['sms'] {
  const marketing = choice(params, 'sms_marketing_status', SMS_MORE) ?? choice(params, 'optout_sms_status', SMS)
  const transactional = choice(params, 'sms_transactional_status', SMS_MORE)
  if (marketing === null && transactional === null) return undefined
  return { ...(marketing && { marketing }), ...(transactional && { transactional }) }
}

/** Null is a value here: it takes an earlier answer back. */
function readPixelConsent(params: Params): ProfileChange['pixelConsent'] {
  return 'pixel_tracking_consent' in params ? choice(params, 'pixel_tracking_consent', SMS) : undefined
}
