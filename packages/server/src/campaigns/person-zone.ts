import { IANAZone } from 'luxon'
import { abbreviatedZones } from '../platform/zone-names.ts'

/** `+2`, `-05:30`, `UTC+0200`, `5.5`: hours east of Greenwich. Minutes without a colon need hours of two digits. */
const OFFSET =
  /^(?:(?:utc|gmt) ?)?([+-]?)(?:(?<hours>\d{1,2})(?::(?<minutes>[0-5]\d)|\.(?<part>\d{1,2}))?|(?<both>\d{2}[0-5]\d))$/i

/** The farthest from Greenwich that any clock is, in minutes. */
const FARTHEST = 14 * 60

/**
 * Understands what profiles say of a person's time zone: a name of the time zone database, an offset from UTC in hours,
 * or an abbreviation that stands for one.
 *
 * @returns a name that calendar functions take (`Europe/Oslo`, `UTC+5:30`); null: not understood
 */
export function zoneIn(text: string): string | null {
  const given = text.trim()
  if (given.includes('/')) return IANAZone.isValidZone(given) ? given : null
  const abbreviated = abbreviatedZones.get(given.toUpperCase())
  if (abbreviated !== undefined) return offsetZone(abbreviated * 60)
  const { hours, minutes, part, both } = OFFSET.exec(given)?.groups ?? {}
  if (hours === undefined && both === undefined) return null
  const distance = both
    ? Number(both.slice(0, 2)) * 60 + Number(both.slice(2))
    : Number(hours) * 60 + Number(minutes ?? 0) + Math.round(Number(`0.${part ?? 0}`) * 60)
  const offset = /-/.test(given) ? -distance : distance
  return Math.abs(offset) > FARTHEST ? null : offsetZone(offset)
}

function offsetZone(minutes: number): string {
  if (minutes === 0) return 'UTC'
  const distance = Math.abs(minutes)
  const rest = String(distance % 60).padStart(2, '0')
  return `UTC${minutes < 0 ? '-' : '+'}${Math.floor(distance / 60)}:${rest}`
}
