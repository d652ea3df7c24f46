import Type, { type Static } from 'typebox'
import type { ListSource } from '../../profiles/change.ts'
import { listSourceOf } from '../cause.ts'
import type { EntryStep, Problem } from './step-type.ts'

const SOURCES = [
  'hosted_page',
  'site_form',
  'confirm_link',
  'link_param',
  'user_api',
  'flow',
  'bulk',
  'ui',
] as const satisfies ListSource[]

/** Files and screens move many people at once, who did nothing just now: only on demand. */
const DEFAULT_SOURCES: readonly ListSource[] = SOURCES.filter((source) => source !== 'bulk' && source !== 'ui')

const Params = Type.Object(
  {
    lists: Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: 50, uniqueItems: true }),
    fireOn: Type.Optional(Type.Enum(['joined', 'joined_or_resubscribed'])),
    sources: Type.Optional(Type.Array(Type.Enum(SOURCES), { minItems: 1, uniqueItems: true })),
    trustApiResubscribe: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)
type Params = Static<typeof Params>

/**
 * *List Joined*: somebody comes onto a natural list, or, being on it still, asks for it again after opting out.
 * Opting out leaves memberships alone, so without the second half nobody could come back this way.
 */
export const listJoined: EntryStep<Params> = {
  kind: 'entry',
  type: 'list_joined',
  title: 'List Joined',
  params: Params,
  ports: () => ['next'],
  lists: (params) => params.lists,
  sources: (params) => params.sources ?? DEFAULT_SOURCES,

  triggers(params, listIds) {
    return params.lists.flatMap((name) => {
      const id = listIds.get(name)
      return id === undefined ? [] : [{ type: 'list_joined', key: String(id) }]
    })
  },

  accepts(params, signal) {
    const source = listSourceOf(signal.source)
    if (signal.payload.wasMember === true) {
      if (params.fireOn === 'joined') return 'unmeant'
      // Servers repeat the state of lists at every login; that is not somebody asking to come back.
      if (source === 'user_api' && !params.trustApiResubscribe) return 'unmeant'
    }
    return (params.sources ?? DEFAULT_SOURCES).includes(source) ? 'yes' : 'filtered'
  },

  async review(params, { lists }) {
    const ids = await lists.find(params.lists)
    const found = await lists.byIds([...ids.values()])
    return params.lists.flatMap((name): Array<Omit<Problem, 'step'>> => {
      const id = ids.get(name)
      const type = id === undefined ? undefined : found.get(id)?.type
      if (type === undefined) {
        return [{ severity: 'warning', message: `there is no list "${name}" yet: publishing makes it` }]
      }
      if (type === 'normal') return []
      return [{ severity: 'error', message: `"${name}" is a smart list; nobody joins one, so choose a natural list` }]
    })
  },
}
