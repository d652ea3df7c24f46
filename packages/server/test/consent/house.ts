import { sign } from '../../src/account/signature.ts'
import { openPages, type PageHouse, secret } from '../pages/support.ts'

/** The pages' house with its API and flows, for tests that go through every door. */
export interface ConsentHouse extends PageHouse {
  /** A signed call, as a client makes it. */
  api(method: 'GET' | 'POST' | 'DELETE', endpoint: string, params: object): Promise<{ [field: string]: unknown }>
  /** Publishes the flow that lifts opt-outs of people who join a list. */
  liftByJoining(list: string): Promise<void>
  /** Has flows react to everything that happened. */
  react(): Promise<void>
}

export async function openConsent(): Promise<ConsentHouse> {
  const pages = await openPages()
  const { app, services } = pages
  return {
    ...pages,
    async api(method, endpoint, params) {
      const leaves = { api_key: '0123456789abcdef', format: 'json', json: JSON.stringify(params) }
      const signed = new URLSearchParams({ ...leaves, sig: sign(Object.values(leaves), secret) })
      const response = await app.inject(
        method === 'POST'
          ? {
              method,
              url: `/${endpoint}`,
              headers: { 'content-type': 'application/x-www-form-urlencoded' },
              payload: signed.toString(),
            }
          : { method, url: `/${endpoint}?${signed}` },
      )
      return response.json()
    },
    async liftByJoining(list) {
      const published = await services.flows.publish({
        name: `Back by joining ${list}`,
        steps: {
          joined: { kind: 'entry', type: 'list_joined', params: { lists: [list] } },
          back_in: { kind: 'action', type: 'set_optout', params: { value: 'none' } },
        },
        edges: [{ from: 'joined', port: 'next', to: 'back_in' }],
      })
      if (!published.ok) throw new Error(JSON.stringify(published.problems))
    },
    async react() {
      const { dispatcher, engine } = services.flows
      while ((await dispatcher.dispatchOnce()) > 0 || (await engine.runOnce()).runs > 0);
    },
  }
}
