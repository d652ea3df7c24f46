import { describe, expect, it } from 'vitest'
import { dueOccurrence, nextOccurrence } from '../../src/campaigns/recurrence.ts'
import type { RepeatRule } from '../../src/campaigns/tables.ts'

const NEW_YORK = 'America/New_York'
const rule = (given: Partial<RepeatRule>): RepeatRule => ({
  days: [],
  monthDays: [],
  sendTime: 9 * 60,
  generateHours: 0,
  startsAt: null,
  endsAt: null,
  ...given,
})

/** The next occurrences after a moment. */
function series(given: RepeatRule, after: string, zone: string, count: number): Array<string | null> {
  const found: Array<string | null> = []
  let at: Date | null = new Date(after)
  while (at && found.length < count) {
    at = nextOccurrence(given, at, zone)
    found.push(at?.toISOString() ?? null)
  }
  return found
}

describe('a repeat', () => {
  it('on weekdays keeps its time of day when the clocks change', () => {
    // Clocks in New York go forward on Sunday, 10 March 2030.
    expect(series(rule({ days: [1, 4] }), '2030-03-06T12:00:00Z', NEW_YORK, 3)).toEqual([
      '2030-03-07T14:00:00.000Z',
      '2030-03-11T13:00:00.000Z',
      '2030-03-14T13:00:00.000Z',
    ])
  })

  it('on a day of the month leaves out months that have none', () => {
    expect(series(rule({ monthDays: [31] }), '2030-01-31T09:00:00Z', 'UTC', 3)).toEqual([
      '2030-03-31T09:00:00.000Z',
      '2030-05-31T09:00:00.000Z',
      '2030-07-31T09:00:00.000Z',
    ])
  })

  it('is moved past an hour that does not exist, and takes the first of one that exists twice', () => {
    const early = rule({ days: [7], sendTime: 2 * 60 + 30 })
    expect(series(early, '2030-03-09T12:00:00Z', NEW_YORK, 1)).toEqual(['2030-03-10T07:30:00.000Z'])
    const twice = rule({ days: [7], sendTime: 60 + 30 })
    expect(series(twice, '2030-11-02T12:00:00Z', NEW_YORK, 2)).toEqual([
      '2030-11-03T05:30:00.000Z',
      '2030-11-10T06:30:00.000Z',
    ])
  })

  it('begins and ends', () => {
    const bounded = rule({ days: [1, 2, 3, 4, 5], startsAt: '2030-03-07T00:00:00Z', endsAt: '2030-03-08T23:59:59Z' })
    expect(series(bounded, '2030-03-01T00:00:00Z', 'UTC', 5)).toEqual([
      '2030-03-07T09:00:00.000Z',
      '2030-03-08T09:00:00.000Z',
      null,
    ])
  })
})

describe('after a time in which nothing ran', () => {
  const daily = rule({ days: [1, 2, 3, 4, 5, 6, 7] })
  const next = new Date('2030-03-05T09:00:00Z')

  it.each([
    ['an hour late is made', '2030-03-05T10:00:00Z', '2030-03-05T09:00:00.000Z', '2030-03-06T09:00:00.000Z'],
    [
      'of several only the last is made',
      '2030-03-08T10:00:00Z',
      '2030-03-08T09:00:00.000Z',
      '2030-03-09T09:00:00.000Z',
    ],
    ['ahead of its time it is made', '2030-03-05T04:00:00Z', '2030-03-05T09:00:00.000Z', '2030-03-06T09:00:00.000Z'],
  ])('%s', (_, now, occurrence, following) => {
    const due = dueOccurrence(daily, next, new Date(now), 'UTC')
    expect([due.occurrence?.toISOString(), due.following?.toISOString()]).toEqual([occurrence, following])
  })

  it('what is more than a day old is left out', () => {
    const weekly = rule({ days: [2] })
    const due = dueOccurrence(weekly, next, new Date('2030-03-07T09:00:00Z'), 'UTC')
    expect([due.occurrence, due.following?.toISOString()]).toEqual([null, '2030-03-12T09:00:00.000Z'])
  })
})
