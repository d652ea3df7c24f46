import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where the embedded server keeps its things. All of it but the socket lies in the data folder. */
export interface Layout {
  /** PostgreSQL's own data directory. */
  data: string
  /** Where a new data directory is prepared, renamed to `data` when it is complete. */
  unfinished: string
  password: string
  log: string
  /** A short private folder for the Unix socket: socket paths end at about 107 bytes, data folders may be deeper. */
  socket: string
}

export const PORT = 5432
export const USER = 'fairlead'
export const DATABASE = 'fairlead'

/** @param dataDir real path of the data folder */
export function layoutOf(dataDir: string): Layout {
  const name = `fairlead-${createHash('sha256').update(dataDir).digest('hex').slice(0, 16)}`
  // On macOS the temporary folder of a user is itself deep.
  const parent = tmpdir().length > 60 ? '/tmp' : tmpdir()
  return {
    data: join(dataDir, 'postgres'),
    unfinished: join(dataDir, 'postgres.new'),
    password: join(dataDir, 'database-password'),
    log: join(dataDir, 'log', 'postgres.log'),
    socket: join(parent, name),
  }
}

/**
 * How the server's programs name their data directory. On Linux they are started inside it and know it only as their
 * working directory, so it may lie below folders that the server's account cannot enter (root's home, for one).
 */
export function selfName(data: string): string {
  return process.platform === 'linux' ? '/proc/self/cwd' : data
}
