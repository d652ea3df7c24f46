import { realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../log.ts'
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

/**
 * Waits until the server takes queries, however long a recovery lasts. The server says so itself in its pid file, so
 * the supervisor needs no client library for it.
 */
export async function whenReady(data: string, pid: number, signal: AbortSignal, log: Log): Promise<void> {
  let sayNext = Date.now() + SAY_SO_EVERY
  while (!signal.aborted) {
    const noted = readPidFile(data)
    if (noted?.pid === pid && noted.ready) return
    await sleep(POLL_EVERY)
    if (Date.now() > sayNext) {
      log.info('the database is recovering from a crash, please wait')
      sayNext = Date.now() + SAY_SO_EVERY
    }
  }
}
