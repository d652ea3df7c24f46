import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { zoneIn } from '../../src/campaigns/person-zone.ts'
import { beginsAt, type SendFacts, type SendPlan, sendTimes } from '../../src/campaigns/send-time.ts'
import { wallTimeOf } from '../../src/platform/wall-clock.ts'

const HOUR = 3_600_000
const NEW_YORK = 'America/New_York'
const LONG_AGO = new Date(0)

/** Nine in the morning of Wednesday in New York. */
const NINE = new Date('2030-03-06T14:00:00Z')
const plan = (given: Partial<SendPlan>): SendPlan => ({
  type: 'specific',
  scheduledFor: NINE,
  startedAt: NINE,
  zone: NEW_YORK,
  fallback: null,
  hours: 0,
  ...given,
})
const person = (given: Partial<SendFacts>): SendFacts => ({ zone: null, hour: null, place: 0, ...given })
const at = (given: Partial<SendPlan>, facts: Partial<SendFacts>, now = LONG_AGO) =>
  sendTimes(plan(given), now)(person(facts)).toISOString()

describe('on the clocks where somebody is', () => {
  const local = (zone: string | null, given: Partial<SendPlan> = {}) =>
    at({ type: 'local_timezone', ...given }, { zone })

  it.each([
    ['Europe/Oslo', '2030-03-06T08:00:00.000Z'],
    ['Asia/Kathmandu', '2030-03-06T03:15:00.000Z'],
    ['Pacific/Kiritimati', '2030-03-05T19:00:00.000Z'],
    ['Pacific/Pago_Pago', '2030-03-06T20:00:00.000Z'],
    ['UTC-9:30', '2030-03-06T18:30:00.000Z'],
    [NEW_YORK, NINE.toISOString()],
  ])('it is nine in %s at %s, also beyond the date line', (zone, moment) => {
    expect(local(zone)).toBe(moment)
  })

  it('counts with the clocks of that day, theirs and ours', () => {
    // New York goes forward on 10 March, Oslo on the 31st.
    const monday = { scheduledFor: new Date('2030-03-11T13:00:00Z') }
    expect(local('Europe/Oslo', monday)).toBe('2030-03-11T08:00:00.000Z')
    const april = { scheduledFor: new Date('2030-04-01T13:00:00Z') }
    expect(local('Europe/Oslo', april)).toBe('2030-04-01T07:00:00.000Z')
  })

  it('moves past an hour that does not exist there, and takes the first of one that exists twice', () => {
    const skipped = { zone: 'UTC', scheduledFor: new Date('2030-03-10T02:30:00Z') }
    expect(local(NEW_YORK, skipped)).toBe('2030-03-10T07:30:00.000Z')
    const twice = { zone: 'UTC', scheduledFor: new Date('2030-11-03T01:30:00Z') }
    expect(local(NEW_YORK, twice)).toBe('2030-11-03T05:30:00.000Z')
  })

  it('without a zone it is the account’s, or the first such time of day after it, or that moment', () => {
    expect(local(null)).toBe(NINE.toISOString())
    expect(local(null, { fallback: '11:00' })).toBe('2030-03-06T16:00:00.000Z')
    expect(local(null, { fallback: '08:00' })).toBe('2030-03-07T13:00:00.000Z')
    expect(local(null, { fallback: '2030-03-06T20:00:00.000Z' })).toBe('2030-03-06T20:00:00.000Z')
  })

  it('what has passed is now', () => {
    const now = new Date('2030-03-06T12:00:00Z')
    expect(at({ type: 'local_timezone' }, { zone: 'Asia/Tokyo' }, now)).toBe(now.toISOString())
    expect(at({ type: 'local_timezone' }, { zone: 'America/Lima' }, now)).toBe(NINE.toISOString())
  })
})

describe('at the hour at which somebody reads', () => {
  const habit = (hour: number | null, given: Partial<SendPlan> = {}) => at({ type: 'personalized', ...given }, { hour })

  it('is the next such hour, or the scheduled moment when that is in it', () => {
    const half = { scheduledFor: new Date('2030-03-06T14:30:00Z') }
    expect(habit(9, half)).toBe('2030-03-06T14:30:00.000Z')
    expect(habit(20, half)).toBe('2030-03-07T01:00:00.000Z')
    expect(habit(8, half)).toBe('2030-03-07T13:00:00.000Z')
  })

  it('is the fallback for whom nobody knows', () => {
    expect(habit(null)).toBe(NINE.toISOString())
    expect(habit(null, { fallback: '17:15' })).toBe('2030-03-06T22:15:00.000Z')
  })
})

