import { type Config, readConfig } from '../config.ts'
import type { ConnectionSettings } from '../platform/database.ts'
import { OperatorError } from '../platform/operator-error.ts'
import { locateEmbedded } from '../platform/postgres/index.ts'
import type { Terminal } from './terminal.ts'

/** @throws OperatorError naming the variable that is wrong */
export function requireConfig(env: Terminal['env']): Config {
  const outcome = readConfig(env)
  if (outcome.ok) return outcome.config
  throw new OperatorError(outcome.problem)
}

/** How to reach a database that runs already; null when there is none. */
export function findRunning(config: Config): ConnectionSettings | null {
  return config.databaseUrl ? { connectionString: config.databaseUrl } : locateEmbedded(config.dataDir)
}
