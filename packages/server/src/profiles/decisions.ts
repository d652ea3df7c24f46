import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'

/*
 * Numbers of decisions: one sequence for the whole deployment, drawn under the lock of the person. A later refusal has a
 * higher number, whatever clocks say.
 */

/** The statement that draws numbers, ascending. */
export const drawDecisions = (count: number): RawBuilder<{ number: number }> =>
  sql<{ number: number }>`select nextval('decision_number') as number from generate_series(1, ${count}::int)`

/** A start moves the sequence only if it lags by this much, in µs: nobody draws so many numbers at that moment. */
const SLACK = 1_000_000

/**
 * Moves the sequence past every number that was ever given out. A database that was restored from a backup counts from
 * where the backup was made, and would give numbers again that links and forms carry already. So each start moves the
 * sequence to the microseconds of the clock: fewer decisions are made than microseconds go by. It never moves back.
 */
export async function advanceDecisions(q: Queryable, now: Date): Promise<void> {
  const floor = now.getTime() * 1_000
  await sql`
    select setval('decision_number', ${floor}::bigint) from decision_number where last_value < ${floor - SLACK}::bigint`.execute(
    q,
  )
}
