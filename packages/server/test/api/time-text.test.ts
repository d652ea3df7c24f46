import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatRfc2822, parseTimeText } from '../../src/platform/time-text.ts'

/** A Monday, 10:20:30 in New York (-0500) and 15:20:30 in Greenwich. */
const now = new Date('2030-03-04T15:20:30.400Z')
const zone = 'America/New_York'
const read = (text: string) => parseTimeText(text, now, zone)?.toISOString().replace('.000Z', 'Z') ?? null

describe('times that are understood', () => {
  test.each([
    // Mail, programs, databases
    ['Tue, 05 Mar 2030 09:30:00 -0500', '2030-03-05T14:30:00Z'],
    ['05 Mar 2030 09:30:00 -0500', '2030-03-05T14:30:00Z'],
    ['Tue, 5 Mar 30 09:30 GMT', '2030-03-05T09:30:00Z'],
    ['Tue, 05 Mar 2030 09:30:00 -05:00', '2030-03-05T14:30:00Z'],
    ['Tue Mar 05 14:30:00 UTC 2030', '2030-03-05T14:30:00Z'],
    ['Tue Mar 05 14:30:00 GMT+01:00 2030', '2030-03-05T13:30:00Z'],
    ['Tue Mar 05 2030 09:30:00 GMT-0500 (Eastern Standard Time)', '2030-03-05T14:30:00Z'],
    ['2030-03-05 09:30:00', '2030-03-05T14:30:00Z'],
    ['2030-03-05 09:30', '2030-03-05T14:30:00Z'],
    ['2030-03-05T14:30:00Z', '2030-03-05T14:30:00Z'],
    ['2030-03-05t14:30:00.250z', '2030-03-05T14:30:00.250Z'],
    ['2030-03-05T14:30:00+05:30', '2030-03-05T09:00:00Z'],
    ['20300305T143000Z', '2030-03-05T14:30:00Z'],
    ['2030-03-05 09:30:00 America/New_York', '2030-03-05T14:30:00Z'],
    ['2030-03-05 09:30:00 America/Argentina/Buenos_Aires', '2030-03-05T12:30:00Z'],
    ['2030-03-05 09:30:00 Etc/GMT+5', '2030-03-05T14:30:00Z'],
    ['2030-03-05 09:30:00 UTC', '2030-03-05T09:30:00Z'],
    ['2030-03-05 09:30:00 EST', '2030-03-05T14:30:00Z'],
    ['2030-03-05 09:30:00 pdt', '2030-03-05T16:30:00Z'],
    ['2030-03-05 09:30:00 UTC+2', '2030-03-05T07:30:00Z'],
    // Days
    ['2030-03-05', '2030-03-05T05:00:00Z'],
    ['2030/3/5', '2030-03-05T05:00:00Z'],
    ['20300305', '2030-03-05T05:00:00Z'],
    ['3/5/2030', '2030-03-05T05:00:00Z'],
    ['03/05/30 14:00', '2030-03-05T19:00:00Z'],
    ['3/5', '2030-03-05T05:00:00Z'],
    ['5.3.2030', '2030-03-05T05:00:00Z'],
    ['05-03-2030 UTC', '2030-03-05T00:00:00Z'],
    ['5-Mar-2030', '2030-03-05T05:00:00Z'],
    ['2030-Mar-05', '2030-03-05T05:00:00Z'],
    ['5mar2030', '2030-03-05T05:00:00Z'],
    ['March 2030', '2030-03-01T05:00:00Z'],
    ['2028-02-29', '2028-02-29T05:00:00Z'],
    // English
    ['March 5, 9:30 EST', '2030-03-05T14:30:00Z'],
    ['Saturday, March 9, 2030 9:00pm EST', '2030-03-10T02:00:00Z'],
    ['March 5th 2030 9 a.m.', '2030-03-05T14:00:00Z'],
    ['5 March 10pm', '2030-03-06T03:00:00Z'],
    ['sept 1 12:30am', '2030-09-01T04:30:00Z'],
    ['12pm', '2030-03-04T17:00:00Z'],
    ['9:30', '2030-03-04T14:30:00Z'],
    ['24:00', '2030-03-05T05:00:00Z'],
    // Relative
    ['now', '2030-03-04T15:20:30Z'],
    ['today', '2030-03-04T05:00:00Z'],
    ['TODAY 9:30 UTC', '2030-03-04T09:30:00Z'],
    ['tomorrow 09:30 UTC', '2030-03-05T09:30:00Z'],
    ['9:30 tomorrow', '2030-03-05T14:30:00Z'],
    ['tomorrow noon', '2030-03-05T17:00:00Z'],
    ['midnight', '2030-03-04T05:00:00Z'],
    ['yesterday', '2030-03-03T05:00:00Z'],
    ['+3 hours', '2030-03-04T18:20:30Z'],
    ['+3hours', '2030-03-04T18:20:30Z'],
    ['+ 90 sec', '2030-03-04T15:22:00Z'],
    ['5 minutes ago', '2030-03-04T15:15:30Z'],
    ['-1 week 2 days', '2030-02-27T15:20:30Z'],
    ['+10 days', '2030-03-14T14:20:30Z'],
    ['+1 day 6 hours', '2030-03-05T21:20:30Z'],
    ['+1 month', '2030-04-04T14:20:30Z'],
    ['next month', '2030-04-04T14:20:30Z'],
    ['last year', '2029-03-04T15:20:30Z'],
    ['third day', '2030-03-07T15:20:30Z'],
    ['a fortnight ago', '2030-02-18T15:20:30Z'],
    ['2030-01-31 +1 month', '2030-03-03T05:00:00Z'],
    ['first day of next month', '2030-04-01T14:20:30Z'],
    ['last day of february 2028', '2028-02-29T05:00:00Z'],
    ['monday', '2030-03-04T05:00:00Z'],
    ['next monday', '2030-03-11T04:00:00Z'],
    ['last monday', '2030-02-25T05:00:00Z'],
    ['friday 9am', '2030-03-08T14:00:00Z'],
    ['this sunday', '2030-03-10T05:00:00Z'],
    ['monday +1 week', '2030-03-11T04:00:00Z'],
    ['Saturday, March 9, 2030 9:00pm EST -2 days', '2030-03-08T02:00:00Z'],
    // Unix seconds
    ['1900000000', '2030-03-17T17:46:40Z'],
    ['@1900000000', '2030-03-17T17:46:40Z'],
    ['@1900000000.5', '2030-03-17T17:46:40.500Z'],
    ['@0', '1970-01-01T00:00:00Z'],
    [' 999999999 ', '2001-09-09T01:46:39Z'],
  ])('%s', (text, moment) => {
    expect(read(text)).toBe(moment)
  })

  test('a zone in the text decides which day tomorrow is', () => {
    const late = new Date('2030-03-05T03:00:00Z') // still the 4th in New York
    expect(parseTimeText('tomorrow 09:30', late, zone)?.toISOString()).toBe('2030-03-05T14:30:00.000Z')
    expect(parseTimeText('tomorrow 09:30 UTC', late, zone)?.toISOString()).toBe('2030-03-06T09:30:00.000Z')
  })

  test('days are counted on the calendar and hours on the clock when summer time begins', () => {
    const before = new Date('2030-03-09T17:00:00Z') // noon, the day before
    expect(parseTimeText('+1 day', before, zone)?.toISOString()).toBe('2030-03-10T16:00:00.000Z')
    expect(parseTimeText('+24 hours', before, zone)?.toISOString()).toBe('2030-03-10T17:00:00.000Z')
    expect(parseTimeText('2030-03-10 02:30', before, zone)?.toISOString()).toBe('2030-03-10T07:30:00.000Z')
  })
})

