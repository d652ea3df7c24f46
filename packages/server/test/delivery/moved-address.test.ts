import { afterAll, beforeAll, expect, it } from 'vitest'
import { mailHouse } from './support.ts'

/* Messages that wait while their person moves, is merged, or refuses mail for the mailbox that they go to. */

let house: Awaited<ReturnType<typeof mailHouse>>
beforeAll(async () => {
  house = await mailHouse()
  await house.templates.save('Hello', { subject: 'Hello', content_html: '<p>Hello</p>' })
})
afterAll(() => house.end())

const API = { via: 'api', evidence: 0 } as const
const change = (email: string, more: object) =>
  house.profiles.change({ person: { kind: 'email', value: email }, act: API, ...more })

/** A message that is due in an hour. @returns its id */
const scheduled = (email: string) =>
  house.send('Hello', email, { scheduledFor: new Date(house.clock.now().getTime() + 3_600_000) })

async function ended(...ids: number[]): Promise<Array<{ state: string; reason: string | null }>> {
  house.clock.advance(3_600_001)
  const delivery = house.deliver()
  const rows = await Promise.all(ids.map((id) => house.reaches(id, 'sent', 'suppressed')))
  await delivery.stop()
  return rows.map(({ state, reason }) => ({ state, reason }))
}

it('go to the survivor of a merge, as the caller asked', async () => {
  const id = await scheduled('merged@example.com')
  await change('kept@example.com', { keys: { email: 'merged@example.com' }, keysConflict: 'merge' })
  expect(await ended(id)).toEqual([{ state: 'sent', reason: null }])
})

it('do not go to a mailbox for which mail was refused before its person moved and came back', async () => {
  const [waits, free] = [await scheduled('was@example.com'), await scheduled('free@example.com')]
  await change('was@example.com', { level: { to: 'all', mode: 'set' } })
  await change('was@example.com', { keys: { email: 'is@example.com' } })
  await change('is@example.com', { level: { to: 'none', mode: 'set' } })
  await change('free@example.com', { keys: { email: 'free-now@example.com' } })
  expect(await ended(waits, free)).toEqual([
    { state: 'suppressed', reason: 'optout_all' },
    { state: 'sent', reason: null },
  ])
})

it('do not go to a mailbox whose new owner refuses mail', async () => {
  const id = await scheduled('handed-on@example.com')
  await change('handed-on@example.com', { keys: { email: 'gone-on@example.com' } })
  await change('handed-on@example.com', { level: { to: 'all', mode: 'set' } })
  expect(await ended(id)).toEqual([{ state: 'suppressed', reason: 'optout_all' }])
})
