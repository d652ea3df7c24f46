import type { JsonObject } from '../platform/json.ts'
import type { Cause, Evidence, ListSource, Via } from '../profiles/change.ts'

/** The fact that started a run, kept for its whole life. */
export interface Trigger {
  signalId: number
  type: string
  key: string
  payload: JsonObject
  source: ListSource | Via
  evidence: Evidence
  /** ISO 8601. */
  at: string
}

/** What a run remembers. Never the person's data: those are read fresh at each step. */
export interface RunContext {
  trigger: Trigger
}

/** A run, taken to be moved on. */
export interface Run {
  shard: number
  id: number
  flowId: number
  version: number
  profileId: number
  stepId: string
  visit: number
  cause: Cause
  context: RunContext
  enteredAt: Date
}

/** Why a run ended. */
export type EndReason =
  | 'completed'
  | 'flow_inactive'
  | 'flow_ended'
  | 'removed'
  | 'profile_deleted'
  | 'opted_out'
  | 'expired'
  | 'error_expired'

/** Oldest that a run gets, in ms: three years. */
export const MAX_RUN_AGE = 3 * 366 * 86_400_000
/** A blocked run that nobody looks after is given up after seven days, in ms. */
export const BLOCKED_FOR = 7 * 86_400_000

/** An entry of the append-only log, from which the journey of a person and all counts can be told. */
export interface LogEntry {
  type: string
  data?: JsonObject
}
