import type { Config } from '../config.ts'
import type { ConnectionSettings } from '../platform/database.ts'

/** What the supervisor tells a role's process, over IPC: the settings hold secrets, which `ps` must not show. */
export type Order =
  /** Brings the database up to date before any role starts. */
  | { type: 'prepare'; config: Config; connection: ConnectionSettings }
  | { type: 'start'; role: Role; config: Config; connection: ConnectionSettings }
  /** Process id of the embedded database server, told again whenever it is restarted. */
  | { type: 'database-server'; pid: number; dataDir: string }
  | { type: 'stop' }

/** What a role's process answers. */
export type Report =
  | { type: 'prepared'; account: Account; migrated: string[] }
  | { type: 'ready'; address: string | null }
  | { type: 'failed'; problem: string }

/** The account's key pair, and whether this start created it. */
export interface Account {
  key: string
  secret: string
  created: boolean
}

export const ROLES = ['web', 'worker'] as const
export type Role = (typeof ROLES)[number]
