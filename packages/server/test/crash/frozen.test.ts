import { execFileSync } from 'node:child_process'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { migrations } from '../../src/migrations/index.ts'
import { migrateToLatest, openDatabase } from '../../src/platform/database.ts'
import { createLog } from '../../src/platform/log.ts'
import { type EmbeddedServer, startEmbedded } from '../../src/platform/postgres/index.ts'
import { type House, openHouseOn, type Reply } from '../endpoints/support.ts'

/*
 * A database that hangs: its processes are stopped while calls of every kind are under way. All are answered in time,
 * and what was answered with error 9 has no effect, except for what the figures name.
 */

/** Seconds in which every call is answered here. */
const BOUND = 1
/** What a busy machine may add, in ms. */
const GRACE = 15_000
const AT_ONCE = 4
const FROZEN_ANSWERS = 60

let parent: string
let server: EmbeddedServer
let house: House
beforeAll(async () => {
  parent = realpathSync(mkdtempSync(join(tmpdir(), 'fairlead-frozen-')))
  server = await startEmbedded({ dataDir: join(parent, 'data'), log: createLog('test', 'silent') })
  const db = openDatabase(server.connection, 12)
  await migrateToLatest(db, migrations)
  house = await openHouseOn({ db, connection: server.connection, drop: () => db.destroy() }, { answerWithin: BOUND })
  await house.post('template', { template: 'Plain', subject: 'x', content_text: 'x' })
  await house.post('list', { list: 'Weekly' })
  await house.post('user', { id: 'known@example.com', lists: { Weekly: 1 } })
})
afterAll(async () => {
  if (server) signal('SIGCONT')
  await house?.close()
  await server?.stop()
  rmSync(parent, { recursive: true, force: true })
})

/** Signals every process of the server. */
function signal(name: 'SIGSTOP' | 'SIGCONT'): void {
  const children = execFileSync('ps', ['-o', 'pid=', '--ppid', String(server.pid)], { encoding: 'utf8' })
  const pids = [server.pid, ...children.split(/\s+/).filter(Boolean).map(Number)]
  for (const pid of pids) {
    try {
      process.kill(pid, name)
    } catch {}
  }
}

interface Kind {
  call(n: number): Promise<Reply>
  /** Whether call number n took effect; null: it only reads. */
  hasEffect: ((n: number) => Promise<boolean>) | null
}

const exists = async (query: ReturnType<typeof sql>) => (await query.execute(house.db)).rows.length > 0
const isKnown = (email: string) => exists(sql`select 1 from profile where email = ${email}`)
const isQueued = (address: string) => exists(sql`select 1 from message where address = ${address}`)
const order = (n: number) => ({
  email: `buyer${n}@example.com`,
  items: [{ qty: 1, title: 'Tea', price: 100, id: 'tea', url: 'https://example.com/tea' }],
  extid: `order${n}`,
})

const kinds: { [name: string]: Kind } = {
  'POST user': {
    call: (n) => house.post('user', { id: `new${n}@example.com`, vars: { n }, fields: { vars: 1 } }),
    hasEffect: (n) => isKnown(`new${n}@example.com`),
  },
  'DELETE user': {
    call: (n) => house.del('user', { id: `gone${n}@example.com` }),
    hasEffect: async (n) => !(await isKnown(`gone${n}@example.com`)),
  },
  'POST send to somebody known': {
    call: (n) => house.post('send', { template: 'Plain', email: `gone${n + 1000}@example.com` }),
    hasEffect: (n) => isQueued(`gone${n + 1000}@example.com`),
  },
  'POST send to a stranger': {
    call: (n) => house.post('send', { template: 'Plain', email: `stranger${n}@example.com` }),
    hasEffect: async (n) => (await isQueued(`stranger${n}@example.com`)) || isKnown(`stranger${n}@example.com`),
  },
  'POST purchase': {
    call: (n) => house.post('purchase', order(n)),
    hasEffect: (n) => exists(sql`select 1 from purchase_key where extid = ${`order${n}`}`),
  },
  'POST list': {
    call: (n) => house.post('list', { list: `List ${n}` }),
    hasEffect: (n) => exists(sql`select 1 from list where name = ${`List ${n}`}`),
  },
  'POST template': {
    call: (n) => house.post('template', { template: `T${n}`, subject: 'x', content_text: 'x' }),
    hasEffect: (n) => exists(sql`select 1 from template where name = ${`T${n}`}`),
  },
  'POST blast': {
    call: (n) => house.post('blast', { name: `Blast ${n}`, list: 'Weekly', copy_template: 'Plain' }),
    hasEffect: (n) => exists(sql`select 1 from campaign where name = ${`Blast ${n}`}`),
  },
  'POST blast_repeat': {
    call: (n) =>
      house.post('blast_repeat', {
        name: `R${n}`,
        list: 'Weekly',
        template: 'Plain',
        days: ['Mon'],
        send_time: '9:00',
      }),
    hasEffect: (n) => exists(sql`select 1 from campaign_repeat where name = ${`R${n}`}`),
  },
  'POST email': {
    call: (n) => house.post('email', { email: `mail${n}@example.com`, vars: { n } }),
    hasEffect: (n) => isKnown(`mail${n}@example.com`),
  },
  'GET user': { call: () => house.get('user', { id: 'known@example.com' }), hasEffect: null },
  'GET list': { call: () => house.get('list', { list: 'Weekly' }), hasEffect: null },
  'GET template': { call: () => house.get('template', { template: 'Plain' }), hasEffect: null },
  'GET blast': { call: () => house.get('blast', { status: 'draft' }), hasEffect: null },
  'GET stats': { call: () => house.get('stats', { stat: 'blast', blast_id: 1 }), hasEffect: null },
  'GET email': { call: () => house.get('email', { email: 'known@example.com' }), hasEffect: null },
  'GET settings': { call: () => house.get('settings', {}), hasEffect: null },
}

