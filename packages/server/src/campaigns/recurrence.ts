import { instantOf, wallTimeOf } from '../platform/wall-clock.ts'
import type { RepeatRule } from './tables.ts'

/** Days looked ahead: more than two months, since the next 31st may be that far away. */
const HORIZON = 70

/**
 * The first occurrence after a moment; null when there is none. The time of day is what clocks in the zone show, so
 * it stays the same when they change.
 *
 * @param zone IANA name
 */
export function nextOccurrence(rule: RepeatRule, after: Date, zone: string): Date | null {
  const startsAt = rule.startsAt === null ? null : new Date(rule.startsAt)
  const from = startsAt && startsAt > after ? new Date(startsAt.getTime() - 1) : after
  const today = wallTimeOf(from, zone).startOf('day')
  for (let ahead = 0; ahead <= HORIZON; ahead++) {
    const day = today.plus({ days: ahead })
    if (!rule.days.includes(day.weekday) && !rule.monthDays.includes(day.day)) continue
    const at = instantOf(day.plus({ minutes: rule.sendTime }), zone)
    if (at <= from) continue
    return rule.endsAt !== null && at > new Date(rule.endsAt) ? null : at
  }
  return null
}

/** An occurrence that was missed by more than this, because nothing ran, is left out, in ms. */
const TOO_LATE = 24 * 3_600_000

/**
 * What to make now: of several occurrences that passed while nothing ran, only the last, and not if even that is a day
 * old.
 *
 * @param next the first one for which nothing was made
 * @returns `occurrence` null: nothing; `following`: what to wait for then
 */
export function dueOccurrence(
  rule: RepeatRule,
  next: Date,
  now: Date,
  zone: string,
): { occurrence: Date | null; following: Date | null } {
  let occurrence = next
  let following = nextOccurrence(rule, occurrence, zone)
  while (following && following <= now) {
    occurrence = following
    following = nextOccurrence(rule, occurrence, zone)
  }
  return { occurrence: now.getTime() - occurrence.getTime() > TOO_LATE ? null : occurrence, following }
}
