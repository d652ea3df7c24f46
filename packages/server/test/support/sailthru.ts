import { createRequire } from 'node:module'

type Done = (error: unknown, body: unknown) => void

/** The parts of the public Node client that the tests use. */
interface Client {
  disableLogging(): void
  apiGet(action: string, data: object, done: Done): void
  apiPost(action: string, data: object, done: Done): void
  apiDelete(action: string, data: object, done: Done): void
}

const { createSailthruClient } = createRequire(import.meta.url)('sailthru-client') as {
  createSailthruClient(key: string, secret: string, options: { apiUrl: string }): Client
}

/** What the client tells of a call. */
export interface Called {
  /** HTTP status; 0 when there was no answer that could be read. */
  status: number
  /** Code of the error catalogue; null when the call succeeded, 0 without an answer. */
  error: number | null
  body: Record<string, unknown>
}

/** The public client with promises: calls end with what came, and reject never. */
export interface Sailthru {
  get(endpoint: string, params: object): Promise<Called>
  post(endpoint: string, params: object): Promise<Called>
  delete(endpoint: string, params: object): Promise<Called>
}

/** The public `sailthru-client`, pointed at a server of this machine. */
export function sailthruClient(server: { url: string; key: string; secret: string }): Sailthru {
  const client = createSailthruClient(server.key, server.secret, { apiUrl: `${server.url}/` })
  client.disableLogging()
  const call = (ask: (done: Done) => void) =>
    new Promise<Called>((resolve) =>
      ask((failure, body) => {
        const { statusCode = 0, error = 0 } = (failure ?? { statusCode: 200 }) as {
          statusCode?: number
          error?: number
        }
        resolve({
          status: statusCode,
          error: failure ? error : null,
          body: typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {},
        })
      }),
    )
  return {
    get: (endpoint, params) => call((done) => client.apiGet(endpoint, params, done)),
    post: (endpoint, params) => call((done) => client.apiPost(endpoint, params, done)),
    delete: (endpoint, params) => call((done) => client.apiDelete(endpoint, params, done)),
  }
}
