import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sign } from '../../src/account/signature.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { freePort, KEY, runFairlead, SECRET, startFairlead, whenHealthy } from '../support/fairlead.ts'

/** What scripts and operators rely on when a start fails, and when the database goes away under a running Fairlead. */

const folder = mkdtempSync(join(tmpdir(), 'fairlead-start-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A database server on a TCP port that can go away and come back. */
interface Away {
  url: string
  leave(): Promise<void>
  comeBack(): Promise<void>
}

async function databaseThatLeaves({ user, password, host, database, ...more }: FreshDatabase['connection']) {
  const socketPath = `${host}/.s.PGSQL.${more.port ?? 5432}`
  const sockets = new Set<Socket>()
  let server: Server
  const listen = async (port: number) => {
    server = createServer((client) => {
      const upstream = connect(socketPath)
      for (const socket of [client, upstream]) {
        sockets.add(socket)
        socket
          .on('error', () => {})
          .on('close', () => {
            sockets.delete(socket)
            client.destroy()
            upstream.destroy()
          })
      }
      client.pipe(upstream).pipe(client)
    }).listen(port, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
  const port = await listen(0)
  const away: Away = {
    url: `postgres://${user}:${password}@127.0.0.1:${port}/${database}`,
    async leave() {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
    comeBack: async () => void (await listen(port)),
  }
  return away
}

describe('a start that cannot be is one clear line on standard error, and exit code 1', () => {
  const line = async (args: string[], env: Record<string, string>) => {
    const { code, stdout, stderr } = await runFairlead(args, { FAIRLEAD_DATA_DIR: folder, ...env })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr.split('\n')).toHaveLength(2)
    return stderr.trim()
  }
  const ports = async () => ({
    FAIRLEAD_PORT: String(await freePort()),
    FAIRLEAD_CONSOLE_PORT: String(await freePort()),
  })

  test('a port in use, also at the very first start', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    const said = await line(['start'], { ...(await ports()), FAIRLEAD_PORT: String(port) })
    expect(said).toBe(
      `fairlead: port ${port} on 127.0.0.1 is in use by another program: stop it, or choose another FAIRLEAD_PORT`,
    )
    other.close()
  })

  test.each([
    ['an unknown variable', { FAIRLEAD_PROT: '80' }, 'did you mean FAIRLEAD_PORT?'],
    ['a bad public address', { FAIRLEAD_PUBLIC_URL: 'example.com' }, 'FAIRLEAD_PUBLIC_URL must look like'],
    ['half an operator', { FAIRLEAD_ADMIN_EMAIL: 'ada@example.com' }, 'set both or none'],
    ['an operator without an address', { FAIRLEAD_ADMIN_EMAIL: 'ada', FAIRLEAD_ADMIN_PASSWORD: 'x' }, 'email address'],
    ['half a key pair', { FAIRLEAD_API_KEY: 'k' }, 'set both or none'],
  ])('%s', async (_, env, words) => {
    expect(await line(['start'], env as Record<string, string>)).toContain(words)
  })

  test('a data folder that is a file', async () => {
    const file = join(folder, 'file')
    writeFileSync(file, '')
    expect(await line(['start'], { ...(await ports()), FAIRLEAD_DATA_DIR: file })).toContain(file)
  })
})

describe('a Fairlead on an external database', () => {
  let fresh: FreshDatabase
  let database: Away
  let fairlead: Awaited<ReturnType<typeof startFairlead>>
  beforeAll(async () => {
    fresh = await freshDatabase()
    database = await databaseThatLeaves(fresh.connection)
    fairlead = await startFairlead({
      // Taken, and without effect until there is a console.
      env: {
        FAIRLEAD_DATABASE_URL: database.url,
        FAIRLEAD_ADMIN_EMAIL: 'ada@example.com',
        FAIRLEAD_ADMIN_PASSWORD: 'secret',
      },
    })
  })
  afterAll(async () => {
    await fairlead.remove()
    await database.leave()
    await fresh.drop()
  })

  const save = async (id: string) => {
    const json = JSON.stringify({ id })
    const body = new URLSearchParams({ api_key: KEY, format: 'json', json, sig: sign([KEY, 'json', json], SECRET) })
    const response = await fetch(`${fairlead.url}/user`, { method: 'POST', body })
    return { status: response.status, body: await response.json() }
  }
  const health = async () => (await fetch(`${fairlead.url}/healthz`)).status

  test('answers error 9 and 503 while it is away, and goes on when it is back', async () => {
    expect(await save('before@example.com')).toEqual({ status: 200, body: { ok: true } })
    await database.leave()
    expect(await save('meanwhile@example.com')).toMatchObject({ status: 500, body: { error: 9 } })
    expect(await health()).toBe(503)
    await database.comeBack()
    await whenHealthy(fairlead.url)
    expect(await save('after@example.com')).toEqual({ status: 200, body: { ok: true } })
    const people = await fresh.db.selectFrom('profile').select('email').orderBy('email').execute()
    expect(people).toEqual([{ email: 'after@example.com' }, { email: 'before@example.com' }])
  })
})
