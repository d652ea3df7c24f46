import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../log.ts'
import { OperatorError } from '../operator-error.ts'

/**
 * What a data directory says about the server that runs in it (the lines of PostgreSQL's `postmaster.pid`), or null
 * when none is noted.
 */
export function readPidFile(data: string): { pid: number; socket: string; ready: boolean } | null {
  try {
    const lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')
    const pid = Number(lines[0])
    return Number.isInteger(pid) && pid > 1
      ? { pid, socket: lines[4] ?? '', ready: lines[7]?.trim() === 'ready' }
      : null
  } catch {
    return null
  }
}

/**
 * Processes of PostgreSQL at work in this data directory: the server, or backends that outlived it.
 *
 * The pid file alone proves nothing. Its number may by now belong to another program, or to a dead process that nobody
 * has reaped (usual in containers), and PostgreSQL would then refuse to start. Where /proc shows every process's
 * working directory, that decides.
 */
export function serverProcesses(data: string): number[] {
  if (process.platform === 'linux') {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && isServerIn(name, data))
      .map(Number)
  }
  const noted = readPidFile(data)
  return noted && looksLikeServer(noted.pid) ? [noted.pid] : []
}

function isServerIn(pid: string, data: string): boolean {
  try {
    // A zombie has no working directory, so it never matches. A kernel task name is cut to 15 bytes.
    return readlinkSync(`/proc/${pid}/cwd`) === data && readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('postgres')
  } catch {
    return false
  }
}

function looksLikeServer(pid: number): boolean {
  try {
    const [state = '', command = ''] = execFileSync('ps', ['-o', 'stat=,comm=', '-p', String(pid)], {
      encoding: 'utf8',
    })
      .trim()
      .split(/\s+/)
    return !state.startsWith('Z') && command.includes('postgres')
  } catch {
    return false
  }
}

/**
 * Ends a server that a killed Fairlead left behind, politely at first, and removes its stale pid file.
 *
 * @param data real path of the data directory
 * @returns true when there was one
 */
export async function stopLeftovers(data: string, log: Log): Promise<boolean> {
  let alive = serverProcesses(data)
  const found = alive.length > 0
  if (found)
    log.warn({ pids: alive }, 'the last Fairlead on this data folder was killed; stopping the database server it left')
  // Fast (sessions are cut, data is written), immediate (recovery at the next start), and force.
  for (const [signal, patience] of [
    ['SIGINT', 5_000],
    ['SIGQUIT', 3_000],
    ['SIGKILL', 3_000],
  ] as const) {
    if (alive.length === 0) break
    // The server tells its own backends; those without a server are told one by one.
    const server = readPidFile(data)?.pid
    for (const pid of server && alive.includes(server) && signal !== 'SIGKILL' ? [server] : alive)
      signalProcess(pid, signal)
    const deadline = Date.now() + patience
    do {
      await sleep(20)
      alive = serverProcesses(data)
    } while (alive.length > 0 && Date.now() < deadline)
  }
  if (alive.length > 0) {
    throw new OperatorError(
      `a database server still runs in ${data} (process ${alive.join(', ')}) and cannot be stopped`,
    )
  }
  rmSync(join(data, 'postmaster.pid'), { force: true })
  return found
}

/** Sends a signal; a process that is gone already is no error. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Signals the server of this data directory, if that process still is it. */
export function signalServer(data: string, pid: number, signal: NodeJS.Signals): void {
  if (serverProcesses(data).includes(pid)) signalProcess(pid, signal)
}
