import { afterAll, beforeAll, expect, it } from 'vitest'
import { findBreak, readLedger } from '../../src/consent/ledger.ts'
import { describeKeys, sidOf } from '../../src/profiles/ids.ts'
import { findProfile } from '../../src/profiles/read.ts'
import { API, CONFIRM, house, PAGE, to } from './support.ts'

let h: Awaited<ReturnType<typeof house>>
beforeAll(async () => {
  h = await house()
})
afterAll(() => h.drop())

const find = (email: string) => findProfile(h.db, { kind: 'email', value: email })
const addList = async (name: string) => {
  const { id } = await h.db
    .insertInto('list')
    .values({ hex_id: name, name, created_at: h.clock.now() } as never)
    .returning('id')
    .executeTakeFirstOrThrow()
  return id as number
}

it('creates a person at the first change and finds them by any spelling of the address', async () => {
  const outcome = await h.profiles.change(to('Ada@Example.com', { vars: { name: 'Ada', b: { z: 1, a: 2 } } }))
  expect(outcome).toMatchObject({ ok: true, created: true, level: 'none' })
  const state = await find(' ada@EXAMPLE.com ')
  expect(state).toMatchObject({ email: 'Ada@Example.com', vars: { name: 'Ada', b: { z: 1, a: 2 } } })
  expect(JSON.stringify(state?.vars)).toBe('{"name":"Ada","b":{"z":1,"a":2}}')
  expect(await findProfile(h.db, { kind: 'sid', value: sidOf(state!) })).toMatchObject({ id: state?.id })
  expect(await findProfile(h.db, { kind: 'sid', value: `${sidOf(state!).slice(0, 23)}x` })).toBeNull()
  expect(describeKeys(state!).cookie).toMatch(/^[0-9a-f]{88}$/)
})

it('merges vars shallowly, and null deletes', async () => {
  await h.profiles.change(to('vars@example.com', { vars: { a: 1, b: 2 } }))
  await h.profiles.change(to('vars@example.com', { vars: { b: null, c: [3] } }))
  expect((await find('vars@example.com'))?.vars).toEqual({ a: 1, c: [3] })
})

it('folds many concurrent changes to one person, and to many', async () => {
  const list = await addList('Crowd')
  await Promise.all(
    Array.from({ length: 300 }, (_, n) =>
      h.profiles.change(to(`crowd${n % 30}@example.com`, { vars: { [`v${n}`]: n }, lists: new Map([[list, true]]) })),
    ),
  )
  const state = await find('crowd7@example.com')
  expect(Object.keys(state?.vars ?? {})).toHaveLength(10)
  expect([...(state?.lists.keys() ?? [])]).toEqual([list])
  const { rows } = await readCount('profile')
  expect(rows).toBeGreaterThanOrEqual(30)
})

it('records every change of level in a chain that shows tampering', async () => {
  const email = 'chain@example.com'
  await h.profiles.change(to(email, { level: { to: 'basic', mode: 'set' } }))
  await h.profiles.change(to(email, { level: { to: 'basic', mode: 'set' } }))
  h.clock.advance(1000)
  await h.profiles.change(to(email, { act: PAGE, level: { to: 'none', mode: 'set' } }))
  const state = await find(email)
  const rows = await readLedger(h.db, state!.id)
  expect(rows.map((row) => [row.subject, row.from_state, row.to_state, row.event, row.via])).toEqual([
    ['level', 'none', 'basic', 'opted_out', 'api'],
    ['level', 'basic', 'none', 'opted_in', 'hosted_page'],
  ])
  expect(findBreak(rows, state!.ledgerHead)).toBeNull()
  expect(findBreak(rows.slice(0, 1), state!.ledgerHead)).toBe(0)
  expect(findBreak([rows[0]!, { ...rows[1]!, to_state: 'all' }], state!.ledgerHead)).toBe(rows[1]!.id)
  await expect(h.db.deleteFrom('consent_ledger').execute()).rejects.toThrow('append-only')
})

