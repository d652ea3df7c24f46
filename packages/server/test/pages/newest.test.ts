import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findProfile } from '../../src/profiles/read.ts'
import { openPages, type PageHouse, type Reader } from './support.ts'

let house: PageHouse
let daily: number
let weekly: number
beforeAll(async () => {
  house = await openPages()
  for (const name of ['Daily', 'Weekly']) await house.services.lists.save({ name }, { isPrimary: true })
  const ids = await house.services.lists.find(['Daily', 'Weekly'])
  daily = ids.get('Daily')!
  weekly = ids.get('Weekly')!
})
afterAll(() => house.close())

const confirmPath = (reader: Reader, lists: number[]) => house.confirmPath(reader, lists)
const leave = (id: number, list: number, via?: 'flow') => house.change(id, { lists: new Map([[list, false]]) }, via)
const on = (...lists: number[]) => ({ lists: new Map(lists.map((list) => [list, true])) })

describe('a list that somebody left is not joined again', () => {
  test('by a confirmation link from before; its other lists are', async () => {
    const ada = await house.reader('ada', on(daily))
    const both = await confirmPath(ada, [daily, weekly])
    const one = await confirmPath(ada, [daily])
    const early = await house.get(both)
    house.clock.advance(1_000)
    await leave(ada.id, daily)
    expect((await house.get(one)).text).toContain('This link can no longer be used')
    expect((await house.post(one, { confirm: '1' })).text).toContain('This link can no longer be used')
    const page = await house.get(both)
    expect(page.text).toContain('Weekly')
    expect(page.text).not.toContain('Daily')
    const done = await early.submit()
    expect(await house.lists(ada.id)).toEqual(['Weekly'])
    expect((await house.get(done.location!)).text).toContain('From now on you get: Weekly')
  })

  test('by a page from before, which says so', async () => {
    const bob = await house.reader('bob', on(daily))
    const early = await house.get(bob.oc)
    house.clock.advance(1_000)
    await leave(bob.id, daily)
    house.clock.advance(1_000)
    const saved = await early.submit({ 'lists[Weekly]': '1' })
    expect(await house.lists(bob.id)).toEqual(['Weekly'])
    const after = await house.get(saved.location!)
    expect(after.text).toContain('You now get: Weekly.')
    expect(after.text).toContain('Still off: Daily.')
    await (await house.get(bob.oc)).submit({ 'lists[Daily]': '1' })
    expect(await house.lists(bob.id)).toEqual(['Daily', 'Weekly'])
  })

  test('by taking back a save from before', async () => {
    const cai = await house.reader('cai', on(daily))
    const saved = await (await house.get(cai.oc)).submit({ 'lists[Daily]': null })
    const undo = await house.get(saved.location!)
    house.clock.advance(1_000)
    await house.change(cai.id, on(daily))
    await leave(cai.id, daily)
    await undo.submit()
    expect(await house.lists(cai.id)).toEqual([])
  })

  test('but is when it was left before, or by no human being', async () => {
    const dan = await house.reader('dan', on(daily, weekly))
    await leave(dan.id, daily)
    house.clock.advance(1_000)
    const path = await confirmPath(dan, [daily, weekly])
    house.clock.advance(1_000)
    await leave(dan.id, weekly, 'flow')
    await (await house.get(path)).submit()
    expect(await house.lists(dan.id)).toEqual(['Daily', 'Weekly'])
  })
})

test('a template that somebody left is not taken up again by a page from before', async () => {
  const eve = await house.reader('eve')
  const early = await house.get(eve.oc)
  house.clock.advance(1_000)
  await (await house.get(eve.oc)).submit({ 'templates[Welcome]': null })
  house.clock.advance(1_000)
  const saved = await early.submit()
  expect((await findProfile(house.db, { kind: 'id', value: eve.id }))!.templateOptouts.size).toBe(1)
  expect((await house.get(saved.location!)).text).toContain('Still off: Welcome letters.')
})

test('who comes back may choose the newsletters to come back for', async () => {
  const fay = await house.reader('fay', on(daily, weekly))
  await house.change(fay.id, { level: { to: 'all', mode: 'set' } })
  house.clock.advance(1_000)
  const page = await house.get(fay.oc)
  expect(page.text).toContain('Only some newsletters?')
  await page.submit({ 'lists[Weekly]': '1' }, 1)
  expect(await house.level(fay.id)).toBe('none')
  expect(await house.lists(fay.id)).toEqual(['Weekly'])
})
