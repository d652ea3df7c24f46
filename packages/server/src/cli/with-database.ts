import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { lockDataFolder } from '../platform/data-folder.ts'
import { type ConnectionSettings, type Database, openDatabase } from '../platform/database.ts'
import { createLog } from '../platform/log.ts'
import { OperatorError } from '../platform/operator-error.ts'
import { startEmbedded } from '../platform/postgres/index.ts'
import { requireUsable } from '../prepare.ts'
import { findRunning } from './connect.ts'

/**
 * Runs something on the database that the variables name: the external one, the embedded one of a Fairlead that runs,
 * or, when none runs, the embedded one started for just that.
 *
 * @param options.create also make an embedded database where there is none yet
 */
export async function withDatabase<T>(
  config: Config,
  work: (db: Database, connection: ConnectionSettings) => Promise<T>,
  options: { create?: boolean } = {},
): Promise<T> {
  const found = findRunning(config)
  if (found) return using(found, work)
  if (!options.create && !existsSync(join(config.dataDir, 'postgres'))) {
    throw new OperatorError(
      `there is no database in ${config.dataDir} yet: start Fairlead first, or set FAIRLEAD_DATA_DIR to where it lives`,
    )
  }
  const folder = await lockDataFolder(config.dataDir)
  try {
    const server = await startEmbedded({ dataDir: folder.path, log: createLog('database', 'warn') })
    try {
      return await using(server.connection, work)
    } finally {
      await server.stop()
    }
  } finally {
    await folder.release()
  }
}

async function using<T>(
  connection: ConnectionSettings,
  work: (db: Database, connection: ConnectionSettings) => Promise<T>,
): Promise<T> {
  const db = openDatabase(connection, 2)
  try {
    await requireUsable(db)
    return await work(db, connection)
  } finally {
    await db.destroy()
  }
}
