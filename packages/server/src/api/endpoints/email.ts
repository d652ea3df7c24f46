import { Type } from 'typebox'
import { formatRfc2822 } from '../../platform/time-text.ts'
import { parseAddress } from '../../profiles/address.ts'
import type { ProfileChange, ProfileState } from '../../profiles/change.ts'
import { isVerified, setVerified } from '../../profiles/verified.ts'
import { recentSends } from '../../sends/read.ts'
import type { Answer } from '../answer.ts'
import { bool01, integer, required, text } from '../coerce.ts'
import { askForConfirmation } from '../confirmation.ts'
import type { Endpoint, Operation } from '../endpoints.ts'
import { invalidEmail, invalidValue, unknownTemplate } from '../errors.ts'
import type { Params } from '../parameters.ts'
import type { ApiParts } from '../parts.ts'
import type { People } from '../people.ts'
import { nameText, readAct, readChoices, readLevelParam, readPersonVars, readVars } from '../person-params.ts'
import { showSend } from '../send-view.ts'
import { templateOptouts } from '../user-fields.ts'
import { anyMap, choices, consentSchema, flag, nameOf } from './schemas.ts'
import { listChanges, refusal, templateChanges } from './user.ts'

/** Messages that one call can ask for. */
const MOST_RECENT = 10

const email = Type.String({ description: 'The address' })

type Parts = Pick<ApiParts, 'db' | 'log' | 'settings' | 'links' | 'lists' | 'profiles' | 'templates' | 'sends'> & {
  people: People
}

/**
 * `email`: the older way to people, by address only.
 * @param post the operation of `send`, which `send` in a call here means
 */
export function emailEndpoint(parts: Parts, post: Operation): Endpoint {
  const { db, people, settings, lists, profiles, templates, sends } = parts
  return {
    get: {
      summary: 'Show what is known of an address (older form of user)',
      params: Type.Object({
        email,
        recent_sends: Type.Optional(Type.Integer({ description: `Show so many messages, at most ${MOST_RECENT}` })),
        recent_blasts: Type.Optional(Type.Integer({ description: 'Show so many campaigns; there are none yet' })),
      }),
      async handle(_, params) {
        const address = readAddress(params)
        const wanted = howMany(params, 'recent_sends')
        const blasts = howMany(params, 'recent_blasts')
        const { timezone } = await settings.get()
        const profile = await people.find({ kind: 'email', value: address })
        const records = profile && wanted ? await recentSends(db, profile.id, wanted) : []
        return {
          ...(await show(address, profile, timezone)),
          ...(wanted && {
            recent_sends: records.map((one) => showSend(parts, sends.sendIdOf(one.messageId), one, timezone)),
          }),
          ...(blasts && { recent_blasts: [] }),
        }
      },
    },

    post: {
      summary: 'Create or change a person (older form of user)',
      params: Type.Object({
        email,
        vars: Type.Optional(anyMap('Merged into the vars of the person')),
        lists: Type.Optional(choices('1 joins, 0 leaves')),
        templates: Type.Optional(choices('Template by template: 0 opts out, 1 opts back in')),
        verified: Type.Optional(flag("The caller's own note; without any effect on sending")),
        optout: Type.Optional(Type.Enum(['none', 'blast', 'basic', 'all'])),
        send: Type.Optional(nameOf('a template to send after saving')),
        send_vars: Type.Optional(anyMap('Vars of that message')),
        change_email: Type.Optional(Type.String({ description: 'The old address of the person' })),
        consent: Type.Optional(consentSchema),
      }),
      async handle(context, params) {
        const { timezone } = await settings.get()
        const address = readAddress(params)
        const sending = await readSend(params, address)
        const change: ProfileChange = {
          ...personIn(params, address),
          act: readAct(context, params, timezone),
          vars: readPersonVars(params),
        }
        const level = readLevelParam(params, 'optout')
        if (level) change.level = { to: level, mode: 'set' }
        const templateWishes = readChoices(params, 'templates')
        const listWishes = readChoices(params, 'lists')
        if (templateWishes?.size) change.templates = await templateChanges(templates, templateWishes)
        if (listWishes?.size) change.lists = await listChanges(lists, listWishes)

        const verified = bool01(params, 'verified')
        const outcome = await profiles.change(change)
        if (!outcome.ok) throw refusal(outcome, change.person)
        if (verified !== null) await setVerified(db, outcome.profileId, verified)
        const isPending = outcome.levelOutcome === 'needs_confirmation'
        if (isPending) await askForConfirmation(parts, outcome.profileId, change.act)
        // What a refused message answers comes after the saving, which stands.
        if (sending) await post.handle(context, sending)
        const profile = await people.find({ kind: 'id', value: outcome.profileId })
        return { ...(await show(address, profile, timezone)), ...(isPending && { pending: 1 }) }
      },
    },
  }

  async function readSend(params: Params, address: string): Promise<Params | null> {
    const template = nameText(params, 'send')
    if (!template) return null
    if (!(await templates.byName(template))) throw unknownTemplate(template)
    return { template, email: address, vars: (readVars(params, 'send_vars') ?? {}) as Params }
  }

  async function show(address: string, profile: ProfileState | null, zone: string): Promise<Answer> {
    const nobody = { email: address, vars: [], optout: 'none', verified: 0, hardbounce: 0 }
    if (!profile) return nobody
    const names = await lists.byIds([...profile.lists.keys()])
    const joined = [...profile.lists].flatMap(([id, at]) => {
      const name = names.get(id)?.name
      return name === undefined ? [] : [[name, at] as const]
    })
    const mailbox = await people.deliverability(profile)
    return {
      ...nobody,
      email: profile.email ?? address,
      lists: Object.fromEntries(joined.map(([name]) => [name, 1])),
      // An empty map is an empty array here, as it always was.
      vars: Object.keys(profile.vars).length > 0 ? profile.vars : [],
      templates: await templateOptouts(parts, profile),
      optout: profile.level,
      verified: (await isVerified(db, profile.id)) ? 1 : 0,
      hardbounce: mailbox === 'hardbounce' || mailbox === 'invalid' ? 1 : 0,
      lists_signup: Object.fromEntries(joined.map(([name, at]) => [name, formatRfc2822(at, zone)])),
    }
  }
}

/** Null when none are wanted. */
function howMany(params: Params, name: string): number | null {
  const wanted = integer(params, name)
  if (wanted !== null && (wanted < 0 || wanted > MOST_RECENT)) throw invalidValue(name, `0 to ${MOST_RECENT}`)
  return wanted || null
}

function readAddress(params: Params): string {
  const address = required(text(params, 'email'), 'email').trim()
  if (!parseAddress(address)) throw invalidEmail(address)
  return address
}

/** Whom a call is about: with `change_email`, whoever has the old address, which `email` replaces. */
function personIn(params: Params, address: string): Pick<ProfileChange, 'person' | 'create' | 'keys'> {
  const old = text(params, 'change_email')?.trim()
  if (!old) return { person: { kind: 'email', value: address } }
  if (!parseAddress(old)) throw invalidEmail(old)
  return { person: { kind: 'email', value: old }, create: false, keys: { email: address } }
}
