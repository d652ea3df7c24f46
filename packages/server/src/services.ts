import type { Config } from './config.ts'
import type { Clock } from './platform/clock.ts'
import type { Database } from './platform/database.ts'
import type { Log } from './platform/log.ts'

/** What the machine gives to the house. */
export interface Foundations {
  config: Config
  db: Database
  clock: Clock
  log: Log
}

/** Everything that roles and commands work with: the one place where parts are put together. */
export interface Services extends Foundations {}

/** The composition root. */
export function createServices(foundations: Foundations): Services {
  return { ...foundations }
}
