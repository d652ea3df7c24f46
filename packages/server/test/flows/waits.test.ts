import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deadline } from '../../src/flows/steps/wait-time.ts'
import { ACTS, type House, house, line, MINUTE, T0 } from './support.ts'

const LISBON = 'Europe/Lisbon'
const NEW_YORK = 'America/New_York'
const at = (params: Parameters<typeof deadline>[0], now: string, zone = LISBON) =>
  deadline(params, new Date(now), zone).toISOString()

describe('when a wait ends', () => {
  it('35: two days, then at nine', () => {
    expect(at({ for: { amount: 2, unit: 'days' }, at: '09:00' }, T0)).toBe('2026-03-05T09:00:00.000Z')
  })

  it('36: the next of some weekdays includes today while its time is ahead', () => {
    const wait = { nextDays: ['tue', 'fri'], at: '08:00' } as const
    expect(at({ ...wait, nextDays: [...wait.nextDays] }, '2026-03-06T07:00:00Z')).toBe('2026-03-06T08:00:00.000Z')
    expect(at({ ...wait, nextDays: [...wait.nextDays] }, '2026-03-06T09:00:00Z')).toBe('2026-03-10T08:00:00.000Z')
    expect(at({ nextDays: ['mon'] }, T0)).toBe('2026-03-02T10:00:00.000Z')
    expect(at({ nextDays: ['tue'] }, T0)).toBe('2026-03-03T00:00:00.000Z')
    expect(at({ nextDays: ['mon'], at: '09:00' }, T0)).toBe('2026-03-09T09:00:00.000Z')
  })

  it('37: a time that the change of the clock skips is moved forward, of one that occurs twice the first is meant', () => {
    expect(at({ at: '02:30' }, '2026-03-08T03:00:00Z', NEW_YORK)).toBe('2026-03-08T07:30:00.000Z')
    expect(at({ at: '01:30' }, '2026-11-01T02:00:00Z', NEW_YORK)).toBe('2026-11-01T05:30:00.000Z')
    // In the second pass of that hour the first one is over: tomorrow.
    expect(at({ at: '01:30' }, '2026-11-01T06:10:00Z', NEW_YORK)).toBe('2026-11-02T06:30:00.000Z')
    expect(at({ for: { amount: 1, unit: 'days' } }, '2026-03-07T15:00:00Z', NEW_YORK)).toBe('2026-03-08T14:00:00.000Z')
    expect(at({ for: { amount: 24, unit: 'hours' } }, '2026-03-07T15:00:00Z', NEW_YORK)).toBe(
      '2026-03-08T15:00:00.000Z',
    )
  })

  it('38: a month ends with the month', () => {
    expect(at({ for: { amount: 1, unit: 'months' } }, '2026-01-31T10:00:00Z')).toBe('2026-02-28T10:00:00.000Z')
  })

  it('39: nobody has a personal time yet, so the fallback holds, or none', () => {
    const period = { for: { amount: 4, unit: 'hours' } } as const
    expect(at({ ...period, pst: true }, T0)).toBe('2026-03-02T14:00:00.000Z')
    expect(at({ ...period, pst: true, pstFallback: '10:00' }, T0)).toBe('2026-03-03T10:00:00.000Z')
  })

  it('never ends before it began, and a time of day is that time of day', () => {
    const zones = ['UTC', LISBON, NEW_YORK, 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Pacific/Apia', 'Africa/Cairo']
    const units = ['minutes', 'hours', 'days', 'weeks', 'months'] as const
    fc.assert(
      fc.property(
        fc.date({ min: new Date('2024-01-01'), max: new Date('2030-01-01'), noInvalidDate: true }),
        fc.constantFrom(...zones),
        fc.option(fc.record({ amount: fc.integer({ min: 1, max: 12 }), unit: fc.constantFrom(...units) })),
        fc.integer({ min: 0, max: 1439 }),
        (now, zone, period, minutes) => {
          const time = `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`
          const end = deadline({ ...(period ? { for: period } : {}), at: time }, now, zone)
          expect(end.getTime()).toBeGreaterThanOrEqual(now.getTime())
          const shown = new Intl.DateTimeFormat('en-GB', { timeZone: zone, timeStyle: 'short' }).format(end)
          // Only a skipped time may differ, by the length of the gap.
          if (shown !== time) expect(shown > time).toBe(true)
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('waiting', () => {
  let h: House
  beforeAll(async () => {
    h = await house()
    await h.template('Welcome')
  })
  afterAll(() => h.drop())

  const waiting = (name: string, params: object, settings: object = {}) =>
    line(
      name,
      [
        ['joined', 'list_joined', { lists: [name] }],
        ['wait', 'time', params],
        ['welcome', 'send_email', { template: 'Welcome' }],
      ],
      settings,
    )

  it('34: a minute is a minute', async () => {
    h.clock.set(T0)
    await h.publish(waiting('case 34', { for: { amount: 1, unit: 'minutes' } }))
    const person = await h.person()
    await h.join(person, 'case 34', ACTS.api)
    h.clock.advance(59_999)
    await h.settle()
    expect(await h.mail(person)).toEqual([])
    expect((await h.runs(person))[0]).toMatchObject({ state: 'waiting', due_at: new Date('2026-03-02T10:01:00Z') })
    h.clock.advance(1)
    await h.settle()
    expect(await h.mail(person)).toEqual(['Welcome'])
  })

  it('keeps to the zone of the flow, or of the person where the step says so', async () => {
    h.clock.set(T0)
    const settings = { timezone: NEW_YORK }
    await h.publish(waiting('account zone', { at: '09:00' }, settings))
    await h.publish(waiting('own zone', { at: '09:00', zone: 'profile' }, settings))
    const person = await h.person('none', { vars: { timezone: 'Asia/Kathmandu' } })
    const stranger = await h.person('none', { vars: { timezone: 'Mars/Olympus' } })
    await h.join(person, 'account zone', ACTS.api)
    await h.join(person, 'own zone', ACTS.api)
    await h.join(stranger, 'own zone', ACTS.api)
    const due = async (who: { id: number }) => (await h.runs(who)).map(({ due_at }) => due_at?.toISOString())
    expect(await due(person)).toEqual(['2026-03-02T14:00:00.000Z', '2026-03-03T03:15:00.000Z'])
    expect(await due(stranger)).toEqual(['2026-03-02T14:00:00.000Z'])
  })

  it('40: who is inside a wait keeps its end when it is edited', async () => {
    h.clock.set(T0)
    await h.publish(waiting('case 40', { for: { amount: 5, unit: 'days' } }))
    const early = await h.person()
    await h.join(early, 'case 40', ACTS.api)
    h.clock.advance(2 * 1440 * MINUTE)
    expect((await h.publish(waiting('case 40', { for: { amount: 1, unit: 'days' } }))).version).toBe(2)
    const late = await h.person()
    await h.join(late, 'case 40', ACTS.api)
    h.clock.advance(1440 * MINUTE)
    await h.settle()
    expect([await h.mail(early), await h.mail(late)]).toEqual([[], ['Welcome']])
    h.clock.advance(2 * 1440 * MINUTE)
    await h.settle()
    expect(await h.mail(early)).toEqual(['Welcome'])
  })

  it('41: after three hours without workers all go on, each once', async () => {
    h.clock.set(T0)
    await h.publish(waiting('case 41', { for: { amount: 1, unit: 'hours' } }))
    const list = (await h.lists.find(['case 41'])).get('case 41')!
    const emails = Array.from({ length: 400 }, (_, n) => `crowd${n}@example.com`)
    await h.profiles.changeAll(
      emails.map((value) => ({ person: { kind: 'email', value }, act: ACTS.api, lists: new Map([[list, true]]) })),
    )
    await h.settle()
    h.clock.advance(180 * MINUTE)
    const workers = [h.make(), h.make()]
    let steps = 0
    for (let busy = true; busy; ) {
      const done = await Promise.all(workers.map(({ engine }) => engine.runOnce()))
      busy = done.some(({ runs }) => runs > 0)
      for (const one of done) steps += one.steps
    }
    // The wait and the message.
    expect(steps).toBe(800)
    const { count } = await h.db
      .selectFrom('message')
      .select(({ fn }) => [fn.countAll<number>().as('count')])
      .where('address', 'in', emails)
      .executeTakeFirstOrThrow()
    expect(count).toBe(400)
  })
})
