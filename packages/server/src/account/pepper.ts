import { randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { hmacWith } from '../platform/hmac.ts'

/** Turns addresses into keyed hashes that cannot be enumerated by somebody who holds only the database. */
export type AddressHash = (lookupAddress: string) => Buffer

/** A keyed hash of addresses under the given key. */
export const addressHashWith = (pepper: Buffer): AddressHash => hmacWith(pepper)

/**
 * The account's pepper, made at the first start. It lies in the data folder, not in the database: a copy of the
 * database alone does not tell whose opt-outs are remembered. Machines that share a database share this file.
 */
export function loadPepper(dataDir: string): Buffer {
  const path = join(dataDir, 'pepper')
  const present = read(path)
  if (present) return present
  mkdirSync(dataDir, { recursive: true })
  // Written aside and linked into place: of two processes that start at once one wins, and nobody reads half a file.
  const aside = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  writeFileSync(aside, randomBytes(32).toString('hex'), { mode: 0o600 })
  try {
    linkSync(aside, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(aside)
  }
  return read(path)!
}

function read(path: string): Buffer | null {
  try {
    return Buffer.from(readFileSync(path, 'utf8').trim(), 'hex')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
