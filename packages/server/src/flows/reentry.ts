import { addPeriod } from '../platform/wall-clock.ts'
import type { Cause } from '../profiles/change.ts'
import { isLoop } from './cause.ts'
import type { FlowSettings } from './definition.ts'
import type { FlowStatus } from './tables.ts'

/** What the rules of entry know about one person and one flow. */
export interface Presence {
  /** First and last entry that is remembered. */
  memory: { firstAt: Date; lastAt: Date; entries: number } | null
  /** Live runs. */
  live: number
  /** Entries within the last hour. */
  lastHour: number
}

export interface EnteredFlow {
  id: number
  status: FlowStatus
  settings: FlowSettings
}

export type Admission =
  | 'started'
  | 'inactive'
  | 'loop_suppressed'
  | 'refused_reentry_once'
  | 'refused_present'
  | 'refused_interval'
  | 'refused_concurrency'
  | 'refused_rate'

/** Most live runs of one person in one flow. */
export const MOST_RUNS = 10
/** Most entries of one person into one flow within an hour: a last fuse. */
export const MOST_ENTRIES_PER_HOUR = 60
const HOUR = 3_600_000

/**
 * Whether a person may enter a flow.
 *
 * @param at when the fact happened that would start the run: the rules speak of the person's acts, not of how long
 *   they waited to be looked at
 */
export function admit(flow: EnteredFlow, presence: Presence, cause: Cause, at: Date): Admission {
  const { settings } = flow
  if (flow.status !== 'active' || !isScheduled(settings, at)) return 'inactive'
  const memory = recalled(presence.memory, settings, at)
  const recurrence = settings.recurrence?.minInterval ?? null
  if (isLoop(cause, { id: flow.id, recurrence, timezone: settings.timezone }, memory?.lastAt ?? null, at)) {
    return 'loop_suppressed'
  }
  const { allowed, blockWhilePresent, minInterval } = settings.reentry
  if (blockWhilePresent && presence.live > 0) return 'refused_present'
  if (!allowed && memory) return 'refused_reentry_once'
  if (minInterval && memory && addPeriod(memory.lastAt, minInterval, settings.timezone) > at) return 'refused_interval'
  if (presence.live >= MOST_RUNS) return 'refused_concurrency'
  if (presence.lastHour >= MOST_ENTRIES_PER_HOUR) return 'refused_rate'
  return 'started'
}

/** What the person's presence is once they have entered. */
export function entered(presence: Presence, settings: FlowSettings, at: Date): Presence {
  const memory = recalled(presence.memory, settings, at)
  return {
    memory: { firstAt: memory?.firstAt ?? at, lastAt: at, entries: (memory?.entries ?? 0) + 1 },
    live: presence.live + 1,
    lastHour: presence.lastHour + 1,
  }
}

/** The memory as far as it still counts: after two years a person is new again, unless it is kept for good. */
function recalled(memory: Presence['memory'], settings: FlowSettings, at: Date): Presence['memory'] {
  if (!memory || settings.reentry.memory === 'forever') return memory
  return addPeriod(memory.lastAt, { amount: 24, unit: 'months' }, settings.timezone) >= at ? memory : null
}

/** Beginning of the hour that counts for the entry limit. */
export const hourBefore = (at: Date): Date => new Date(at.getTime() - HOUR)

function isScheduled({ schedule }: FlowSettings, at: Date): boolean {
  if (schedule?.startAt && at < new Date(schedule.startAt)) return false
  return !schedule?.endAt || at < new Date(schedule.endAt)
}
