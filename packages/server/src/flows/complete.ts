import { randomUUID } from 'node:crypto'
import type { FlowDefinition } from './definition.ts'

/**
 * Fills in what a person who writes a flow by hand may leave out: the version of the schema, the account's zone, the
 * usual re-entry rules (as often as one likes, not while inside), and lineages. A step keeps the lineage of the step
 * with the same name and type in the version before, so that its counts go on.
 *
 * @param candidate anything read from JSON; what has not the shape of a flow is left for validation to complain about
 */
export function completeDefinition(candidate: unknown, timezone: string, previous: FlowDefinition | null): unknown {
  if (!isObject(candidate)) return candidate
  const settings = isObject(candidate.settings) || candidate.settings === undefined ? candidate.settings : null
  if (settings === null) return candidate
  const steps = isObject(candidate.steps) ? candidate.steps : null
  return {
    schemaVersion: 1,
    ...candidate,
    settings: { timezone, reentry: { allowed: true, blockWhilePresent: true, minInterval: null }, ...settings },
    ...(steps && { steps: withLineages(steps, previous) }),
  }
}

function withLineages(steps: Record<string, unknown>, previous: FlowDefinition | null): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(steps).map(([id, step]) => {
      if (!isObject(step)) return [id, step]
      const before = previous && Object.hasOwn(previous.steps, id) ? previous.steps[id] : undefined
      const lineage = before && before.type === step.type ? before.lineage : randomUUID()
      return [id, { lineage, params: {}, ...step }]
    }),
  )
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
