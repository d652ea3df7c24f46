import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { key, type Server, secret, serve } from './support.ts'

/** The parts of the public Node client that are used here. */
interface Client {
  disableLogging(): void
  apiGet(action: string, data: object, done: Done): void
  apiPost(action: string, data: object, done: Done): void
  apiDelete(action: string, data: object, done: Done): void
  saveUserByKey(id: string, key: string, options: object, done: Done): void
  getUserByKey(id: string, key: string, fields: object, done: Done): void
  send(template: string, email: string, options: object, done: Done): void
  processJob(
    job: string,
    options: object,
    report: string | false,
    postback: string | false,
    files: string[],
    done: Done,
  ): void
  getLastRateLimitInfo(action: string, method: string): unknown
}
type Done = (error: unknown, body: unknown) => void

const { createSailthruClient } = createRequire(import.meta.url)('sailthru-client') as {
  createSailthruClient(key: string, secret: string, options: { apiUrl: string }): Client
}

let server: Server
const folder = mkdtempSync(join(tmpdir(), 'client-test-'))
beforeAll(async () => {
  server = await serve()
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
})

function client(withSecret = secret): Client {
  const made = createSailthruClient(key, withSecret, { apiUrl: `${server.url}/` })
  made.disableLogging()
  return made
}

const asked = (ask: (done: Done) => void) =>
  new Promise<{ error: unknown; body: unknown }>((resolve) => ask((error, body) => resolve({ error, body })))

describe('the public Node client', () => {
  test('saves and reads', async () => {
    const vars = { name: 'Zoë & Ada', emoji: '\u{1f600}\uffe5', nothing: null, nested: { a: [1, 2] } }
    expect(
      await asked((done) => client().saveUserByKey('ada@example.com', 'email', { vars, lists: { Weekly: 1 } }, done)),
    ).toEqual({
      error: null,
      body: { ok: true, saved: { id: 'ada@example.com', key: 'email', vars, lists: { Weekly: 1 } } },
    })
    expect(await asked((done) => client().getUserByKey('a b+c', 'extid', { keys: 1 }, done))).toEqual({
      error: null,
      body: { got: { id: 'a b+c', key: 'extid', fields: { keys: 1 } } },
    })
    expect(await asked((done) => client().apiDelete('user', { id: 'a' }, done))).toMatchObject({
      error: null,
      body: { ok: true },
    })
  })

  test('sees errors', async () => {
    expect((await asked((done) => client().send('Welcome', 'ada@example.com', {}, done))).error).toEqual({
      statusCode: 403,
      error: 32,
      errormsg: 'Email has opted out of delivery from client: ada@example.com',
    })
    expect((await asked((done) => client('wrong').apiGet('user', {}, done))).error).toMatchObject({
      statusCode: 401,
      error: 5,
    })
  })

  test('learns the rate limit', async () => {
    const sailthru = client()
    await asked((done) => sailthru.apiGet('user', { id: 'a' }, done))
    expect(sailthru.getLastRateLimitInfo('user', 'GET')).toEqual({
      limit: 18_000,
      remaining: expect.any(Number),
      reset: Date.parse('2030-03-05T12:01:00Z') / 1000,
    })
  })

  test('uploads a file', async () => {
    const path = join(folder, 'people.csv')
    writeFileSync(path, 'email\nzoë@example.com\n')
    expect(
      await asked((done) =>
        client().processJob('import', { list: 'Weekly', file: path }, false, false, ['file'], done),
      ),
    ).toEqual({
      error: null,
      body: { params: { list: 'Weekly', job: 'import' }, name: 'people.csv', content: 'email\nzoë@example.com\n' },
    })
  })
})
