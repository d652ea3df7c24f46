import { instantOf, nextTime, wallTimeOf } from '../platform/wall-clock.ts'

/**
 * How the moment is chosen at which somebody gets a campaign: `specific`, the same for everybody; `local_timezone`, when
 * the clocks where the person is show what the account's show at the scheduled moment; `personalized`, at the hour at
 * which the person usually looks at mail.
 */
export const SCHEDULE_TYPES = ['specific', 'personalized', 'local_timezone'] as const
export type ScheduleType = (typeof SCHEDULE_TYPES)[number]

/** When a campaign is to go out. */
export interface SendPlan {
  type: ScheduleType
  scheduledFor: Date
  /** When the sending began. */
  startedAt: Date
  /** The account's zone, on whose clocks the author read the scheduled time. */
  zone: string
  /** For people of whom nothing is known: `HH:MM` on the account's clocks, or a moment (ISO 8601). Null: none given. */
  fallback: string | null
  /** Spread over so many hours. */
  hours: number
}

/** What is known of a recipient. */
export interface SendFacts {
  /** A zone that is known to exist; null: unknown. */
  zone: string | null
  /** Hour of the account's clocks, 0 to 23, at which the person most often opened or clicked; null: never did. */
  hour: number | null
  /** Where the person stands in a spread sending: 0 to just under 1. */
  place: number
}

/** Clocks are nowhere ahead of these. */
const FIRST_ZONE = 'UTC+14'
const HOUR = 3_600_000

/**
 * When the sending has to begin so that everybody can get the campaign on time: with the zone in which the scheduled
 * time of day comes first.
 */
export function beginsAt({ type, scheduledFor, zone }: Pick<SendPlan, 'type' | 'scheduledFor' | 'zone'>): Date {
  if (type !== 'local_timezone') return scheduledFor
  const first = instantOf(wallTimeOf(scheduledFor, zone), FIRST_ZONE)
  return first < scheduledFor ? first : scheduledFor
}

/**
 * The rule: when each recipient gets the campaign. What has passed already is now; a spread comes on top of everything
 * else. Same facts, same answer; people of the same zone or hour share one look at the calendar.
 */
export function sendTimes(plan: SendPlan, now: Date): (facts: SendFacts) => Date {
  const known = new Map<string | number | null, number>()
  return (facts) => {
    const key = plan.type === 'personalized' ? facts.hour : facts.zone
    const moment = known.get(key) ?? momentOf(plan, facts).getTime()
    known.set(key, moment)
    return new Date(Math.max(now.getTime(), moment + plan.hours * HOUR * facts.place))
  }
}

function momentOf(plan: SendPlan, { zone, hour }: SendFacts): Date {
  if (plan.type === 'local_timezone') {
    return zone === null ? fallbackOf(plan) : instantOf(wallTimeOf(plan.scheduledFor, plan.zone), zone)
  }
  if (plan.type === 'personalized') return hour === null ? fallbackOf(plan) : nextInHour(plan, hour)
  return plan.startedAt
}

/** A time of day means the first one that is not before the scheduled moment. */
function fallbackOf({ fallback, scheduledFor, zone }: SendPlan): Date {
  if (fallback === null) return scheduledFor
  if (/^\d\d:\d\d$/.test(fallback)) return nextTime(scheduledFor, fallback, null, zone)
  return new Date(fallback)
}

/** The first moment from the scheduled one on at which the account's clocks show this hour. */
function nextInHour({ scheduledFor, zone }: SendPlan, hour: number): Date {
  if (wallTimeOf(scheduledFor, zone).hour === hour) return scheduledFor
  return nextTime(scheduledFor, `${String(hour).padStart(2, '0')}:00`, null, zone)
}
