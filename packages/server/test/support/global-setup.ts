import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { migrations } from '../../src/migrations/index.ts'
import { migrateToLatest, openDatabase } from '../../src/platform/database.ts'
import { createLog } from '../../src/platform/log.ts'
import { type EmbeddedConnection, startEmbedded } from '../../src/platform/postgres/index.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The server of this test run; its database is the migrated template of the others. */
    postgres: EmbeddedConnection
  }
}

/** One real PostgreSQL for the whole run. What survives a power cut does not matter here, so it need not sync. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = realpathSync(mkdtempSync(join(tmpdir(), 'fairlead-test-')))
  const server = await startEmbedded({
    dataDir,
    log: createLog('test database', 'warn'),
    settings: {
      fsync: 'off',
      full_page_writes: 'off',
      autovacuum: 'off',
      shared_buffers: '64MB',
      max_connections: '200',
    },
  })
  const stop = async () => {
    await server.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
  const template = openDatabase(server.connection, 1)
  try {
    await migrateToLatest(template, migrations)
  } catch (error) {
    await stop()
    throw error
  } finally {
    // A database with sessions cannot be copied.
    await template.destroy()
  }
  project.provide('postgres', server.connection)
  return stop
}
