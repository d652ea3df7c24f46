import { realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Log } from '../log.ts'
import { OperatorError } from '../operator-error.ts'
import { readPassword } from './initialise.ts'
import { DATABASE, layoutOf, PORT, USER } from './layout.ts'
import { readPidFile, serverProcesses } from './leftovers.ts'

/** How to reach an embedded server: `host` is the folder of its Unix socket. */
export interface EmbeddedConnection {
  host: string
  port: number
  user: string
  password: string
  database: string
}

/**
 * Finds the server that runs on a data folder, for commands beside a running Fairlead.
 *
 * @returns null when none runs there
 * @throws OperatorError when it runs but the present user may not read its password
 */
export function locateEmbedded(dataDir: string): EmbeddedConnection | null {
  let data: string
  try {
    data = realpathSync(layoutOf(realpathSync(dataDir)).data)
  } catch {
    return null
  }
  const noted = readPidFile(data)
  if (!noted?.socket || !statSync(join(noted.socket, `.s.PGSQL.${PORT}`), { throwIfNoEntry: false })) return null
  // Another user's processes hide their working directory; then the socket has to do as evidence.
  if (process.getuid?.() === 0 && !serverProcesses(data).includes(noted.pid)) return null
  const password = readPassword(layoutOf(realpathSync(dataDir)))
  return { host: noted.socket, port: PORT, user: USER, password, database: DATABASE }
}

const POLL_EVERY = 15
const SAY_SO_EVERY = 5_000
const NO_SUCH_DATABASE = '3D000'
const WRONG_PASSWORD = '28P01'

/** Waits until the server takes queries, however long a recovery lasts, and creates the database if it is missing. */
export async function whenReady(connection: EmbeddedConnection, signal: AbortSignal, log: Log): Promise<void> {
  let sayNext = Date.now() + SAY_SO_EVERY
  while (!signal.aborted) {
    const code = await tryQuery(connection, 'select 1')
    if (code === null) return
    if (code === NO_SUCH_DATABASE) {
      await tryQuery({ ...connection, database: 'postgres' }, `create database ${DATABASE}`)
    } else if (code === WRONG_PASSWORD) {
      throw new OperatorError(
        'the password in the file "database-password" is not the one of the database beside it: restore both from one backup',
      )
    } else {
      await sleep(POLL_EVERY)
    }
    if (Date.now() > sayNext) {
      log.info('the database is recovering from a crash, please wait')
      sayNext = Date.now() + SAY_SO_EVERY
    }
  }
}

/** Null when the statement ran, else the error's code. */
async function tryQuery(connection: EmbeddedConnection, statement: string): Promise<string | null> {
  const client = new pg.Client({ ...connection, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(statement)
    return null
  } catch (error) {
    return (error as { code?: string }).code ?? 'unknown'
  } finally {
    await client.end().catch(() => {})
  }
}
