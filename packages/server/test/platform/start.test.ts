import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { listKeys } from '../../src/account/keys.ts'
import { freshDatabase } from '../support/database.ts'
import {
  childrenOf,
  freePort,
  KEY,
  runFairlead,
  type StartedFairlead,
  startFairlead,
  whenHealthy,
} from '../support/fairlead.ts'
import { until } from '../support/until.ts'

/** Whether a process works; one that has ended and waits to be reaped does not. */
async function alive(pid: number): Promise<boolean> {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

describe('a running Fairlead', () => {
  let fairlead: StartedFairlead
  beforeAll(async () => {
    fairlead = await startFairlead()
  })
  afterAll(() => fairlead.remove())
  const settings = () => ({ FAIRLEAD_DATA_DIR: fairlead.dataDir })

  test('shows its key and a call to copy, and no secret that was given to it', () => {
    expect(fairlead.output()).toContain(KEY)
    expect(fairlead.output()).toContain(`curl ${fairlead.url}/user`)
    expect(fairlead.output()).not.toContain(fairlead.secret)
  })

  test('a second start on its data folder is one line and exit code 1', async () => {
    const second = await runFairlead(['start'], { ...settings(), FAIRLEAD_PORT: String(await freePort()) })
    expect(second).toMatchObject({ code: 1, stdout: '' })
    expect(second.stderr.trim().split('\n')).toEqual([
      expect.stringContaining('another Fairlead runs on the data folder'),
    ])
    expect((await fetch(`${fairlead.url}/healthz`)).status).toBe(200)
  })

  test('commands find it', async () => {
    expect(await runFairlead(['key', 'list'], settings())).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(KEY),
    })
    const created = await runFairlead(['key', 'create'], settings())
    const key = /key +([0-9a-f]{32})\nsecret +([0-9a-f]{32})/.exec(created.stdout)?.[1]
    expect(key).toBeDefined()
    expect(await runFairlead(['key', 'revoke', key!], settings())).toMatchObject({ code: 0 })
    expect(await runFairlead(['key', 'revoke', key!], settings())).toMatchObject({
      code: 1,
      stderr: `fairlead: there is no key ${key}: see "fairlead key list"\n`,
    })
    expect(await runFairlead(['migrate'], settings())).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Nothing to do'),
    })
  })

  test('a role process that is killed is started again', async () => {
    for (const role of ['web', 'worker'] as const) {
      const before = fairlead.pids()[role]!
      process.kill(before, 'SIGKILL')
      await until(`the ${role} process is back`, () => (fairlead.pids()[role] ?? before) !== before)
    }
    await whenHealthy(fairlead.url)
  })

  test('while the database is away /healthz answers 503, and all is well when it is back', async () => {
    const { postgres } = fairlead.pids()
    // The server and each of its sessions stand still: connections stay open and nothing answers.
    const frozen = [postgres!, ...childrenOf(postgres!)]
    for (const pid of frozen) process.kill(pid, 'SIGSTOP')
    try {
      // The database answers again only after this did.
      expect((await fetch(`${fairlead.url}/healthz`)).status).toBe(503)
    } finally {
      for (const pid of frozen) process.kill(pid, 'SIGCONT')
    }
    await whenHealthy(fairlead.url)
    process.kill(postgres!, 'SIGKILL')
    await until('the database is back', () => (fairlead.pids().postgres ?? postgres) !== postgres)
    await whenHealthy(fairlead.url)
  })

  test('killed with all its processes, it starts again on the same data', async () => {
    await fairlead.kill('SIGKILL', 'everything')
    fairlead = await startFairlead({ dataDir: fairlead.dataDir, port: fairlead.port })
    expect(fairlead.output()).not.toContain('curl')
    expect((await runFairlead(['key', 'list'], settings())).stdout).toContain(KEY)
  })

  test('when only its parent is killed the others go too, and it starts again at once', async () => {
    const { web, worker, postgres } = fairlead.pids()
    await fairlead.kill('SIGKILL', 'main')
    fairlead = await startFairlead({ dataDir: fairlead.dataDir, port: fairlead.port })
    for (const pid of [web, worker, postgres]) expect(await alive(pid!)).toBe(false)
  })

  test('orphans need nobody to end them', async () => {
    const { web, worker, postgres } = fairlead.pids()
    await fairlead.kill('SIGKILL', 'main')
    await until('all have ended', async () => {
      const living = await Promise.all([web, worker, postgres].map((pid) => alive(pid!)))
      return !living.includes(true)
    })
    fairlead = await startFairlead({ dataDir: fairlead.dataDir, port: fairlead.port })
  })

  test('SIGTERM ends everything with exit code 0', async () => {
    const { web, worker, postgres } = fairlead.pids()
    expect(await fairlead.stop()).toBe(0)
    for (const pid of [web, worker, postgres]) expect(await alive(pid!)).toBe(false)
  })

  test('stopped, its keys can be listed all the same', async () => {
    expect(await runFairlead(['key', 'list', '--json'], settings())).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`"key":"${KEY}"`),
    })
  })
})

