import type { Config } from '../config.ts'
import type { ConnectionSettings } from '../platform/database.ts'
import type { Family } from '../platform/metrics.ts'

/** What the supervisor tells a role's process, over IPC: the settings hold secrets, which `ps` must not show. */
export type Order =
  /** Brings the database up to date before any role starts. */
  | { type: 'prepare'; config: Config; connection: ConnectionSettings }
  | { type: 'start'; role: Role; name: string; config: Config; connection: ConnectionSettings }
  /** Process id of the embedded database server, told again whenever it is restarted. */
  | { type: 'database-server'; pid: number; dataDir: string }
  /** How another process stands. */
  | { type: 'figures'; process: string; families: Family[] }
  | { type: 'stop' }

export type Report = Answer | Figures

/** What a role's process answers to an order. */
export type Answer =
  | { type: 'prepared'; account: Account; migrated: string[] }
  | { type: 'ready'; address: string | null }
  | { type: 'failed'; problem: string }

/** How a process stands, told from time to time and unasked. */
export interface Figures {
  type: 'figures'
  families: Family[]
}

/** The account's key pair, and whether this start created it. */
export interface Account {
  key: string
  secret: string
  created: boolean
}

export const ROLES = ['web', 'worker'] as const
export type Role = (typeof ROLES)[number]
