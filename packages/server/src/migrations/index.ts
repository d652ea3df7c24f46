import type { Migration } from 'kysely/migration'
import * as founding from './0001-founding.ts'
import * as watch from './0003-watch-over-orphans.ts'

/** Every migration, in order of name. Released migrations never change. */
export const migrations: Record<string, Migration> = {
  '0001-founding': founding,
  '0003-watch-over-orphans': watch,
}