describe('times that are not', () => {
  test.each([
    '',
    ' ',
    ',',
    '()',
    'soon',
    'UTC',
    'America/New_York',
    '2030-13-05',
    '2030-02-30',
    '2030-02-29',
    '31 April 2030',
    '25:00',
    '9:60',
    '13pm',
    '2030',
    '12345',
    '123456789012',
    '2030-03-05 2030-03-06',
    '9:30 10:30',
    '2030-03-05 09:30 Nowhere/City',
    '2030-03-05 09:30 XYZ',
    '+999999999 years',
    'tomorrow; drop table profile',
    'x'.repeat(300),
    '１２:30',
  ])('%s', (text) => {
    expect(read(text)).toBeNull()
  })

  test('never throws and never answers a time outside the calendar', () => {
    const words = fc.constantFrom(
      'next',
      'last',
      'day',
      'of',
      'first',
      'monday',
      'mar',
      '5',
      '2030',
      ',',
      ' ',
      '-',
      '+',
      ':',
      '30',
      'T',
      'Z',
      'est',
      'ago',
      'week',
      'am',
      '@',
      '99999999',
      '/',
      '.',
      'Europe/Berlin',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(words, { maxLength: 12 }).map((parts) => parts.join('')),
        ),
        (text) => {
          const moment = parseTimeText(text, now, zone)
          const year = moment?.getUTCFullYear() ?? 2030
          expect(year >= 1 && year <= 9999).toBe(true)
        },
      ),
      { numRuns: 5000 },
    )
  })
})

describe('times given back', () => {
  test.each([
    ['2030-03-05T14:30:00Z', 'America/New_York', 'Tue, 05 Mar 2030 09:30:00 -0500'],
    ['2030-07-05T14:30:00Z', 'America/New_York', 'Fri, 05 Jul 2030 10:30:00 -0400'],
    ['2030-03-05T14:30:09Z', 'UTC', 'Tue, 05 Mar 2030 14:30:09 +0000'],
    ['2030-12-31T20:00:00Z', 'Asia/Kolkata', 'Wed, 01 Jan 2031 01:30:00 +0530'],
  ])('%s in %s', (moment, where, text) => {
    expect(formatRfc2822(new Date(moment), where)).toBe(text)
  })

  test('are understood again', () => {
    const moments = fc.date({ min: new Date('1950-01-01'), max: new Date('2200-01-01'), noInvalidDate: true })
    fc.assert(
      fc.property(
        moments,
        fc.constantFrom('UTC', zone, 'Europe/Berlin', 'Asia/Kathmandu', 'Pacific/Apia'),
        (moment, where) => {
          const text = formatRfc2822(moment, where)
          expect(text).toMatch(/^(Sun|Mon|Tue|Wed|Thu|Fri|Sat), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}$/)
          expect(parseTimeText(text, now, zone)?.getTime()).toBe(Math.floor(moment.getTime() / 1000) * 1000)
        },
      ),
    )
  })
})
