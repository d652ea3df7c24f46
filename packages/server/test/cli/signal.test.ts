import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDefinitions } from '../../src/flows/definitions.ts'
import { createLog } from '../../src/platform/log.ts'
import { createDispatcher, type Reaction } from '../../src/signals/dispatch.ts'
import { type House, openHouse } from '../endpoints/support.ts'
import { commandsOn } from './support.ts'

let house: House
let fairlead: ReturnType<typeof commandsOn>
beforeAll(async () => {
  house = await openHouse()
  fairlead = commandsOn(house.connection)
})
afterAll(() => house.close())

test('what failed ten times is set aside, shown, and tried again when an operator says so', async () => {
  await house.setting('optout_postback_url', 'https://example.com/postback')
  for (const name of ['ada', 'bob']) {
    await house.post('user', { id: `${name}@example.com` })
    const person = { kind: 'email', value: `${name}@example.com` } as const
    await house.services.profiles.change({
      person,
      act: { via: 'hosted_page', evidence: 2 },
      level: { to: 'all', mode: 'tighten' },
    })
  }
  let isBroken = true
  const reacted: number[] = []
  const react: Reaction = async (_, signals) => {
    if (isBroken) throw new Error('broken')
    reacted.push(...signals.map(({ id }) => id))
  }
  const { db, clock, services } = house
  const definitions = createDefinitions()
  const log = createLog('test', 'silent')
  const dispatcher = createDispatcher({ db, clock, log, settings: services.settings, definitions, reactions: [react] })
  expect(await fairlead('signal', 'list')).toEqual({ code: 0, said: ['Nothing was set aside'], complaints: [] })
  for (let attempt = 0; attempt < 10; attempt++) {
    await dispatcher.dispatchOnce()
    clock.advance(3_600_000)
  }
  isBroken = false
  expect(await dispatcher.dispatchOnce()).toBe(0)

  const listed = (await fairlead('signal', 'list', '--json')).said.map((line) => JSON.parse(line))
  expect(listed).toMatchObject([
    { type: 'optout_changed', attempts: 10 },
    { type: 'optout_changed', attempts: 10 },
  ])
  const [first, second] = listed
  expect((await fairlead('signal', 'list')).said[1]).toContain(`${first.id}  optout_changed`)
  expect((await fairlead('signal', 'retry', String(second.id))).said).toEqual(['one signal is tried again'])
  await dispatcher.dispatchOnce()
  expect(reacted).toEqual([second.id])
  expect((await fairlead('signal', 'retry', String(second.id))).complaints).toEqual([
    `fairlead: signal ${second.id} was not set aside: see "fairlead signal list"`,
  ])
  await fairlead('signal', 'retry')
  await dispatcher.dispatchOnce()
  expect(reacted).toEqual([second.id, first.id])
  expect((await fairlead('signal', 'retry')).said).toEqual(['0 signals are tried again'])
})
