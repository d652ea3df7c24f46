import type { Generated } from 'kysely'
import type { JsonObject } from '../platform/json.ts'
import type { FlowDefinition } from './definition.ts'

declare module '../platform/database.ts' {
  interface Schema {
    flow: FlowTable
    flow_version: {
      flow_id: number
      version: number
      definition: FlowDefinition
      checksum: string
      published_at: Date
    }
    /** Which signals concern which flow; rebuilt by every publish. */
    flow_trigger: { type: string; key: string; flow_id: number; version: number }
    flow_match: {
      shard: number
      signal_id: number
      flow_id: number
      profile_id: number
      outcome: string
      run_id: number | null
      at: Date
    }
    flow_memory: {
      shard: number
      flow_id: number
      profile_id: number
      first_at: Date
      last_at: Date
      entries: number
    }
    flow_run: RunTable
    flow_effect: {
      shard: number
      run_id: number
      lineage: string
      visit: number
      ordinal: number
      step_id: string
      kind: string
      outcome: string
      detail: JsonObject
      at: Date
    }
    flow_log: {
      shard: number
      seq: Generated<number>
      at: Date
      flow_id: number
      version: number | null
      run_id: number | null
      profile_id: number | null
      step_id: string | null
      visit: number | null
      type: string
      data: JsonObject
    }
  }
}

/** `active` takes people in; `finishing` only lets those inside go on; `inactive` holds nobody. */
export type FlowStatus = 'active' | 'finishing' | 'inactive'

export interface FlowTable {
  id: Generated<number>
  name: string
  status: FlowStatus
  /** An operator's brake: people may enter, nobody moves. */
  is_held: boolean
  /** Raised when the flow is switched off: runs of an older epoch are over. */
  epoch: number
  active_version: number | null
  created_at: Date
  modified_at: Date
  deleted_at: Date | null
}

/**
 * A run is `ready` (its step has not begun), `waiting` (inside a wait until `due_at`), `blocked` (needs an operator;
 * at `due_at` it is given up) or `ended`.
 */
export type RunState = 'ready' | 'waiting' | 'blocked' | 'ended'

export interface RunTable {
  shard: number
  id: number
  flow_id: number
  version: number
  epoch: number
  profile_id: number
  /** At most one live exclusive run per flow and person. */
  exclusive: boolean
  step_id: string | null
  visit: number
  state: RunState
  due_at: Date | null
  /** Nobody else takes the run before this moment. Without an owner it is the pause after a failure. */
  lease_until: Date | null
  lease_owner: string | null
  attempts: number
  cause: JsonObject
  context: JsonObject
  /** Why it is blocked. */
  problem: string | null
  entered_at: Date
  ended_at: Date | null
  end_reason: string | null
}
