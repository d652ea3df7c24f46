import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../log.ts'
import { OperatorError } from '../operator-error.ts'
import { type Account, serverAccount } from './account.ts'
import { findBinaries } from './binaries.ts'
import { type EmbeddedConnection, whenReady } from './connection.ts'
import { initialiseOnce, makeSocketFolder, readPassword } from './initialise.ts'
import { DATABASE, layoutOf, PORT, selfName, USER } from './layout.ts'
import { stopLeftovers } from './leftovers.ts'
import { type LogFile, openLogFile } from './log-file.ts'
import { identity, serverEnvironment } from './run.ts'
import { serverSettings } from './server-settings.ts'

/** A running embedded PostgreSQL. */
export interface EmbeddedServer {
  connection: EmbeddedConnection
  pid: number
  /** True when a server that a killed Fairlead had left behind was stopped first. */
  recovered: boolean
  /** Calls back once when the server ends without having been told to, with the reason. */
  onExit(listener: (reason: string) => void): void
  /** Cuts all sessions, writes the data and ends; by force after 5 s, which loses nothing but costs a recovery. */
  stop(): Promise<void>
}

export interface EmbeddedOptions {
  /** Real path of the data folder, which exists and is locked by this process. */
  dataDir: string
  log: Log
  /** Settings that replace Fairlead's own, for tests. */
  settings?: Record<string, string>
  /** Gives up a start that is under way; a recovery after a crash may take a while. */
  signal?: AbortSignal
}

/**
 * Starts PostgreSQL on the data folder, creating the database at the first start, and answers when it takes queries.
 *
 * @throws OperatorError naming what stands in the way
 */
export async function startEmbedded({ dataDir, log, settings, signal }: EmbeddedOptions): Promise<EmbeddedServer> {
  if (process.platform === 'win32') {
    throw new OperatorError(
      'the embedded database does not run on Windows itself: use WSL, or set FAIRLEAD_DATABASE_URL',
    )
  }
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const plan = layoutOf(dataDir)
  const account = serverAccount(plan.data)
  const binaries = await findBinaries(account, log)
  const layout = makeSocketFolder(plan, account)
  await initialiseOnce(layout, binaries, account)
  const data = realpathSync(layout.data)
  const recovered = await stopLeftovers(data, log)
  // The lock beside the socket can be as stale as the pid file was, and would stop the new server in the same way.
  for (const name of readdirSync(layout.socket)) rmSync(join(layout.socket, name), { force: true })

  const logFile = openLogFile(layout.log)
  const child = launch(binaries.postgres, data, layout.socket, settings, account, logFile)
  const ended = exitOf(child, logFile)
  const connection: EmbeddedConnection = {
    host: layout.socket,
    port: PORT,
    user: USER,
    password: readPassword(layout),
    database: DATABASE,
  }
  const failed = ended.then((reason) => {
    throw new OperatorError(`the database in ${layout.data} did not start: ${reason} (more in ${layout.log})`)
  })
  const enough = new AbortController()
  const giveUp = AbortSignal.any(signal ? [signal, enough.signal] : [enough.signal])
  try {
    await Promise.race([whenReady(data, child.pid ?? -1, giveUp, log), failed])
    signal?.throwIfAborted()
  } catch (error) {
    child.kill('SIGQUIT')
    await ended
    rmSync(layout.socket, { recursive: true, force: true })
    throw error
  } finally {
    enough.abort()
  }
  failed.catch(() => {})
  return running(child, ended, connection, recovered)
}

function launch(
  program: string,
  data: string,
  socket: string,
  settings: Record<string, string> | undefined,
  account: Account | null,
  logFile: LogFile,
): ChildProcess {
  return spawn(program, ['-D', selfName(data), ...serverSettings(socket, settings)], {
    cwd: data,
    env: serverEnvironment,
    ...identity(account),
    stdio: ['ignore', logFile.descriptor, logFile.descriptor],
    // A process group of its own: Ctrl-C in the terminal reaches Fairlead, which stops the database last.
    detached: true,
  })
}

/** Resolves with the reason when the server has ended. */
function exitOf(child: ChildProcess, logFile: LogFile): Promise<string> {
  return new Promise((resolve) => {
    const end = (reason: string) => {
      logFile.close()
      resolve(reason)
    }
    child.once('error', (error) => end(error.message))
    child.once('exit', (code, signal) => {
      end(signal ? `ended by ${signal}` : logFile.lastComplaint() || `ended with code ${code}`)
    })
  })
}

function running(
  child: ChildProcess,
  ended: Promise<string>,
  connection: EmbeddedConnection,
  recovered: boolean,
): EmbeddedServer {
  let stopping = false
  return {
    connection,
    pid: child.pid!,
    recovered,
    onExit(listener) {
      ended.then((reason) => {
        if (!stopping) listener(reason)
      })
    },
    async stop() {
      stopping = true
      for (const [signal, patience] of [
        ['SIGINT', 5_000],
        ['SIGQUIT', 2_000],
        ['SIGKILL', 1_000],
      ] as const) {
        child.kill(signal)
        const timer = new AbortController()
        const done = await Promise.race([
          ended.then(() => true),
          sleep(patience, false, { signal: timer.signal }).catch(() => false),
        ])
        timer.abort()
        if (done) break
      }
      rmSync(connection.host, { recursive: true, force: true })
    },
  }
}
