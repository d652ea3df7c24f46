import { DateTime } from 'luxon'

/**
 * Calendar arithmetic in a named zone. Everything is first computed on the wall clock, as if there were no zones, and
 * turned into an instant once, at the end: so "two days later" means the same time of day whatever happens to the
 * offset in between.
 *
 * A wall time that a change of the clock skips is moved forward by the length of the gap; of one that occurs twice the
 * first is meant (RFC 5545 §3.3.5).
 */
export type WallTime = DateTime<true>

/** Names of the days of a week, the first one first (ISO 8601). */
export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const

/** A span of the calendar. */
export interface Period {
  amount: number
  unit: 'minutes' | 'hours' | 'days' | 'weeks' | 'months'
}

const UNITS = { minutes: 60_000, hours: 3_600_000 } as const

/** True for names that the time zone database knows. */
export const isZone = (name: string): boolean => DateTime.fromMillis(0, { zone: name }).isValid

/** What clocks in the zone show at an instant. */
export function wallTimeOf(instant: Date, zone: string): WallTime {
  return DateTime.fromJSDate(instant, { zone }).setZone('utc', { keepLocalTime: true }) as WallTime
}

/** The instant at which clocks in the zone show this. */
export function instantOf(wall: WallTime, zone: string): Date {
  const possible = wall.setZone(zone, { keepLocalTime: true }).getPossibleOffsets()
  return new Date(Math.min(...possible.map((one) => one.toMillis())))
}

/** Minutes and hours are exact; days, weeks and months keep the time of day, months ending on the last day at most. */
export function addPeriod(instant: Date, { amount, unit }: Period, zone: string): Date {
  if (unit === 'minutes' || unit === 'hours') return new Date(instant.getTime() + amount * UNITS[unit])
  return instantOf(wallTimeOf(instant, zone).plus({ [unit]: amount }), zone)
}

/**
 * The first moment at or after `from` that has the time of day and falls on one of the days.
 *
 * @param at `HH:MM`; null: `from` itself if its day fits, else the beginning of the first day that does
 * @param days names of weekdays; null: any
 */
export function nextTime(from: Date, at: string | null, days: readonly string[] | null, zone: string): Date {
  const today = wallTimeOf(from, zone).startOf('day')
  const [hour = 0, minute = 0] = (at ?? '00:00').split(':').map(Number)
  // A week and a day: the only fitting day may be today, too late.
  for (let ahead = 0; ahead <= 8; ahead++) {
    const day = today.plus({ days: ahead })
    if (days && !days.includes(WEEKDAYS[day.weekday - 1]!)) continue
    if (at === null && ahead === 0) return from
    const instant = instantOf(day.set({ hour, minute }), zone)
    if (instant >= from) return instant
  }
  throw new Error(`no ${at ?? 'day'} on ${days?.join(', ') ?? 'any day'} after ${from.toISOString()} in ${zone}`)
}
