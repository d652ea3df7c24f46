import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { definitionSchema, type FlowDefinition } from '../../src/flows/definition.ts'
import { STEP_TYPES } from '../../src/flows/steps/index.ts'
import { problemText } from '../../src/flows/validate.ts'
import { backByJoining, type House, house, line } from './support.ts'

let h: House
beforeAll(async () => {
  h = await house()
  await h.template('Welcome')
  await h.lists.save({ name: 'Clever' }, { type: 'smart', query: {} })
})
afterAll(() => h.drop())

/** What is wrong with a flow, each problem in one line. */
async function problems(definition: unknown): Promise<string[]> {
  const reviewed = await h.flows.check(definition)
  return reviewed.problems.map((problem) => `${problem.severity}: ${problemText(problem)}`)
}

const steps = {
  joined: { kind: 'entry', type: 'list_joined', params: { lists: ['Weekly'] } },
  hello: { kind: 'action', type: 'send_email', params: { template: 'Welcome' } },
  wait: { kind: 'wait', type: 'time', params: { for: { amount: 1, unit: 'days' } } },
}
const edges = [
  { from: 'joined', port: 'next', to: 'hello' },
  { from: 'hello', port: 'next', to: 'wait' },
]

describe('publishing', () => {
  it('makes a version that is in force at once, keeps lineages, and knows the same definition again', async () => {
    const flow = backByJoining('Weekly')
    const first = await h.publish(flow)
    expect(first).toMatchObject({ version: 1, isNew: true })
    expect(await h.publish(flow)).toMatchObject({ flowId: first.flowId, version: 1, isNew: false })
    const changed = { ...flow, description: 'more of it' }
    expect(await h.publish(changed)).toMatchObject({ flowId: first.flowId, version: 2, isNew: true })
    const rows = await h.db.selectFrom('flow_version').selectAll().where('flow_id', '=', first.flowId).execute()
    const [one, two] = rows.map(({ definition }) => definition)
    expect(two?.steps.back_in?.lineage).toBe(one?.steps.back_in?.lineage)
    expect(one?.settings).toEqual({
      timezone: 'UTC',
      reentry: { allowed: true, blockWhilePresent: true, minInterval: null },
    })
    const list = (await h.lists.find(['Weekly'])).get('Weekly')
    const triggers = await h.db.selectFrom('flow_trigger').selectAll().where('flow_id', '=', first.flowId).execute()
    expect(triggers).toEqual([{ type: 'list_joined', key: String(list), flow_id: first.flowId, version: 2 }])
  })

  it('of many publishers at once, each makes a version of its own', async () => {
    const flows = Array.from({ length: 8 }, (_, n) => ({ ...backByJoining('Crowded'), description: `${n}` }))
    const published = await Promise.all(flows.map((flow) => h.publish(flow)))
    expect(published.map(({ version }) => version).sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(new Set(published.map(({ flowId }) => flowId)).size).toBe(1)
  })

  it('says that it makes missing lists, and that some people are asked first', async () => {
    expect(await problems(backByJoining('Brand new'))).toEqual([
      'warning: step "joined": there is no list "Brand new" yet: publishing makes it',
      'warning: step "back_in": it lifts opt-outs, but not always at once (hosted_page: at once from signed pages, else ' +
        'after confirmation; site_form: after confirmation; link_param: after confirmation)',
    ])
    expect(await problems(backByJoining('Weekly', { sources: ['confirm_link'] }))).toEqual([])
    expect((await h.lists.find(['Brand new'])).size).toBe(0)
  })
})

describe('what is wrong with a flow, in words', () => {
  it.each<[string, object, string]>([
    ['no entry', { steps: { hello: steps.hello } }, 'it has no entry, so nobody could ever start it'],
    ['two entries', { steps: { ...steps, again: steps.joined }, edges }, 'it has 2 entries (joined, again): keep one'],
    ['a step out of reach', { steps, edges: edges.slice(0, 1) }, 'step "wait": no way leads to it from the entry'],
    [
      '72: a circle',
      { steps, edges: [...edges, { from: 'wait', port: 'next', to: 'hello' }] },
      'step "hello": the steps go in a circle: hello → wait → hello',
    ],
    [
      'a way back to the entry',
      { steps, edges: [...edges, { from: 'wait', port: 'next', to: 'joined' }] },
      'step "joined": the edge wait –next→ joined leads back to the entry',
    ],
    [
      'a port that is not there',
      { steps, edges: [edges[0], { from: 'hello', port: 'yes', to: 'wait' }] },
      'step "hello": it has no port "yes"; its ports are next, not_sent',
    ],
    [
      'two ways out of one port',
      { steps, edges: [...edges, { from: 'joined', port: 'next', to: 'wait' }] },
      'step "joined": more than one edge leaves its port "next": keep one',
    ],
    [
      'an edge to nowhere',
      { steps, edges: [...edges, { from: 'wait', port: 'next', to: 'hallo' }] },
      'the edge wait –next→ hallo names hallo, which is not a step of this flow',
    ],
    [
      'a mistyped type',
      { steps: { ...steps, hello: { ...steps.hello, type: 'send_mail' } }, edges },
      'step "hello": this version knows no action "send_mail": did you mean "send_email"?',
    ],
    [
      'a missing parameter',
      { steps: { ...steps, hello: { ...steps.hello, params: {} } }, edges },
      'step "hello": params: template is missing',
    ],
    [
      'an unknown parameter',
      { steps: { ...steps, hello: { ...steps.hello, params: { template: 'Welcome', to: 1 } } }, edges },
      'step "hello": params: to is not known here',
    ],
    [
      'a template that nobody made',
      { steps: { ...steps, hello: { ...steps.hello, params: { template: 'Wellcome' } } }, edges },
      'step "hello": there is no template "Wellcome": create it, or correct the name',
    ],
    [
      'a smart list',
      { steps: { ...steps, joined: { ...steps.joined, params: { lists: ['Clever'] } } }, edges },
      'step "joined": "Clever" is a smart list; nobody joins one, so choose a natural list',
    ],
    [
      'too long a wait',
      { steps: { ...steps, wait: { ...steps.wait, params: { for: { amount: 53, unit: 'weeks' } } } }, edges },
      'step "wait": it is longer than 366 days',
    ],
    [
      'a time that no clock shows',
      { steps: { ...steps, wait: { ...steps.wait, params: { at: '9:00' } } }, edges },
      'step "wait": params: at is not written as it must be',
    ],
    [
      'an unknown zone',
      { steps, edges, settings: { timezone: 'Mars/Olympus' } },
      'Mars/Olympus is not an IANA time zone',
    ],
    ['an unknown setting', { steps, edges, settings: { quietHours: {} } }, 'settings.quietHours is not known here'],
    ['no steps', { steps: {}, edges: [] }, 'steps needs at least 1 of them'],
    ['steps that are a list', { steps: [], edges: [] }, 'steps is an object'],
    ['no name', { name: '', steps, edges }, 'name may not be empty'],
  ])('%s', async (_what, flow, expected) => {
    const found = await problems({ name: 'Faulty', edges: [], ...flow })
    expect(found.join('\n')).toContain(expected)
  })

  it.each([null, 7, 'flow', [], {}, { name: 'x' }, { name: 'x', steps: null, edges: {} }])(
    'anything else that is no flow: %j',
    async (candidate) => {
      const reviewed = await h.flows.publish(candidate)
      expect(reviewed.ok).toBe(false)
      expect(await h.db.selectFrom('flow').select('name').where('name', '=', 'x').execute()).toEqual([])
    },
  )

  it('two steps of one lineage', async () => {
    const lineage = '7d1f6c1e-52a4-4d0e-9f1a-0d4a3d0f6a01'
    const twins = { ...steps, hello: { ...steps.hello, lineage }, wait: { ...steps.wait, lineage } }
    expect(await problems({ name: 'Twins', steps: twins, edges })).toContain(
      'error: step "wait": it has the same lineage as hello',
    )
  })
})

it('the schema of definitions names every type of step', () => {
  const schema = JSON.stringify(definitionSchema(STEP_TYPES))
  for (const { type } of STEP_TYPES) expect(schema).toContain(`"const":"${type}"`)
})

it('a flow leaves the database as it went in', async () => {
  const flow = line('Round trip', [['joined', 'list_joined', { lists: ['Weekly'] }]])
  const { flowId } = await h.publish(flow)
  const row = await h.db
    .selectFrom('flow_version')
    .select('definition')
    .where('flow_id', '=', flowId)
    .executeTakeFirst()
  const definition = row?.definition as FlowDefinition
  expect(await h.publish(definition)).toMatchObject({ isNew: false })
})
