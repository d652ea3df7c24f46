import type { Queryable } from '../platform/database.ts'
import type { FlowDefinition } from './definition.ts'
import './tables.ts'

/** Published versions, which never change, kept in memory. */
export interface Definitions {
  /** @throws when there is no such version */
  get(q: Queryable, flowId: number, version: number): Promise<FlowDefinition>
}

const KEPT = 500

export function createDefinitions(): Definitions {
  const kept = new Map<string, FlowDefinition>()
  return {
    async get(q, flowId, version) {
      const key = `${flowId}/${version}`
      const known = kept.get(key)
      if (known) return known
      const row = await q
        .selectFrom('flow_version')
        .select('definition')
        .where('flow_id', '=', flowId)
        .where('version', '=', version)
        .executeTakeFirst()
      if (!row) throw new Error(`version ${version} of flow ${flowId} is missing`)
      if (kept.size >= KEPT) kept.clear()
      kept.set(key, row.definition)
      return row.definition
    },
  }
}
