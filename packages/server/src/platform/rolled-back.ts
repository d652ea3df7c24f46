/*
 * What an error says about the transaction that it ended. PostgreSQL reports a refused statement under an SQLSTATE; a
 * connection that broke says nothing about what was committed on it before.
 */

/** Classes that speak of one statement or its data: the server has rolled the transaction back and goes on. */
const ABOUT_A_STATEMENT: ReadonlySet<string> = new Set(['22', '23', '40', '42', '44', '54', '55', 'P0'])
/** `statement_completion_unknown`. */
const UNKNOWN_END = '40003'
/** `serialization_failure`, `deadlock_detected`, `lock_not_available`. */
const COLLISIONS: ReadonlySet<unknown> = new Set(['40001', '40P01', '55P03'])

/**
 * Whether an error proves that nothing of its transaction was applied, so that a part of the work may be done anew.
 * Broken connections (SQLSTATE 08), servers that shut down (57P) and answers that never came prove nothing: their
 * COMMIT may have happened.
 */
export function isRolledBack(error: unknown): boolean {
  const code = codeOf(error)
  if (typeof code === 'string') return code !== UNKNOWN_END && ABOUT_A_STATEMENT.has(code.slice(0, 2)) && isState(code)
  // A bug met in one of the elements: thrown inside of the transaction, which then rolls back.
  return error instanceof TypeError || error instanceof RangeError
}

/** Whether a transaction failed only because of another one, and may be run again. */
export function isCollision(error: unknown): boolean {
  return COLLISIONS.has(codeOf(error))
}

/** Pause before attempt number `attempt + 1`, in ms: longer each time, and of a random length, so that two part. */
export function pauseAfter(attempt: number): number {
  return Math.random() * Math.min(LONGEST_PAUSE, 4 * 2 ** attempt)
}

const LONGEST_PAUSE = 150

const codeOf = (error: unknown) => (error as { code?: unknown } | null)?.code
/** Codes of Node (`ECONNRESET`) have other shapes than SQLSTATEs. */
const isState = (code: string) => /^[0-9A-Z]{5}$/.test(code)