it('for everybody at once is now, whatever is known of the person', () => {
  const now = new Date('2030-03-06T14:00:02Z')
  expect(at({}, { zone: 'Asia/Tokyo', hour: 3 }, now)).toBe(now.toISOString())
})

// Properties

const ZONES = [
  'UTC',
  NEW_YORK,
  'Europe/Oslo',
  'Asia/Kathmandu',
  'Pacific/Kiritimati',
  'Australia/Lord_Howe',
  'UTC-9:30',
]
const anyZone = fc.constantFrom(...ZONES)
const anyMoment = fc.date({ min: new Date('2029-01-01'), max: new Date('2031-12-31'), noInvalidDate: true })
const anyPlan = fc.record({
  type: fc.constantFrom('specific' as const, 'personalized' as const, 'local_timezone' as const),
  scheduledFor: anyMoment,
  zone: anyZone,
  fallback: fc.option(fc.constantFrom('00:00', '09:30', '23:59')),
  hours: fc.integer({ min: 0, max: 72 }),
})
const anyPerson = fc.record({
  zone: fc.option(anyZone),
  hour: fc.option(fc.integer({ min: 0, max: 23 })),
  place: fc.double({ min: 0, max: 0.999, noNaN: true }),
})

test('nobody gets it before the sending begins, and everybody within about a day and the spread', () => {
  fc.assert(
    fc.property(anyPlan, anyPerson, (given, facts) => {
      const startedAt = beginsAt(given)
      const moment = sendTimes({ ...given, startedAt }, startedAt)(facts).getTime()
      expect(moment).toBeGreaterThanOrEqual(startedAt.getTime())
      // The clocks of one day may go back by an hour.
      const last = given.scheduledFor.getTime() + (25 + 2 + given.hours) * HOUR
      expect(moment).toBeLessThanOrEqual(last)
      expect(given.scheduledFor.getTime() - startedAt.getTime()).toBeLessThanOrEqual(26 * HOUR)
    }),
  )
})

test('clocks where people are show the scheduled time, unless they skip it', () => {
  fc.assert(
    fc.property(anyMoment, anyZone, anyZone, (scheduledFor, zone, theirs) => {
      const given = { type: 'local_timezone' as const, scheduledFor, zone }
      const moment = sendTimes(plan({ ...given, startedAt: beginsAt(given) }), LONG_AGO)(person({ zone: theirs }))
      const shown = wallTimeOf(moment, theirs).toMillis()
      const wanted = wallTimeOf(scheduledFor, zone).toMillis()
      expect([0, HOUR / 2, HOUR]).toContain(shown - wanted)
    }),
  )
})

test('a habit is met: it is that hour on the account’s clocks, unless they skip it', () => {
  fc.assert(
    fc.property(anyMoment, anyZone, fc.integer({ min: 0, max: 23 }), (scheduledFor, zone, hour) => {
      const moment = sendTimes(plan({ type: 'personalized', scheduledFor, zone }), LONG_AGO)(person({ hour }))
      expect([hour, (hour + 1) % 24]).toContain(wallTimeOf(moment, zone).hour)
    }),
  )
})

describe('a zone in a profile', () => {
  it.each([
    ['Europe/Oslo', 'Europe/Oslo'],
    [' America/New_York ', NEW_YORK],
    ['UTC', 'UTC'],
    ['0', 'UTC'],
    ['+2', 'UTC+2:00'],
    ['-5', 'UTC-5:00'],
    ['5.5', 'UTC+5:30'],
    ['+05:45', 'UTC+5:45'],
    ['-0330', 'UTC-3:30'],
    ['GMT+1', 'UTC+1:00'],
    ['utc-09:30', 'UTC-9:30'],
    ['CET', 'UTC+1:00'],
  ])('%j is %s', (text, zone) => {
    expect(zoneIn(text)).toBe(zone)
    expect(wallTimeOf(NINE, zone).isValid).toBe(true)
  })

  it.each(['', 'Mars/Olympus', 'somewhere', '+15', '-300', '+14:30', '2:75', '{"a":1}', 'a/../b'])(
    '%j is none',
    (text) => {
      expect(zoneIn(text)).toBe(null)
    },
  )
})
