import { hash, randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Turns addresses into keyed hashes that cannot be enumerated by somebody who holds only the database. */
export type AddressHash = (lookupAddress: string) => Buffer

/** Bytes of a block of SHA-256. */
const BLOCK = 64

/**
 * A keyed hash of addresses: HMAC-SHA-256 (RFC 2104 §2) of two plain hashes over padded keys that are made once. Node's
 * own Hmac is an object with a life of its own for every hash, at three times the cost.
 *
 * @param pepper at most 64 bytes
 */
export function addressHashWith(pepper: Buffer): AddressHash {
  const padded = (filler: number) =>
    Buffer.from(Uint8Array.from({ length: BLOCK }, (_, i) => (pepper[i] ?? 0) ^ filler))
  const [inner, outer] = [padded(0x36), padded(0x5c)]
  return (address) => {
    const first = hash('sha256', Buffer.concat([inner, Buffer.from(address)]), 'buffer')
    return hash('sha256', Buffer.concat([outer, first]), 'buffer')
  }
}

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
