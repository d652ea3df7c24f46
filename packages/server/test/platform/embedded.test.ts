import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createLog } from '../../src/platform/log.ts'
import {
  type EmbeddedConnection,
  keepEmbedded,
  locateEmbedded,
  startEmbedded,
} from '../../src/platform/postgres/index.ts'
import { until } from '../support/until.ts'

const log = createLog('test', 'silent')
let parent: string
let dataDir: string

beforeEach(() => {
  parent = realpathSync(mkdtempSync(join(tmpdir(), 'fairlead-embedded-')))
  dataDir = join(parent, 'data')
})
afterEach(() => rmSync(parent, { recursive: true, force: true }))

async function query(connection: EmbeddedConnection, text: string): Promise<Array<Record<string, unknown>>> {
  const client = new pg.Client(connection)
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

/** Whether a process waits for connections over TCP; what else listens on this machine does not matter. */
function listensOnTcp(pid: number): boolean {
  const mine = new Set(
    readdirSync(`/proc/${pid}/fd`).map((name) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${name}`))?.[1]
      } catch {
        // Closed since.
        return undefined
      }
    }),
  )
  const LISTENING = '0A'
  return ['tcp', 'tcp6'].some((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/ +/))
      .some((fields) => fields[3] === LISTENING && mine.has(fields[9])),
  )
}

test('a first start makes a database that is durable, private and speaks UTF-8', async () => {
  const server = await startEmbedded({ dataDir, log })
  const [settings] = await query(
    server.connection,
    `select current_setting('fsync') fsync, current_setting('synchronous_commit') sync, current_setting('listen_addresses') tcp,
      current_setting('server_encoding') encoding, lower('É') as lower, 'Z' < 'a' as by_code_point, current_database() as name`,
  )
  expect(settings).toEqual({
    fsync: 'on',
    sync: 'on',
    tcp: '',
    encoding: 'UTF8',
    lower: 'é',
    by_code_point: true,
    name: 'fairlead',
  })
  expect(statSync(join(dataDir, 'database-password')).mode & 0o777).toBe(0o600)
  expect(statSync(server.connection.host).mode & 0o777).toBe(0o700)
  await expect(query({ ...server.connection, password: 'wrong' }, 'select 1')).rejects.toThrow(
    'password authentication failed',
  )
  expect(listensOnTcp(server.pid)).toBe(false)
  await server.stop()
})

test('commands beside it find it while it runs', async () => {
  expect(locateEmbedded(dataDir)).toBeNull()
  const server = await startEmbedded({ dataDir, log })
  expect(locateEmbedded(dataDir)).toEqual(server.connection)
  await server.stop()
  expect(locateEmbedded(dataDir)).toBeNull()
})

test('data may lie deep, below a folder that the server’s account cannot enter', async () => {
  const locked = join(parent, 'locked')
  mkdirSync(locked, { mode: 0o700 })
  chmodSync(parent, 0o700)
  const deep = join(locked, 'd'.repeat(200), 'é and spaces')
  let server = await startEmbedded({ dataDir: deep, log })
  await query(server.connection, 'create table kept as select 1 as n')
  process.kill(server.pid, 'SIGKILL')
  await new Promise<void>((ended) => server.onExit(() => ended()))
  server = await startEmbedded({ dataDir: deep, log })
  expect(await query(server.connection, 'select n from kept')).toEqual([{ n: 1 }])
  await server.stop()
})

test('a server that was left behind is stopped before the next one starts', async () => {
  const left = await startEmbedded({ dataDir, log })
  await query(left.connection, 'create table kept as select 1 as n')
  const server = await startEmbedded({ dataDir, log })
  expect(server.recovered).toBe(true)
  expect(server.pid).not.toBe(left.pid)
  expect(await query(server.connection, 'select n from kept')).toEqual([{ n: 1 }])
  await server.stop()
})

test('a pid file that names another living process is stale, and that process is left alone', async () => {
  await (await startEmbedded({ dataDir, log })).stop()
  writeFileSync(
    join(dataDir, 'postgres', 'postmaster.pid'),
    `${process.pid}\n/proc/self/cwd\n1\n5432\n/nowhere\n\n\nready\n`,
  )
  expect(locateEmbedded(dataDir)).toBeNull()
  const server = await startEmbedded({ dataDir, log })
  expect(server.recovered).toBe(false)
  await server.stop()
})

test('a first start that is cut off half-way begins again', async () => {
  mkdirSync(join(dataDir, 'postgres.new', 'base'), { recursive: true })
  const server = await startEmbedded({ dataDir, log })
  expect(await query(server.connection, 'select 1 as n')).toEqual([{ n: 1 }])
  expect(existsSync(join(dataDir, 'postgres.new'))).toBe(false)
  await server.stop()
})

test('data of another PostgreSQL is refused in one line', async () => {
  await (await startEmbedded({ dataDir, log })).stop()
  const file = join(dataDir, 'postgres', 'PG_VERSION')
  const now = readFileSync(file, 'utf8').trim()
  writeFileSync(file, '9\n')
  await expect(startEmbedded({ dataDir, log })).rejects.toThrow(
    `was made by PostgreSQL 9, and this Fairlead brings PostgreSQL ${now}`,
  )
})

test('a server that does not start says why', async () => {
  await expect(startEmbedded({ dataDir, log, settings: { shared_buffers: 'plenty' } })).rejects.toThrow(
    /did not start: FATAL: {2}invalid value for parameter "shared_buffers"/,
  )
})

test('a kept server comes back by itself, at the same place', async () => {
  const pids: number[] = []
  const server = await keepEmbedded({ dataDir, log }, (pid) => pids.push(pid))
  process.kill(pids[0]!, 'SIGKILL')
  await until('the server is back', () => pids.length === 2)
  expect(await query(server.connection, 'select 1 as n')).toEqual([{ n: 1 }])
  await server.stop()
  await expect(query(server.connection, 'select 1')).rejects.toThrow()
})
