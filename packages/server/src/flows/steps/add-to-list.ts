import Type, { type Static } from 'typebox'
import type { Effect, PassedStep, Problem, References } from './step-type.ts'

const Params = Type.Object(
  {
    lists: Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { minItems: 1, maxItems: 50, uniqueItems: true }),
  },
  { additionalProperties: false },
)
type Params = Static<typeof Params>

/** *Add to List*: natural lists, made when missing. The opt-out stays as it is. */
export const addToList: PassedStep<Params, Map<string, number>> = {
  kind: 'action',
  type: 'add_to_list',
  title: 'Add to List',
  params: Params,
  ports: () => ['next'],

  async review(params, references) {
    const smart = await smartAmong(params.lists, references)
    return smart.map((name): Omit<Problem, 'step'> => ({ severity: 'error', message: smartProblem(name) }))
  },

  async prepare(params, references) {
    const [smart] = await smartAmong(params.lists, references)
    if (smart !== undefined) return { ok: false, problem: smartProblem(smart) }
    return { ok: true, ready: await references.lists.ensure(params.lists) }
  },

  async arrive(visit, params, ids) {
    const outcome = await visit.change({ lists: new Map(params.lists.map((name) => [ids.get(name)!, true])) }, 'flow')
    if (!outcome.ok) return { type: 'gone' }
    const effects = params.lists.map((name): Effect => {
      const list = ids.get(name)!
      const stayed = outcome.stayed.lists.includes(list)
      const joined = outcome.joined.includes(list)
      // Who left a list is not put back by a flow.
      return {
        kind: 'list',
        outcome: stayed ? 'skipped left_before' : joined ? 'joined' : 'noop',
        detail: { list, name },
      }
    })
    const joined = effects.filter((effect) => effect.outcome === 'joined').map(({ detail }) => detail.name!)
    return {
      type: 'go',
      port: 'next',
      effects,
      log: joined.length > 0 ? [{ type: 'list.changed', data: { joined } }] : [],
    }
  },
}

const smartProblem = (name: string) => `"${name}" is a smart list, to which nobody can be added`

async function smartAmong(names: readonly string[], { lists }: References): Promise<string[]> {
  const ids = await lists.find(names)
  const found = await lists.byIds([...ids.values()])
  return [...found.values()].filter(({ type }) => type !== 'normal').map(({ name }) => name)
}
