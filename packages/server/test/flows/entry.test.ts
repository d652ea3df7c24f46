import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ACTS, backByJoining, DAY, HOUR, type House, house, line, MINUTE } from './support.ts'

let h: House
beforeAll(async () => {
  h = await house()
  await h.setting('timezone', 'Europe/Lisbon')
  await h.template('Welcome')
})
afterAll(() => h.drop())

/** A flow in which people stay for so many hours. */
function staying(list: string, hours: number, reentry: object) {
  const settings = { reentry: { allowed: true, blockWhilePresent: true, ...reentry } }
  return line(
    `Staying ${list}`,
    [
      ['joined', 'list_joined', { lists: [list] }],
      ['stay', 'time', { for: { amount: hours, unit: 'hours' } }],
      ['welcome', 'send_email', { template: 'Welcome' }],
    ],
    settings,
  )
}

/** Leaves the list and joins it again. */
async function rejoin(person: { id: number }, list: string) {
  const id = (await h.lists.ensure([list])).get(list)!
  await h.change(person, { act: ACTS.api, lists: new Map([[id, false]]) })
  await h.join(person, list, ACTS.api)
}

describe('coming again', () => {
  it('28: being added to a list one is on already is no join', async () => {
    await h.publish(backByJoining('case 28'))
    await h.publish(
      line('case 28 adds', [
        ['joined', 'list_joined', { lists: ['case 28 start'] }],
        ['add', 'add_to_list', { lists: ['case 28'] }],
      ]),
    )
    const person = await h.person('basic')
    await h.join(person, 'case 28', ACTS.signedPage)
    await h.change(person, { act: ACTS.page, level: { to: 'basic', mode: 'set' } })
    h.clock.advance(MINUTE)
    await h.join(person, 'case 28 start', ACTS.signedPage)
    expect(await h.effects(person)).toEqual(['back_in applied', 'welcome queued', 'add noop'])
    expect(await h.level(person)).toBe('basic')
  })

  it.each([
    ['P2Y', ['started', 'refused_reentry_once', 'started']],
    ['forever', ['started', 'refused_reentry_once', 'refused_reentry_once']],
  ])('29: once only, as long as it is remembered (%s)', async (memory, expected) => {
    const list = `case 29 ${memory}`
    await h.publish(staying(list, 1, { allowed: false, memory }))
    const person = await h.person()
    const start = h.clock.now()
    await h.join(person, list, ACTS.api)
    h.clock.advance(DAY)
    await h.settle()
    await rejoin(person, list)
    h.clock.set('2028-03-10T10:00:00Z')
    await rejoin(person, list)
    h.clock.set(start)
    expect(await h.matches(person)).toEqual(expected)
  })

  it('30: not while inside; after the end again', async () => {
    await h.publish(staying('case 30', 24, {}))
    const person = await h.person()
    await h.join(person, 'case 30', ACTS.api)
    h.clock.advance(HOUR)
    await rejoin(person, 'case 30')
    h.clock.advance(DAY)
    await h.settle()
    await rejoin(person, 'case 30')
    expect(await h.matches(person)).toEqual(['started', 'refused_present', 'started'])
  })

  it('31: of fifty signals dispatched at once by many workers, one starts a run', async () => {
    await h.publish(staying('case 31', 24, {}))
    const person = await h.person()
    const list = (await h.lists.find(['case 31'])).get('case 31')!
    await Promise.all(
      Array.from({ length: 50 }, () =>
        h.profiles.changeAll([
          { person: { kind: 'id', value: person.id }, create: false, act: ACTS.api, lists: new Map([[list, false]]) },
          { person: { kind: 'id', value: person.id }, create: false, act: ACTS.api, lists: new Map([[list, true]]) },
        ]),
      ),
    )
    const workers = Array.from({ length: 8 }, () => h.make())
    while ((await Promise.all(workers.map(({ dispatcher }) => dispatcher.dispatchOnce()))).some((n) => n > 0));
    const matches = await h.matches(person)
    expect(matches).toHaveLength(50)
    expect(matches.filter((outcome) => outcome === 'started')).toHaveLength(1)
    expect(new Set(matches)).toEqual(new Set(['started', 'refused_present']))
    expect(await h.runs(person)).toHaveLength(1)
  })

  it('32: at most once in a time, counted from the last entry', async () => {
    await h.publish(staying('case 32', 1, { minInterval: { amount: 7, unit: 'days' } }))
    const person = await h.person()
    await h.join(person, 'case 32', ACTS.api)
    h.clock.advance(6 * DAY)
    await h.settle()
    await rejoin(person, 'case 32')
    h.clock.advance(DAY)
    await rejoin(person, 'case 32')
    expect(await h.matches(person)).toEqual(['started', 'refused_interval', 'started'])
  })

  it('33: where both are allowed, runs of one person are independent', async () => {
    await h.publish(staying('case 33', 2, { blockWhilePresent: false }))
    const person = await h.person()
    await h.join(person, 'case 33', ACTS.api)
    h.clock.advance(HOUR)
    await rejoin(person, 'case 33')
    h.clock.advance(HOUR)
    await h.settle()
    expect((await h.runs(person)).map(({ state }) => state)).toEqual(['ended', 'waiting'])
    h.clock.advance(HOUR)
    await h.settle()
    expect((await h.runs(person)).map(({ state }) => state)).toEqual(['ended', 'ended'])
    expect(await h.mail(person)).toEqual(['Welcome', 'Welcome'])
  })

  it('turns people away after sixty entries within an hour', async () => {
    const name = 'fuse'
    await h.publish(backByJoining(name, {}, { reentry: { allowed: true, blockWhilePresent: true } }))
    const person = await h.person()
    for (let n = 0; n < 62; n++) await rejoin(person, name)
    const matches = await h.matches(person)
    expect(matches.filter((outcome) => outcome === 'started')).toHaveLength(60)
    expect(matches.slice(60)).toEqual(['refused_rate', 'refused_rate'])
  })
})

describe('loops', () => {
  const chained = (name: string, from: string, to: string) =>
    line(name, [
      ['joined', 'list_joined', { lists: [from] }],
      ['add', 'add_to_list', { lists: [to] }],
    ])

  it('66: the tenth flow of a chain does not start', async () => {
    for (let n = 1; n <= 10; n++) await h.publish(chained(`chain ${n}`, `chain ${n}`, `chain ${n + 1}`))
    const person = await h.person()
    await h.join(person, 'chain 1', ACTS.api)
    expect(await h.runs(person)).toHaveLength(9)
    expect((await h.matches(person)).at(-1)).toBe('loop_suppressed')
  })

  it('a chain carries the proof it began with, and not more', async () => {
    await h.publish(chained('proof', 'proof 1', 'proof 2'))
    await h.publish(backByJoining('proof 2'))
    const byPage = await h.person('basic')
    await h.join(byPage, 'proof 1', ACTS.signedPage)
    expect(await h.effects(byPage)).toEqual(['add joined', 'back_in applied', 'welcome queued'])
    const byForm = await h.person('basic')
    await h.join(byForm, 'proof 1', ACTS.siteForm)
    expect((await h.effects(byForm))[1]).toBe('back_in needs_confirmation')
    const byLink = await h.person('basic')
    await h.join(byLink, 'proof 1', ACTS.confirmLink)
    expect((await h.effects(byLink))[1]).toBe('back_in applied')
    const byApi = await h.person('basic')
    await h.join(byApi, 'proof 1', ACTS.api)
    expect((await h.effects(byApi))[1]).toBe('back_in applied')
  })
})
