import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { OperatorError } from '../operator-error.ts'
import type { Account } from './account.ts'
import type { Binaries } from './binaries.ts'
import { DATABASE, type Layout, selfName, USER } from './layout.ts'
import { runProgram } from './run.ts'

/**
 * Makes the data directory if there is none. It is prepared under another name and renamed when complete, so a start
 * that is killed half-way leaves nothing that looks like data.
 */
export async function initialiseOnce(layout: Layout, binaries: Binaries, account: Account | null): Promise<void> {
  if (existsSync(join(layout.data, 'PG_VERSION'))) return requireSameMajor(layout.data, binaries.major)
  if (existsSync(layout.data)) throw new OperatorError(`${layout.data} exists but holds no database: move it away`)

  rmSync(layout.unfinished, { recursive: true, force: true })
  mkdirSync(layout.unfinished, { mode: 0o700 })
  const password = randomBytes(24).toString('base64url')
  const passwordFile = join(layout.socket, 'initial-password')
  writeFileSync(passwordFile, password, { mode: 0o600 })
  if (account) {
    chownSync(layout.unfinished, account.uid, account.gid)
    chownSync(passwordFile, account.uid, account.gid)
  }
  // Text sorts by code point and so never changes with the operating system's locale data, while lower() and
  // upper() know all of Unicode. The whole file system is synced in one call where the kernel can.
  let outcome = await runProgram(
    binaries.initdb,
    [
      ['-D', selfName(layout.unfinished), '-U', USER, `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
      ['-E', 'UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--no-instructions'],
      process.platform === 'linux' ? ['--sync-method=syncfs'] : [],
    ].flat(),
    layout.unfinished,
    account,
  )
  rmSync(passwordFile, { force: true })
  if (outcome.ok) {
    // One session without a server; what it makes is on the disk when it ends.
    outcome = await runProgram(
      binaries.postgres,
      ['--single', '-D', selfName(layout.unfinished), 'postgres'],
      layout.unfinished,
      account,
      `create database ${DATABASE}\n`,
    )
  }
  if (!outcome.ok) {
    rmSync(layout.unfinished, { recursive: true, force: true })
    throw new OperatorError(`the database could not be created in ${layout.data}: ${outcome.reason}`)
  }
  // The password first: data whose password is lost would be of no use.
  rmSync(layout.password, { force: true })
  writeFileSync(layout.password, `${password}\n`, { mode: 0o600, flush: true })
  renameSync(layout.unfinished, layout.data)
}

/** The password of the database's only role. */
export function readPassword(layout: Layout): string {
  try {
    return readFileSync(layout.password, 'utf8').trim()
  } catch (error) {
    throw new OperatorError(
      `the database's password cannot be read from ${layout.password} (${(error as NodeJS.ErrnoException).code}): restore that file from a backup of the data folder, or run as its owner`,
    )
  }
}

function requireSameMajor(data: string, major: string): void {
  const made = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim()
  if (made === major) return
  throw new OperatorError(
    `${data} was made by PostgreSQL ${made}, and this Fairlead brings PostgreSQL ${major}: move the data over with pg_dump first`,
  )
}

/**
 * The private folder for the socket. Its parent is open to everybody, so a folder of that name that somebody else has
 * made is not used; then a fresh one with a random name is.
 */
export function makeSocketFolder(layout: Layout, account: Account | null): Layout {
  const owner = account?.uid ?? process.getuid?.()
  let socket = layout.socket
  try {
    mkdirSync(socket, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    const found = lstatSync(socket)
    const ours = found.isDirectory() && (found.uid === owner || found.uid === process.getuid?.())
    if (!ours) socket = mkdtempSync(join(dirname(socket), 'fairlead-'))
  }
  chmodSync(socket, 0o700)
  if (account) chownSync(socket, account.uid, account.gid)
  return { ...layout, socket }
}
