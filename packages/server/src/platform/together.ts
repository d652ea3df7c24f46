import {
  type CompiledQuery,
  type DatabaseConnection,
  PostgresDriver,
  type QueryResult,
  type RawBuilder,
  sql,
} from 'kysely'
import { CallerGone, callersNow, isSomebodyGone, onBehalfOf, stopIfGone } from './callers.ts'
import type { Queryable } from './database.ts'

type PgConnection = Parameters<PostgresDriver['rollbackTransaction']>[0]

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

/**
 * PostgreSQL's driver, made to wait less. It needs a pool whose clients pipeline.
 *
 * It also keeps the promise to callers who were answered before the outcome was known: no statement begins and nothing
 * is committed for them any more. What they write outside of a transaction gets one, because a single statement that
 * waits in the socket of a server that hangs would take effect whenever that server goes on.
 */
export class PipeliningDriver extends PostgresDriver {
  readonly #taught = new WeakSet<DatabaseConnection>()
  /** Those with a transaction under way. */
  readonly #begun = new WeakSet<DatabaseConnection>()

  override async acquireConnection(...args: Parameters<PostgresDriver['acquireConnection']>) {
    stopIfGone(callersNow())
    const connection = await super.acquireConnection(...args)
    if (this.#taught.has(connection)) return connection
    this.#taught.add(connection)
    const runOne = connection.executeQuery.bind(connection)
    const run = async <R>(query: CompiledQuery): Promise<QueryResult<R>> => {
      if (!isVolley(query)) return runOne<R>(query)
      return { rows: (await Promise.all(query.volley.map((one) => runOne(one)))) as R[] }
    }
    connection.executeQuery = <R>(query: CompiledQuery): Promise<QueryResult<R>> => {
      const callers = callersNow()
      if (callers.length === 0) return run<R>(query)
      if (isSomebodyGone(callers)) return Promise.reject(new CallerGone())
      if (this.#begun.has(connection) || isRead(query)) return run<R>(query)
      return this.#inTransaction(connection as PgConnection, () => run<R>(query))
    }
    return connection
  }

  /** Nobody waits for `begin`: it fails only with its connection, and then the statement behind it fails as well. */
  override async beginTransaction(...args: Parameters<PostgresDriver['beginTransaction']>): Promise<void> {
    this.#begun.add(args[0])
    super.beginTransaction(...args).catch(() => {})
  }

  override async commitTransaction(connection: DatabaseConnection): Promise<void> {
    const callers = callersNow()
    stopIfGone(callers)
    for (const caller of callers) caller.committing += 1
    try {
      await super.commitTransaction(connection)
      for (const caller of callers) caller.committed += 1
    } finally {
      this.#begun.delete(connection)
      for (const caller of callers) caller.committing -= 1
    }
  }

  /** Even for callers who are gone. */
  override rollbackTransaction(connection: PgConnection): Promise<void> {
    this.#begun.delete(connection)
    return onBehalfOf([], () => super.rollbackTransaction(connection))
  }

  async #inTransaction<R>(connection: PgConnection, work: () => Promise<R>): Promise<R> {
    await this.beginTransaction(connection, {})
    try {
      const result = await work()
      await this.commitTransaction(connection)
      return result
    } catch (error) {
      // A connection that cannot even roll back is thrown away by the driver.
      await this.rollbackTransaction(connection).catch(() => {})
      throw error
    }
  }
}

/** A word that may write, anywhere in a statement. One that only reads may be run without a transaction. */
const WRITES = /\b(?:insert|update|delete|merge|truncate|create|alter|drop|call|do)\b/i

function isRead(query: CompiledQuery): boolean {
  const texts = isVolley(query) ? query.volley : [query]
  return texts.every(({ sql }) => !WRITES.test(sql))
}
