import { afterAll, beforeAll, expect, test } from 'vitest'
import { DEFAULTS } from '../../src/settings/settings.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { commandsOn } from './support.ts'

let house: FreshDatabase
let fairlead: ReturnType<typeof commandsOn>
beforeAll(async () => {
  house = await freshDatabase()
  fairlead = commandsOn(house.connection)
})
afterAll(() => house.drop())

test('settings are listed with their defaults, and changed', async () => {
  const before = await fairlead('setting', 'list', '--json')
  expect(before.said.map((line) => JSON.parse(line))).toEqual(
    Object.entries(DEFAULTS).map(([name, value]) => ({ name, value, default: value })),
  )

  expect(await fairlead('setting', 'set', 'rate_limits', 'false')).toEqual({
    code: 0,
    said: ['rate_limits is now false'],
    complaints: [],
  })
  expect(await fairlead('setting', 'set', 'sender_name', '')).toMatchObject({ said: ['sender_name is now empty'] })
  expect((await fairlead('setting', 'list')).said).toContainEqual(
    expect.stringMatching(/^rate_limits +false {2}\(changed\)$/),
  )
})

test('an unknown name and a bad value are one line each', async () => {
  expect(await fairlead('setting', 'set', 'rate_limit', 'false')).toEqual({
    code: 1,
    said: [],
    complaints: [expect.stringMatching(/^fairlead: unknown setting rate_limit: one of timezone, /)],
  })
  expect(await fairlead('setting', 'set', 'rate_limits', 'off')).toMatchObject({
    code: 1,
    complaints: ['fairlead: rate_limits is true or false, not off'],
  })
})
