import type { Migration } from 'kysely/migration'
import * as founding from './0001-founding.ts'
import * as newestDecision from './0002-newest-decision.ts'
import * as watch from './0003-watch-over-orphans.ts'
import * as recovery from './0004-recovery.ts'
import * as seenSignatures from './0005-seen-signatures.ts'

/** Every migration, in order of name. Released migrations never change. */
export const migrations: Record<string, Migration> = {
  '0001-founding': founding,
  '0002-newest-decision': newestDecision,
  '0003-watch-over-orphans': watch,
  '0004-recovery': recovery,
  '0005-seen-signatures': seenSignatures,
}