it('lets the newest human decision win over an older token', async () => {
  const email = 'newest@example.com'
  await h.profiles.change(to(email, { level: { to: 'all', mode: 'set' } }))
  const { id, decided: minted } = (await find(email))!
  const oneClick = { via: 'one_click', evidence: 2 } as const
  await h.profiles.change({ person: { kind: 'id', value: id }, act: oneClick, level: { to: 'basic', mode: 'tighten' } })
  const late = await h.profiles.change({
    person: { kind: 'id', value: id },
    act: CONFIRM,
    asOf: minted,
    level: { to: 'none', mode: 'loosen' },
  })
  expect(late).toMatchObject({ ok: true, level: 'all', levelOutcome: 'superseded' })
  const fresh = await h.profiles.change({
    person: { kind: 'id', value: id },
    act: CONFIRM,
    asOf: (await find(email))!.decided,
    level: { to: 'none', mode: 'loosen' },
  })
  expect(fresh).toMatchObject({ levelOutcome: 'applied', level: 'none' })
})

it('gives a token effect once', async () => {
  await h.profiles.change(to('once@example.com'))
  const person = { kind: 'id', value: (await find('once@example.com'))!.id } as const
  const change = { person, act: CONFIRM, vars: { x: 1 }, spend: { id: 't1', purpose: 'confirm' } }
  expect(await h.profiles.change(change)).toMatchObject({ ok: true })
  expect(await h.profiles.change(change)).toEqual({ ok: false, problem: 'token_used' })
})

it('renames, refuses a taken key, and merges without raising reachability', async () => {
  const list = await addList('Merged')
  await h.profiles.change(to('old@example.com', { keys: { extid: 'x-1' }, vars: { a: 1 } }))
  await h.profiles.change(
    to('other@example.com', {
      level: { to: 'all', mode: 'set' },
      lists: new Map([[list, true]]),
      vars: { a: 2, b: 2 },
    }),
  )
  expect(await h.profiles.change(to('old@example.com', { keys: { email: 'other@example.com' } }))).toEqual({
    ok: false,
    problem: 'key_conflict',
    kind: 'email',
  })
  const merged = await h.profiles.change(
    to('old@example.com', { keys: { email: 'other@example.com' }, keysConflict: 'merge' }),
  )
  expect(merged).toMatchObject({ ok: true, level: 'all' })
  const state = await find('other@example.com')
  expect(state).toMatchObject({
    email: 'other@example.com',
    keys: { extid: 'x-1' },
    level: 'all',
    vars: { a: 1, b: 2 },
  })
  expect([...state!.lists.keys()]).toEqual([list])
  expect(await find('old@example.com')).toBeNull()
})

it('remembers the opt-out of somebody who is erased and created again', async () => {
  await h.profiles.change(to('gone@example.com', { level: { to: 'all', mode: 'set' }, vars: { secret: 'x' } }))
  expect(await h.profiles.change(to('gone@example.com', { erase: true }))).toMatchObject({ ok: true })
  expect(await find('gone@example.com')).toBeNull()
  const again = await h.profiles.change(to('GONE@example.com', { vars: {} }))
  expect(again).toMatchObject({ ok: true, created: true, level: 'all' })
  expect((await find('gone@example.com'))?.vars).toEqual({})
})

it('keeps a hard bounce apart from the level', async () => {
  const email = 'hard@example.com'
  await h.profiles.change(to(email, { level: { to: 'all', mode: 'set' } }))
  const person = { kind: 'id', value: (await find(email))!.id } as const
  const deliverability = { address: email, state: 'hardbounce', class: 'user', detail: '550 5.1.1' } as const
  await h.profiles.change({ person, act: { via: 'bounce', evidence: 0 }, deliverability })
  expect(await h.profiles.change(to(email, { act: API, level: { to: 'none', mode: 'set' } }))).toMatchObject({
    levelOutcome: 'applied',
  })
  const row = await h.db.selectFrom('address').selectAll().where('address', '=', email).executeTakeFirst()
  expect(row?.state).toBe('hardbounce')
})

it('refuses what is no address, without touching its neighbours', async () => {
  const [bad, good] = await h.profiles.changeAll([to('no address'), to('neighbour@example.com')])
  expect(bad).toEqual({ ok: false, problem: 'invalid_email', email: 'no address' })
  expect(good).toMatchObject({ ok: true })
})

async function readCount(table: 'profile') {
  const row = await h.db
    .selectFrom(table)
    .select((eb) => eb.fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow()
  return { rows: Number(row.n) }
}
