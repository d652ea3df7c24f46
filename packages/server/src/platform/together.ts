import {
  type CompiledQuery,
  type DatabaseConnection,
  PostgresDriver,
  type QueryResult,
  type RawBuilder,
  sql,
} from 'kysely'
import type { Queryable } from './database.ts'

/*
 * Round trips are what a small transaction is made of. Two ways to need fewer: statements sent behind one another
 * without waiting for answers, and several writes as one statement.
 */

/** Statements for one round trip; the driver below knows how to send them. */
interface Volley extends CompiledQuery {
  volley: readonly CompiledQuery[]
}

const isVolley = (query: CompiledQuery): query is Volley => 'volley' in query

/**
 * Runs statements one after the other in a single round trip. Each sees what those before it did; when one fails,
 * the first failure is thrown.
 */
export async function inOneTrip<Rows extends readonly unknown[]>(
  q: Queryable,
  ...statements: { [index in keyof Rows]: RawBuilder<Rows[index]> }
): Promise<{ [index in keyof Rows]: QueryResult<Rows[index]> }> {
  const volley = statements.map((statement) => statement.compile(q))
  const { rows } = await q.executeQuery<unknown>({ ...volley[0]!, volley } as Volley)
  return rows as { [index in keyof Rows]: QueryResult<Rows[index]> }
}

/**
 * Runs inserts, updates and deletes as one statement. None of them sees what another writes, and no two may touch the
 * same row.
 */
export async function asOneStatement(q: Queryable, writes: ReadonlyArray<RawBuilder<unknown>>): Promise<void> {
  const last = writes.at(-1)
  if (!last) return
  const others = writes.slice(0, -1).map((write, index) => sql`${sql.raw(`w${index}`)} as (${write})`)
  await (others.length === 0 ? last : sql`with ${sql.join(others)} ${last}`).execute(q)
}

/** PostgreSQL's driver, made to wait less. It needs a pool whose clients pipeline. */
export class PipeliningDriver extends PostgresDriver {
  readonly #taught = new WeakSet<DatabaseConnection>()

  override async acquireConnection(...args: Parameters<PostgresDriver['acquireConnection']>) {
    const connection = await super.acquireConnection(...args)
    if (this.#taught.has(connection)) return connection
    this.#taught.add(connection)
    const run = connection.executeQuery.bind(connection)
    connection.executeQuery = async <R>(query: CompiledQuery): Promise<QueryResult<R>> => {
      if (!isVolley(query)) return run<R>(query)
      return { rows: (await Promise.all(query.volley.map((one) => run(one)))) as R[] }
    }
    return connection
  }

  /** Nobody waits for `begin`: it fails only with its connection, and then the statement behind it fails as well. */
  override async beginTransaction(...args: Parameters<PostgresDriver['beginTransaction']>): Promise<void> {
    super.beginTransaction(...args).catch(() => {})
  }
}