test('on an external database it starts everything but a server of its own', async () => {
  const { db, connection, drop } = await freshDatabase()
  const { user, password, host, database } = connection
  const fairlead = await startFairlead({
    env: { FAIRLEAD_DATABASE_URL: `postgres://${user}:${password}@/${database}?host=${host}` },
  })
  expect(fairlead.pids()).toEqual({ main: expect.any(Number), web: expect.any(Number), worker: expect.any(Number) })
  expect(await listKeys(db)).toMatchObject([{ key: KEY }])
  expect(await fairlead.stop()).toBe(0)
  await fairlead.remove()
  await drop()
})

describe('what stands in the way is one line and exit code 1', () => {
  const line = async (args: string[], env: Record<string, string>) => {
    const { code, stderr } = await runFairlead(args, env)
    expect(code).toBe(1)
    const lines = stderr.trim().split('\n')
    expect(lines).toHaveLength(1)
    return lines[0]
  }

  test('a bad variable', async () => {
    expect(await line(['start'], { FAIRLEAD_PORT: 'eighty' })).toBe(
      'fairlead: FAIRLEAD_PORT must be a number from 1 to 65535, not "eighty"',
    )
  })

  test('a database that is down', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fairlead-none-'))
    const url = `postgres://fairlead:hunter2@127.0.0.1:${await freePort()}/fairlead`
    for (const args of [['start'], ['start', '--role', 'worker'], ['migrate'], ['key', 'list']]) {
      const said = await line(args, { FAIRLEAD_DATABASE_URL: url, FAIRLEAD_DATA_DIR: folder })
      expect(said).toContain('the database does not answer: connect ECONNREFUSED')
      expect(said).not.toContain('hunter2')
    }
    rmSync(folder, { recursive: true })
  })

  test('an unknown role, an unknown command', async () => {
    expect(await line(['start', '--role', 'cook'], {})).toContain('It is web or worker')
    expect(await line(['strat'], {})).toContain("unknown command 'strat'")
  })

  test('a port that another program uses', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    const said = startFairlead({ port }).then(
      () => 'it started',
      (error: Error) => error.message,
    )
    expect(await said).toContain(`fairlead: port ${port} on 127.0.0.1 is in use by another program`)
    expect(await said).not.toContain('    at ')
    other.close()
  })
})

test('every command explains itself with an example', async () => {
  const help = await runFairlead(['--help'])
  expect(help.code).toBe(0)
  for (const name of ['start', 'migrate', 'key', 'doctor']) {
    expect(help.stdout).toContain(name)
    expect(await runFairlead([name, '--help'])).toMatchObject({ code: 0, stdout: expect.stringContaining(name) })
  }
  expect((await runFairlead(['key', 'revoke', '--help'])).stdout).toContain('Example')
})
