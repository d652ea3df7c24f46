import type { JsonObject } from '../platform/json.ts'
import { addPeriod } from '../platform/wall-clock.ts'
import type { Cause, Evidence, ListSource, Via } from '../profiles/change.ts'
import type { Period } from './definition.ts'

/** A signal as the matcher reads it. */
export interface Signal {
  shard: number
  id: number
  profileId: number
  type: string
  key: string
  payload: JsonObject
  source: ListSource | Via
  evidence: Evidence
  cause: JsonObject
  /** `decided` of the person when it was decided. */
  asOf: number
  occurredAt: Date
}

/** Longest chain of flows starting flows. */
export const MAX_DEPTH = 8

/** Flows know joins by these names; whoever wrote the signal may have known only how the decision reached us. */
export function listSourceOf(source: ListSource | Via): ListSource {
  switch (source) {
    case 'hosted_page':
    case 'site_form':
    case 'confirm_link':
    case 'link_param':
    case 'flow':
    case 'bulk':
    case 'ui':
      return source
    case 'import':
      return 'bulk'
    default:
      return 'user_api'
  }
}

/** The chain a signal belongs to: a person's own act begins a new one, a flow's action carries its own on. */
export function causeOf(signal: Signal): Cause {
  const { root, depth, flows, origin, at, asOf } = signal.cause
  if (typeof root === 'string' && typeof depth === 'number' && Array.isArray(flows)) {
    return {
      root,
      depth,
      flows: flows.filter((id) => typeof id === 'number'),
      origin: typeof origin === 'string' ? (origin as ListSource) : undefined,
      at: typeof at === 'string' ? at : signal.occurredAt.toISOString(),
      // What was known when the chain began; later links of the chain know no better.
      asOf: typeof asOf === 'number' ? asOf : 0,
    }
  }
  return {
    root: `signal/${signal.id}`,
    depth: 0,
    flows: [],
    origin: listSourceOf(signal.source),
    at: signal.occurredAt.toISOString(),
    asOf: signal.asOf,
  }
}

/** What the actions of a flow give on: the chain that started the run, and this flow. */
export function causeOfAction(cause: Cause, flowId: number): Cause {
  return { ...cause, depth: cause.depth + 1, flows: [...cause.flows, flowId] }
}

/**
 * Whether starting the flow would turn a chain of flows into a loop. A flow that declares a recurrence may start
 * again in its own chain after that time.
 *
 * @param lastAt the person's last entry into the flow
 */
export function isLoop(
  cause: Cause,
  flow: { id: number; recurrence: Period | null; timezone: string },
  lastAt: Date | null,
  now: Date,
): boolean {
  if (cause.depth > MAX_DEPTH) return true
  if (!cause.flows.includes(flow.id)) return false
  if (!flow.recurrence) return true
  return lastAt !== null && addPeriod(lastAt, flow.recurrence, flow.timezone) > now
}
