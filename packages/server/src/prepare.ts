import { sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { ensureAccount, type KeyPair } from './account/keys.ts'
import type { Config } from './config.ts'
import { migrations } from './migrations/index.ts'
import type { Clock } from './platform/clock.ts'
import { type ConnectionSettings, type Database, migrateToLatest, openDatabase } from './platform/database.ts'
import { OperatorError, oneLine } from './platform/operator-error.ts'
import { advanceDecisions } from './profiles/decisions.ts'

/** Oldest PostgreSQL that an external database may be, as `server_version_num`. */
const OLDEST = 150_000

/**
 * Makes the database ready for the roles: reachable, recent enough, its tables up to date, the account in it.
 *
 * @throws OperatorError when the database does not answer or is too old
 */
export async function prepareDatabase(
  connection: ConnectionSettings,
  config: Config,
  clock: Clock,
): Promise<KeyPair & { created: boolean; migrated: string[] }> {
  const db = openDatabase(connection, 2)
  try {
    await requireUsable(db)
    const migrated = await migrateToLatest(db, migrations)
    await advanceDecisions(db, clock.now())
    const account = await ensureAccount(db, clock, config.account)
    return { ...account, migrated }
  } finally {
    await db.destroy()
  }
}

/** @throws OperatorError when the database does not answer or is too old */
export async function requireUsable(db: Database): Promise<void> {
  let version: number
  try {
    const { rows } = await sql<{ version: string }>`select current_setting('server_version_num') as version`.execute(db)
    version = Number(rows[0]?.version)
  } catch (error) {
    throw new OperatorError(`the database does not answer: ${oneLine(error)}`)
  }
  if (version < OLDEST) {
    throw new OperatorError(`the database is PostgreSQL ${Math.floor(version / 10_000)}; Fairlead needs 15 or later`)
  }
}

/** Names of the migrations that this version brings and the database lacks. */
export async function pendingMigrations(db: Database, known: Record<string, Migration>): Promise<string[]> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => known } })
  return (await migrator.getMigrations()).filter((one) => !one.executedAt).map((one) => one.name)
}