interface Answered {
  kind: string
  n: number
  reply: Reply
  took: number
  /** Whether the database was frozen when it was asked. */
  inIce: boolean
}

test('calls during a freeze are answered in time, and what was answered 9 never takes effect', async () => {
  const seeds = Array.from({ length: 2_000 }, (_, n) => ({
    person: { kind: 'email' as const, value: `gone${n}@example.com` },
    act: { via: 'api' as const, evidence: 0 as const },
  }))
  await house.services.profiles.changeAll(seeds)

  const answered: Answered[] = []
  const heard = new Set<() => void>()
  const until = (isSo: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!isSo()) return
        heard.delete(look)
        resolve()
      }
      heard.add(look)
      look()
    })
  let isFrozen = false
  let isOver = false
  const numbers = new Map<string, number>()
  async function caller(kind: string): Promise<void> {
    while (!isOver) {
      const n = numbers.get(kind) ?? 0
      numbers.set(kind, n + 1)
      const since = performance.now()
      const inIce = isFrozen
      const reply = await kinds[kind]!.call(n)
      answered.push({ kind, n, reply, took: performance.now() - since, inIce })
      for (const look of heard) look()
    }
  }
  const names = Object.keys(kinds)
  const callers = names.flatMap((kind) => Array.from({ length: AT_ONCE }, () => caller(kind)))
  await until(() => answered.length >= 2 * names.length)
  isFrozen = true
  signal('SIGSTOP')
  await until(() => answered.filter(({ inIce, reply }) => inIce && reply.body.error === 9).length >= FROZEN_ANSWERS)
  signal('SIGCONT')
  isFrozen = false
  const thawed = answered.length
  await until(() => answered.slice(thawed).filter(({ reply }) => reply.status === 200).length >= 40)
  isOver = true
  await Promise.all(callers)

  // Statistics of no campaign: a read, which the API refuses only after having looked.
  const refused = answered.filter(({ reply }) => reply.status !== 200 && reply.body.error !== 13)
  const others = refused.filter(({ reply }) => reply.status !== 500 || reply.body.error !== 9)
  expect(others.map(({ kind, reply }) => `${kind}: ${reply.body.errormsg}`).slice(0, 3)).toEqual([])
  expect(Math.max(...answered.map(({ took }) => took))).toBeLessThan(BOUND * 1_000 + GRACE)
  const refusedKinds = new Set(refused.map(({ kind }) => kind))
  for (const kind of names) if (kind !== 'GET settings' && kind !== 'GET template') expect(refusedKinds).toContain(kind)

  // What was still on its way is over when a connection for each has been had.
  await Promise.all(Array.from({ length: 12 }, () => sql`select pg_sleep(0.01)`.execute(house.db)))
  const wrong: string[] = []
  let inDoubt = 0
  for (const { kind, n, reply } of answered) {
    const { hasEffect } = kinds[kind]!
    if (!hasEffect) continue
    const happened = await hasEffect(n)
    if (reply.status === 200 && !happened) wrong.push(`${kind} ${n} was answered 200 and is not there`)
    if (reply.status !== 200 && happened) inDoubt += 1
  }
  expect(wrong.slice(0, 3)).toEqual([])
  expect(inDoubt).toBeLessThanOrEqual(counted('committing') + counted('committed'))
})

/** Calls answered 9 of which the figures say that something was, or may have been, committed. */
function counted(effect: string): number {
  const family = house.services.metrics.snapshot().find(({ name }) => name === 'fairlead_api_late_total')
  const sample = family?.samples.find(({ values }) => values.includes(effect))
  return sample?.value ?? 0
}

test('after the freeze calls work at once, and no connection is lost', async () => {
  const replies = await Promise.all(
    Array.from({ length: 40 }, (_, n) => house.post('user', { id: `after${n}@example.com` })),
  )
  expect(replies.filter(({ status }) => status !== 200)).toEqual([])
})
