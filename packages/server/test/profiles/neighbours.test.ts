import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { BELONGINGS } from '../../src/belongings.ts'
import type { ProfileChange } from '../../src/profiles/change.ts'
import { createProfiles } from '../../src/profiles/door.ts'
import { findProfile } from '../../src/profiles/read.ts'
import { type House, openHouse } from '../endpoints/support.ts'
import { API, house, to } from './support.ts'

/*
 * Calls of different callers share a transaction. One that cannot be applied is answered so by itself.
 */

let web: House
beforeAll(async () => {
  web = await openHouse()
})
afterAll(() => web.close())

test('merges and erasures of one key fail none of the calls beside them', async () => {
  const innocent = (n: number) => web.post('user', { id: `innocent${n}@example.com`, vars: { n } })
  const merge = (n: number) =>
    web.post('user', { id: `into${n}@example.com`, keys: { extid: 'shared' }, keysconflict: 'merge' })
  const erase = () => web.del('user', { id: 'shared', key: 'extid' })
  for (let round = 0; round < 6; round++) {
    const calls = Array.from({ length: 20 }, (_, n) => [innocent(round * 20 + n), merge(n % 4), erase()])
    const innocents = await Promise.all(calls.map(([call]) => call!))
    expect(innocents.filter(({ status }) => status !== 200)).toEqual([])
    const others = await Promise.all(calls.flatMap(([, ...rest]) => rest))
    expect([...new Set(others.map(({ body }) => body.error))].filter((error) => error === 9)).toEqual([])
  }
  for (let n = 0; n < 120; n++) {
    const state = await findProfile(web.db, { kind: 'email', value: `innocent${n}@example.com` })
    expect(state?.vars).toEqual({ n })
  }
})

test('a merge with somebody whom the same batch erases fails none of the others', async () => {
  const { profiles } = web.services
  const merge = (n: number) =>
    profiles.change(to(`joined${n}@example.com`, { keys: { extid: 'both' }, keysConflict: 'merge' }))
  const erase = () =>
    profiles.change({ person: { kind: 'extid', value: 'both' }, create: false, erase: true, act: API })
  const innocent = (n: number) => profiles.change(to(`quiet${n}@example.com`, { vars: { n } }))
  const calls = Array.from({ length: 30 }, (_, n) => [innocent(n), merge(n), erase()]).flat()
  const failed = (await Promise.allSettled(calls)).filter(({ status }) => status === 'rejected')
  expect(failed).toEqual([])
})

test('two processes that create, merge and erase the same people settle it between them', async () => {
  const h = await house()
  try {
    const lists = { byIds: async () => new Map() }
    const other = createProfiles({ ...h, lists, hash: (address) => Buffer.from(address), belongings: BELONGINGS })
    const doors = [h.profiles, other]
    const merging = (n: number): ProfileChange => ({
      person: { kind: 'email', value: `same${n % 3}@example.com` },
      keys: { extid: `x${n % 2}` },
      keysConflict: 'merge',
      act: API,
    })
    const changes = Array.from({ length: 60 }, (_, n) => [
      to(`bystander${n}@example.com`, { vars: { n } }),
      merging(n),
      { person: { kind: 'extid', value: `x${n % 2}` }, create: false, erase: true, act: API } satisfies ProfileChange,
    ]).flat()
    const outcomes = await Promise.all(changes.map((change, n) => doors[n % 2]!.change(change)))
    for (let n = 0; n < 60; n++) expect(outcomes[n * 3]).toMatchObject({ ok: true })
  } finally {
    await h.drop()
  }
})

test.each([
  ['a key too long for an index', { keys: { extid: randomBytes(20_000).toString('hex') } }],
  ['a key that PostgreSQL cannot store', { keys: { extid: 'a\0b' } }],
])('%s fails its own call only', async (_what, change) => {
  const { profiles } = web.services
  const calls = Array.from({ length: 40 }, (_, n) =>
    profiles.change(to(`beside${n}@example.com`, n === 17 ? change : { vars: { n } })),
  )
  const outcomes = await Promise.allSettled(calls)
  expect(outcomes.flatMap(({ status }, n) => (status === 'rejected' ? [n] : []))).toEqual([17])
})

test('a message that PostgreSQL refuses fails its own call only, and leaves no person', async () => {
  await web.post('template', { template: 'Plain', subject: 'x', content_text: 'x' })
  const send = (n: number) =>
    web.post('send', { template: 'Plain', email: `reader${n}@example.com`, vars: { n: n === 5 ? '\ud800' : n } })
  const replies = await Promise.all(Array.from({ length: 20 }, (_, n) => send(n)))
  expect(replies.flatMap(({ status }, n) => (status === 200 ? [] : [n]))).toEqual([5])
  expect(await web.messages()).toHaveLength(19)
  expect(await findProfile(web.db, { kind: 'email', value: 'reader5@example.com' })).toBeNull()
})
