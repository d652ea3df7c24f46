import type { Migration } from 'kysely/migration'
import * as founding from './0001-founding.ts'
import * as seenSignatures from './0005-seen-signatures.ts'

/** Every migration, in order of name. Released migrations never change. */
export const migrations: Record<string, Migration> = {
  '0001-founding': founding,
  '0005-seen-signatures': seenSignatures,
}
