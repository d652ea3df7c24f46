import type { StartedFairlead } from '../packages/server/test/support/fairlead.ts'
import { formRequest, getRequest, load } from './load.ts'
import type { BenchOptions, Measure } from './measure.ts'
import { memory } from './processes.ts'
import { CONNECTIONS, compare } from './rounds.ts'
import { call, signedForm } from './sailthru.ts'
import { startBare, startMeasured } from './servers.ts'

/** More than any server here answers in a round. */
const A_ROUND = 40_000
/** People who exist before the calls about existing people. */
const PEOPLE = 20_000

const TEMPLATE = 'Order shipped'
const html = `<!DOCTYPE html><html><body><p>Hello {first_name}, order {order} is on its way to {city}.</p>
<p><a href="{optout_confirm_url}">Stop these messages</a></p></body></html>`

/** API calls of 32 clients, each answered when it is on the disk. */
export async function run(options: BenchOptions = { profile: null }): Promise<Measure[]> {
  const fairlead = await startMeasured(options)
  try {
    return await measure(fairlead)
  } finally {
    await fairlead.remove()
  }
}

async function measure(fairlead: StartedFairlead): Promise<Measure[]> {
  const person = (number: number | string) => `person${number}@example.com`
  const post = (endpoint: string, params: object) => formRequest(`/${endpoint}`, signedForm(params, fairlead))
  const details = (visits: number) => ({ first_name: 'Ada', city: 'Lisbon', visits, interests: ['sea', 'stars'] })
  const save = (number: number | string, visits: number) =>
    post('user', { id: person(number), key: 'email', vars: details(visits), lists: { Weekly: 1 } })

  await call(fairlead, 'POST', 'template', {
    template: TEMPLATE,
    subject: 'On its way, {first_name}',
    content_html: html,
  })
  await call(fairlead, 'POST', 'list', { list: 'Weekly' })
  await load({
    port: fairlead.port,
    connections: CONNECTIONS,
    requests: Array.from({ length: PEOPLE }, (_, number) => save(number, 0)),
    milliseconds: 60_000,
  })
  const ask = { id: person(1), key: 'email' }
  const sendParams = (number: number) => ({
    template: TEMPLATE,
    email: person(number % PEOPLE),
    vars: { order: `A-${number}`, total: 4_200 },
    // Acceptance alone: what delivery takes of the two cores is measured by its own benchmark.
    schedule_time: '+1 day',
  })
  const bare = await startBare({
    'POST /user': { ok: true },
    'GET /user': await call(fairlead, 'GET', 'user', ask),
    'POST /send': await call(fairlead, 'POST', 'send', sendParams(0)),
  })
  const both = { fairlead, bare }
  try {
    return [
      ...(await compare({
        ...both,
        name: 'POST user, new people',
        requests: (round) => Array.from({ length: A_ROUND }, (_, number) => save(`${round}.${number}`, 0)),
        bar: { atLeast: 0.5 },
      })),
      ...(await compare({
        ...both,
        name: 'POST user, existing people',
        requests: (round) => Array.from({ length: PEOPLE }, (_, number) => save(number, round + 1)),
        repeat: true,
        bar: { atLeast: 0.5 },
      })),
      ...(await compare({
        ...both,
        name: 'GET user',
        requests: () =>
          Array.from({ length: PEOPLE }, (_, number) =>
            getRequest(`/user?${signedForm({ id: person(number), key: 'email' }, fairlead)}`),
          ),
        repeat: true,
      })),
      ...(await compare({
        ...both,
        name: 'POST send',
        requests: (round) =>
          Array.from({ length: A_ROUND }, (_, number) => post('send', sendParams(round * A_ROUND + number))),
        bar: { atLeast: 0.4 },
      })),
      ...memory(fairlead, 'after the calls'),
    ]
  } finally {
    await bare.stop()
  }
}
