import { isWriteConflict } from '../profiles/door.ts'

/**
 * Whether an error says something about the moment rather than about the work: the connection broke, the database
 * restarts or is full, two transactions collided. Such work is repeated as long as it takes (SQLSTATE classes of the
 * PostgreSQL manual, appendix A).
 */
export function isPassing(error: unknown): boolean {
  if (isWriteConflict(error)) return true
  const code = (error as { code?: unknown } | null)?.code
  if (typeof code !== 'string') return error instanceof Error && /connection|terminat|timeout/i.test(error.message)
  return /^(08|53|57|58)/.test(code) || /^E[A-Z]+$/.test(code)
}
