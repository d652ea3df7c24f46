import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { text as textOf } from 'node:stream/consumers'
import Fastify, { type FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { sign } from '../../src/account/signature.ts'
import { text } from '../../src/api/coerce.ts'
import { registerDocs } from '../../src/api/docs-page.ts'
import { type ApiDoor, appOptions, defaultBodyLimit, registerApi } from '../../src/api/door.ts'
import type { Endpoints } from '../../src/api/endpoints.ts'
import { refusedRecipient } from '../../src/api/errors.ts'
import { leaves } from '../../src/api/parameters.ts'
import { documentedLimits } from '../../src/api/rate-limit.ts'
import { readParams } from '../../src/api/request.ts'
import { type MovableClock, movableClock } from '../../src/platform/clock.ts'
import { createMetrics } from '../../src/platform/metrics.ts'

export const key = '0123456789abcdef0123456789abcdef'
export const secret = 'fedcba9876543210fedcba9876543210'

/** A few endpoints that show what arrived. */
export const endpoints: Endpoints = {
  user: {
    get: {
      summary: 'Show what was asked',
      params: Type.Object({
        id: Type.String({ description: 'The `key` value' }),
        fields: Type.Optional(Type.Record(Type.String(), Type.Literal(1))),
      }),
      handle: (_, params) => ({ got: params }),
    },
    post: {
      summary: 'Save',
      params: Type.Object({ id: Type.String() }),
      handle: (_, params) => ({ ok: true, saved: params }),
    },
    delete: {
      summary: 'Delete',
      params: Type.Object({ id: Type.String() }),
      handle: (_, params) => ({ ok: true, id: text(params, 'id') }),
    },
  },
  send: {
    post: {
      summary: 'Send',
      params: Type.Object({ email: Type.String() }),
      handle(_, params) {
        throw refusedRecipient(32, text(params, 'email') ?? '')
      },
    },
  },
  job: {
    post: {
      summary: 'Take a file',
      params: Type.Object({ job: Type.String() }),
      takesFiles: true,
      async handle({ files }, params) {
        const file = files.get('file')
        return { params, name: file?.name, content: file && (await readFile(file.path, 'utf8')) }
      },
    },
  },
  'content/watch': {
    get: { summary: 'A long answer', params: Type.Object({}), handle: () => ({ long: 'ä'.repeat(2000) }) },
  },
  stats: {
    get: {
      summary: 'Fail in various ways',
      params: Type.Object({ how: Type.String() }),
      handle(_, { how }) {
        if (how === 'throws') throw new Error(`secret ${secret} in a message`)
        if (how === 'empty') return {}
        if (how === 'error') return { error: 'none' }
        if (how === 'cannot be encoded') return { big: 1n }
        return Promise.reject(new Error('connect ECONNREFUSED'))
      },
    },
  },
}

export interface Server {
  app: FastifyInstance
  port: number
  url: string
  clock: MovableClock
  log: string[]
  spooled: () => string[]
  close(): Promise<void>
}

/** The door on a free port. */
export async function serve(changes: Partial<ApiDoor> = {}): Promise<Server> {
  const log: string[] = []
  const stream = new Writable({
    write(line, _encoding, done) {
      log.push(String(line))
      done()
    },
  })
  const spoolFolder = mkdtempSync(join(tmpdir(), 'door-test-'))
  const clock = movableClock('2030-03-05T12:00:20Z')
  const app = Fastify({ logger: { stream }, ...appOptions() })
  registerApi(app, {
    endpoints,
    keys: { find: async (given) => (given === key ? { key, secret } : null) },
    clock,
    rateLimits: documentedLimits,
    bodyLimit: defaultBodyLimit,
    fileLimit: 100_000,
    spoolFolder,
    answerWithin: 15_000,
    metrics: createMetrics(),
    ...changes,
  })
  registerDocs(app, endpoints, '0.1.0', 'http://127.0.0.1')
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return {
    app,
    port,
    url: `http://127.0.0.1:${port}`,
    clock,
    log,
    spooled: () => readdirSync(spoolFolder),
    async close() {
      await app.close()
      rmSync(spoolFolder, { recursive: true })
    },
  }
}

/** A signed form in JSON style, or signed as it stands when given as text. */
export function signed(params: Record<string, unknown> | string, format: string | null = 'json'): string {
  const form =
    typeof params === 'string'
      ? `api_key=${key}&${params}`
      : new URLSearchParams({ api_key: key, ...(format && { format }), json: JSON.stringify(params) }).toString()
  return `${form}&sig=${sign(leaves(readParams(form, null)), secret)}`
}

export const form = { 'content-type': 'application/x-www-form-urlencoded' }

/** Writes bytes to the port and reads until the server closes the connection. */
export async function raw(port: number, request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(request)
  return textOf(socket)
}
