import type { Socket } from 'node:net'
import { Kysely, PostgresDialect, type PostgresDialectConfig, sql, type Transaction } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import pg from 'pg'
import { arrayText } from './array-text.ts'
import { PipeliningDriver } from './together.ts'

/**
 * The tables. Each capability adds its own by declaration merging next to the code that owns them:
 * `declare module '../platform/database.ts' { interface Schema { list: ListTable } }`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: filled by declaration merging
export interface Schema {}

/** A handle for statements outside a transaction. */
export type Database = Kysely<Schema>

/** A handle inside a transaction; functions that take it never commit. */
export type Tx = Transaction<Schema>

/** Either: for reads that work in both places. */
export type Queryable = Database | Tx

/** How to reach PostgreSQL: a URL, or the parts that the embedded server reports. */
export type ConnectionSettings =
  | { connectionString: string }
  | { host: string; port: number; user: string; password: string; database: string }

/** How busy a pool of connections is. */
export type PoolUse = Pick<pg.Pool, 'totalCount' | 'idleCount' | 'waitingCount' | 'options'>

const INT8 = 20

/**
 * Opens a pool. Ids are bigint in the database and plain numbers here: they stay below 2^53 (see `shard.ts`).
 * Statements sent at the same time on one connection are pipelined, which halves the cost of a point read.
 *
 * @param size most connections held
 * @param watch is given the pool's figures, to look at whenever it wants
 */
export function openDatabase(settings: ConnectionSettings, size = 10, watch?: (pool: PoolUse) => void): Database {
  const types = {
    getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
      oid === INT8 ? Number : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
  }
  const pool = new pg.Pool({
    ...settings,
    max: size,
    types,
    pipeline: true,
    connectionTimeoutMillis: 15_000,
    keepAlive: true,
    application_name: 'fairlead',
    Client: preparingClient(),
  } as pg.PoolConfig)
  // An idle connection that breaks (the database restarts) is replaced at the next use: nothing to do here,
  // but without a listener Node would end the process.
  pool.on('error', () => {})
  watch?.(pool)
  return new Kysely<Schema>({ dialect: new PipeliningDialect({ pool }) })
}

class PipeliningDialect extends PostgresDialect {
  readonly #config: PostgresDialectConfig

  constructor(config: PostgresDialectConfig) {
    super(config)
    this.#config = config
  }

  override createDriver() {
    return new PipeliningDriver(this.#config)
  }
}

/** Most statements that a pool prepares; past this, new ones are sent unprepared, so that memory stays bounded. */
const MOST_PREPARED = 500

/**
 * Connections that prepare what they run: our statements are few and come again and again, and planning them anew
 * costs as much as running them. The name follows from the text, so all connections of a pool agree. What is asked in
 * one turn of the event loop leaves in one packet.
 */
function preparingClient(): typeof pg.Client {
  const names = new Map<string, string>()
  return class extends pg.Client {
    constructor(settings?: string | pg.ClientConfig) {
      super(settings)
      // A connection that breaks in somebody's hands fails what was asked on it; the event besides has no other
      // listener while it is out of the pool, and would end the process.
      this.on('error', () => {})
    }

    // biome-ignore lint/suspicious/noExplicitAny: the base method has a dozen signatures
    override query(...args: any[]): any {
      this.#gather()
      const [text, values] = args
      const isPlain = typeof text === 'string' && Array.isArray(values) && values.length > 0
      if (!isPlain || (names.size >= MOST_PREPARED && !names.has(text))) return super.query(...(args as [string]))
      const name = names.get(text) ?? `fairlead_${names.size}`
      names.set(text, name)
      return super.query({
        name,
        text,
        values: values.map((value) => (Array.isArray(value) ? arrayText(value) : value)),
      })
    }

    #gather(): void {
      const { stream } = (this as unknown as { connection: { stream: Socket } }).connection
      stream.cork()
      process.nextTick(() => stream.uncork())
    }
  }
}

/**
 * Brings the schema up to date. Several processes may call it at once: Kysely's migrator holds a lock.
 *
 * @returns the names of the migrations that ran now
 * @throws the first migration's error; everything it did is rolled back
 */
export async function migrateToLatest(db: Database, migrations: Record<string, Migration>): Promise<string[]> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
  const { error, results } = await migrator.migrateToLatest()
  if (error) throw error
  return (results ?? []).filter((result) => result.status === 'Success').map((result) => result.migrationName)
}

/** True when the database answers. */
export async function isReachable(db: Database): Promise<boolean> {
  try {
    await sql`select 1`.execute(db)
    return true
  } catch {
    return false
  }
}

/**
 * Whether a statement failed without the database saying that it did: it may have been carried out, or may be yet. A
 * server process that is being ended (SQLSTATE 57P01 to 57P03) says so after a commit too.
 */
export function isAnswerLost(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code) || /^(08|57P)/.test(code)
}
