import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import { expect } from 'vitest'
import { sign } from '../../src/account/signature.ts'
import { leaves } from '../../src/api/parameters.ts'
import { readParams } from '../../src/api/request.ts'
import { type Config, readConfig } from '../../src/config.ts'
import { type MovableClock, movableClock } from '../../src/platform/clock.ts'
import type { Database } from '../../src/platform/database.ts'
import { createLog, type Log } from '../../src/platform/log.ts'
import type { EmbeddedConnection } from '../../src/platform/postgres/index.ts'
import { shardOfKey } from '../../src/platform/shard.ts'
import type { ListenerBounds } from '../../src/roles/listener-bounds.ts'
import { buildWeb } from '../../src/roles/web.ts'
import { createServices, type Services } from '../../src/services.ts'
import { changeSetting } from '../../src/settings/settings.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

export const key = '0123456789abcdef0123456789abcdef'
export const secret = 'fedcba9876543210fedcba9876543210'

export interface Reply {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked at field by field
  body: any
}

/** The whole public listener on a free port, with a database of its own. */
export interface House {
  services: Services
  app: FastifyInstance
  db: Database
  connection: EmbeddedConnection
  clock: MovableClock
  url: string
  port: number
  get(endpoint: string, params: object): Promise<Reply>
  post(endpoint: string, params: object): Promise<Reply>
  del(endpoint: string, params: object): Promise<Reply>
  /** POST in bracket style: signs the form and sends it. */
  postForm(endpoint: string, form: string): Promise<Reply>
  /** POST of a form as it stands, for what cannot even be signed. */
  postRaw(endpoint: string, form: string): Promise<Reply>
  setting(name: string, value: string): Promise<void>
  /** What the delivery would do with a mailbox that refuses for good. */
  bounce(email: string): Promise<void>
  block(pattern: string, kind: 'blacklist' | 'never'): Promise<void>
  messages(): Promise<Array<{ address: string; kind: string; state: string; origin: string; template: string }>>
  client: Client
  close(): Promise<void>
}

/** The public Node client, as promises. */
export interface Client {
  call(method: string, ...args: unknown[]): Promise<{ error: unknown; body: unknown }>
}

export const openHouse = async (): Promise<House> => openHouseOn(await freshDatabase())

/** The same on a database that is there already; `drop` ends it. */
export async function openHouseOn(
  { db, connection, drop }: FreshDatabase,
  changes: Partial<Config> = {},
  { log = createLog('test', 'silent'), bounds }: { log?: Log; bounds?: ListenerBounds } = {},
): Promise<House> {
  const dataDir = mkdtempSync(join(tmpdir(), 'endpoints-test-'))
  const clock = movableClock('2030-03-05T12:00:20Z')
  const read = readConfig({ FAIRLEAD_DATA_DIR: dataDir })
  if (!read.ok) throw new Error(read.problem)
  await db.insertInto('api_key').values({ key, secret, created_at: clock.now() }).execute()
  const services = await createServices({ config: { ...read.config, ...changes }, db, clock, log })
  const app = buildWeb(services, bounds)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  const setting = async (name: string, value: string) => {
    const problem = await changeSetting(db, clock, name, value)
    if (problem) throw new Error(problem)
    services.settings.forget()
  }
  await setting('rate_limits', 'false')

  async function ask(method: string, endpoint: string, form: string): Promise<Reply> {
    const response =
      method === 'POST'
        ? await fetch(`${url}/${endpoint}`, {
            method,
            body: form,
            headers: { 'content-type': 'application/x-www-form-urlencoded' },
          })
        : await fetch(`${url}/${endpoint}?${form}`, { method })
    return { status: response.status, body: await response.json() }
  }
  const signed = (form: string) => `${form}&sig=${sign(leaves(readParams(form, null)), secret)}`
  const json = (params: object) =>
    signed(new URLSearchParams({ api_key: key, format: 'json', json: JSON.stringify(params) }).toString())

  return {
    services,
    app,
    db,
    connection,
    clock,
    url,
    port,
    setting,
    get: (endpoint, params) => ask('GET', endpoint, json(params)),
    post: (endpoint, params) => ask('POST', endpoint, json(params)),
    del: (endpoint, params) => ask('DELETE', endpoint, json(params)),
    postForm: (endpoint, form) => ask('POST', endpoint, signed(`api_key=${key}&format=json&${form}`)),
    postRaw: (endpoint, form) => ask('POST', endpoint, form),
    async bounce(email) {
      const lookup = email.toLowerCase()
      await sql`insert into address (shard, address, state, since)
        values (${shardOfKey('email', lookup)}, ${lookup}, 'hardbounce', ${clock.now()})`.execute(db)
    },
    async block(pattern, kind) {
      await sql`insert into blocked_address (pattern, kind, at) values (${pattern}, ${kind}, ${clock.now()})`.execute(
        db,
      )
    },
    async messages() {
      const { rows } = await sql<Awaited<ReturnType<House['messages']>>[number]>`
        select m.address, m.kind, m.state, m.origin, t.name as template
        from message m join template t on t.id = m.template_id order by m.created_at, m.id`.execute(db)
      return rows
    },
    client: publicClient(url),
    async close() {
      await app.close()
      await drop()
      rmSync(dataDir, { recursive: true })
    },
  }
}

function publicClient(url: string): Client {
  const { createSailthruClient } = createRequire(import.meta.url)('sailthru-client')
  const client = createSailthruClient(key, secret, { apiUrl: `${url}/` })
  client.disableLogging()
  return {
    call: (method, ...args) =>
      new Promise((resolve) => client[method](...args, (error: unknown, body: unknown) => resolve({ error, body }))),
  }
}

export const ok = (body: object) => ({ status: 200, body })
export const refused = (status: number, error: number, errormsg: unknown = expect.any(String)) => ({
  status,
  body: { error, errormsg },
})
