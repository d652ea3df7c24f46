import { createHash } from 'node:crypto'
import { accessSync, constants, mkdirSync, realpathSync, rmSync, statSync } from 'node:fs'
import { createConnection, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { OperatorError } from './operator-error.ts'

/** A data folder that belongs to this process until it is released or the process ends, in whatever way. */
export interface DataFolder {
  /** Real path: no symbolic links, so that two ways to the same folder are one. */
  path: string
  release(): Promise<void>
}

/**
 * Makes the folder if need be, private to this user.
 *
 * @returns its real path
 */
export function openDataFolder(wanted: string): string {
  const path = resolve(wanted)
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new OperatorError(
      `the data folder ${path} (FAIRLEAD_DATA_DIR) cannot be used: ${(error as NodeJS.ErrnoException).code}`,
    )
  }
  if (!statSync(path).isDirectory()) throw new OperatorError(`FAIRLEAD_DATA_DIR is not a folder: ${path}`)
  return realpathSync(path)
}

/**
 * Takes the folder for this process alone.
 *
 * The lock is a listening Unix socket. On Linux its name is in the abstract namespace, which the kernel clears when the
 * process ends, so a kill leaves nothing behind. Elsewhere it is a file; one that nobody answers on is stale.
 *
 * @throws OperatorError when another process holds it
 */
export async function lockDataFolder(wanted: string): Promise<DataFolder> {
  const path = openDataFolder(wanted)
  const name = `fairlead-${createHash('sha256').update(path).digest('hex').slice(0, 32)}`
  const address = process.platform === 'linux' ? `\0${name}` : join(tmpdir(), `${name}.lock`)
  let server = await listen(address)
  if (!server && process.platform !== 'linux' && !(await answers(address))) {
    rmSync(address, { force: true })
    server = await listen(address)
  }
  if (!server)
    throw new OperatorError(
      `another Fairlead runs on the data folder ${path}: stop it, or choose another FAIRLEAD_DATA_DIR`,
    )
  const held = server
  return { path, release: () => new Promise((done) => held.close(() => done())) }
}

/** Null when the address is taken. */
function listen(address: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(null) : reject(error),
    )
    server.listen(address, () => {
      // The lock alone keeps no process alive.
      server.unref()
      resolve(server)
    })
  })
}

function answers(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(address)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
