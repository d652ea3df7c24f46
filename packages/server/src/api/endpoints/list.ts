import { Type } from 'typebox'
import type { List, ListChange, ListRef } from '../../lists/lists.ts'
import { MAX_PRIMARY_LISTS } from '../../lists/lists.ts'
import type { Json } from '../../platform/json.ts'
import { formatRfc2822 } from '../../platform/time-text.ts'
import { parseAddress } from '../../profiles/address.ts'
import type { Act } from '../../profiles/change.ts'
import { bool01, commaList, map, required, text } from '../coerce.ts'
import type { Context, Endpoint } from '../endpoints.ts'
import { invalidEmail, invalidValue, missingParameter, tooManyPrimaryLists, unknownList } from '../errors.ts'
import type { Params } from '../parameters.ts'
import type { ApiParts } from '../parts.ts'
import { choice, nameText, readVars } from '../person-params.ts'
import { flag, nameOf, orNull } from './schemas.ts'

const TYPES = ['normal', 'smart'] as const
/** Addresses that one call may add; more belong into an import. */
const MOST_EMAILS = 1_000

const listParams = {
  list: Type.Optional(nameOf('the list')),
  list_id: Type.Optional(Type.String({ description: 'The id of the list, in place of its name' })),
}

/** `list`: natural and smart lists. */
export function listEndpoint({
  lists,
  profiles,
  settings,
}: Pick<ApiParts, 'lists' | 'profiles' | 'settings'>): Endpoint {
  return {
    get: {
      summary: 'Show one list, or all of them',
      params: Type.Object({
        ...listParams,
        fields: Type.Optional(Type.Record(Type.String(), flag(), { description: '`vars`: show the vars too' })),
        primary: Type.Optional(flag('Only primary lists')),
        type: Type.Optional(Type.Enum(['normal', 'smart'], { description: 'Only lists of this type' })),
      }),
      async handle(_, params) {
        const ref = readRef(params)
        const { timezone } = await settings.get()
        if (ref === null) return { lists: await collection(params, timezone) }
        const list = await lists.get(ref)
        if (!list) throw unknownList(nameIn(ref))
        const fields = map(params, 'fields')
        return single(list, timezone, fields !== null && bool01(fields, 'vars', 'fields[vars]') === true)
      },
    },

    post: {
      summary: 'Create or change a list',
      params: Type.Object({
        ...listParams,
        primary: Type.Optional(flag(`Offer it on sign-up and preference pages; at most ${MAX_PRIMARY_LISTS}`)),
        type: orNull(Type.Enum(['normal', 'smart'], { description: 'Default `normal`; null leaves it as it is' })),
        query: Type.Optional(Type.Unknown({ description: 'The query of a smart list; empty leaves it as it is' })),
        public_name: Type.Optional(Type.String({ description: 'What members see' })),
        vars: Type.Optional(
          Type.Record(Type.String(), Type.Unknown(), { description: 'Vars of the list; empty leaves them' }),
        ),
        emails: Type.Optional(
          Type.Array(Type.String(), { description: `Add these addresses, at most ${MOST_EMAILS}` }),
        ),
      }),
      async handle(context, params) {
        const ref = readRef(params)
        if (ref === null) throw missingParameter('list')
        const change = readChange(params)
        const emails = commaList(params, 'emails') ?? []
        if (emails.length > MOST_EMAILS) throw invalidValue('emails', `at most ${MOST_EMAILS} addresses`)
        for (const email of emails) if (!parseAddress(email)) throw invalidEmail(email)
        const outcome = await lists.save(ref, change)
        if (!outcome.ok) {
          if (outcome.problem === 'too_many_primary') throw tooManyPrimaryLists(MAX_PRIMARY_LISTS)
          throw outcome.problem === 'unknown_list' ? unknownList(nameIn(ref)) : missingParameter('query')
        }
        const { list, created } = outcome
        const refused = emails.length > 0 ? await join(context, list.id, emails) : 0
        const { timezone } = await settings.get()
        const answer = await single(list, timezone, true)
        if (created && emails.length === 0) return { ...answer, count: null }
        // People who left the list are not put back by a file of addresses.
        return refused > 0 ? { ...answer, left_count: refused } : answer
      },
    },

    delete: {
      summary: 'Delete a list; its members stay as people',
      params: Type.Object(listParams),
      async handle(context, params) {
        const ref = readRef(params)
        if (ref === null) throw missingParameter('list')
        const list = await lists.remove(ref, context.apiKey.key)
        if (!list) throw unknownList(nameIn(ref))
        return { list: list.name, ok: true }
      },
    },
  }

  async function collection(params: Params, timezone: string): Promise<unknown[]> {
    const type = choice(params, 'type', TYPES) ?? undefined
    const isPrimary = bool01(params, 'primary') || undefined
    const found = await lists.all({ type, isPrimary })
    const counts = await lists.counts(found.map(({ id }) => id))
    return found.map((list) => ({
      list_id: list.hexId,
      name: list.name,
      email_count: counts.get(list.id)?.emails ?? 0,
      valid_count: counts.get(list.id)?.valid ?? 0,
      create_time: formatRfc2822(list.createdAt, timezone),
      type: list.type,
    }))
  }

  async function single(list: List, timezone: string, withVars: boolean): Promise<Record<string, unknown>> {
    const counts = await lists.counts([list.id])
    return {
      list_id: list.hexId,
      list: list.name,
      create_time: formatRfc2822(list.createdAt, timezone),
      send_time: list.sentAt && formatRfc2822(list.sentAt, timezone),
      count: counts.get(list.id)?.emails ?? 0,
      type: list.type,
      primary: list.isPrimary,
      public_name: list.publicName,
      ...(withVars && { vars: list.vars }),
    }
  }

  /** @returns how many of them had left the list and stay away */
  async function join(context: Context, listId: number, emails: string[]): Promise<number> {
    const act: Act = { via: 'api', evidence: 0, actor: context.apiKey.key, listSource: 'bulk' }
    const outcomes = await profiles.changeAll(
      emails.map((value) => ({ person: { kind: 'email', value }, act, lists: new Map([[listId, true]]) })),
    )
    return outcomes.filter((outcome) => outcome.ok && outcome.stayed.lists.length > 0).length
  }
}

/** Null for "all lists": the Node client asks for them with an empty name. */
function readRef(params: Params): ListRef | null {
  const name = nameText(params, 'list')
  if (name) return { name }
  const hexId = nameText(params, 'list_id')
  return hexId ? { hexId: hexId.toLowerCase() } : null
}

const nameIn = (ref: ListRef) => ('name' in ref ? ref.name : ref.hexId)

/** PHP always sends `type: null, query: [], vars: []` along: none of them changes anything. `primary` does. */
function readChange(params: Params): ListChange {
  const vars = readVars(params)
  const query = params.query as Json | undefined
  const isEmpty = query === null || query === '' || (typeof query === 'object' && Object.keys(query).length === 0)
  return {
    type: choice(params, 'type', TYPES) ?? undefined,
    isPrimary: bool01(params, 'primary') ?? undefined,
    query: query === undefined || isEmpty ? undefined : required(query, 'query'),
    publicName: text(params, 'public_name') ?? undefined,
    vars: vars && Object.keys(vars).length > 0 ? vars : undefined,
  }
}
