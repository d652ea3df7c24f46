import { appendFileSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readLedger } from '../../src/consent/ledger.ts'
import { loadSigningKeys } from '../../src/links/keys.ts'
import { createLinks } from '../../src/links/links.ts'
import { legacyManageHash } from '../../src/links/manage-hash.ts'
import { migrations } from '../../src/migrations/index.ts'
import { openDiskSpool } from '../../src/pages/disk-spool.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { migrateToLatest, openDatabase } from '../../src/platform/database.ts'
import { createLog } from '../../src/platform/log.ts'
import { type EmbeddedServer, startEmbedded } from '../../src/platform/postgres/index.ts'
import { findProfile } from '../../src/profiles/read.ts'
import { buildWeb } from '../../src/roles/web.ts'
import { startFairlead } from '../support/fairlead.ts'
import { sailthruClient } from '../support/sailthru.ts'
import { openPages, type PageHouse, secret } from './support.ts'

const MINUTE = 60_000

/** A database server that these tests stop and start again. */
let folder: string
let server: EmbeddedServer | null = null
const startServer = async () => {
  server = await startEmbedded({ dataDir: folder, log: createLog('test database', 'silent') })
  return server.connection
}
const stopServer = async () => {
  await server?.stop()
  server = null
}
beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'noted-test-')))
  await startServer()
})
afterAll(async () => {
  await stopServer()
  rmSync(folder, { recursive: true, force: true })
})

describe('while the database is stopped', () => {
  let house: PageHouse
  beforeAll(async () => {
    const db = openDatabase(server!.connection, 5)
    await migrateToLatest(db, migrations)
    house = await openPages({ database: { db, drop: () => db.destroy() } })
  })
  afterAll(() => house.close())

  const outage = async (during: () => Promise<void>) => {
    await stopServer()
    try {
      await during()
    } finally {
      await startServer()
    }
  }
  const notes = () => readdirSync(join(house.dataDir, 'noted-optouts')).filter((name) => name.endsWith('.jsonl'))

  test('refusals are noted on disk, and recorded with the time they were made at', async () => {
    const ids = await house.services.lists.ensure(['Weekly', 'Daily'])
    const on = { lists: new Map([...ids.values()].map((id) => [id, true])) }
    const ada = await house.reader('ada')
    const bob = await house.reader('bob', on)
    const cai = await house.reader('cai')
    const shown = await house.get(bob.oc)
    const email = new URLSearchParams({ email: cai.email, hash: legacyManageHash(cai.email, secret) })
    const managed = await house.get(`/manage/optout?${email}`)
    const asked = house.clock.now()
    await outage(async () => {
      const clicked = await house.post(ada.u, { 'List-Unsubscribe': 'One-Click' })
      expect([clicked.status, clicked.html]).toEqual([202, 'Noted. You will be unsubscribed in a moment.\n'])
      const left = await shown.submit({ 'lists[Weekly]': null, 'templates[Welcome]': null })
      expect(left.status).toBe(202)
      expect(left.text).toContain('We have noted it')
      expect((await managed.submit({ optout: 'all' })).status).toBe(202)
      expect(notes()).toHaveLength(1)
      house.clock.advance(5 * MINUTE)
    })
    await expect.poll(() => notes()).toEqual([])
    expect(await house.level(ada.id)).toBe('basic')
    expect(await house.level(cai.id)).toBe('all')
    expect(await house.lists(bob.id)).toEqual(['Daily'])
    expect((await findProfile(house.db, { kind: 'id', value: bob.id }))!.templateOptouts.size).toBe(1)
    const row = (await readLedger(house.db, ada.id)).find(({ event }) => event === 'opted_out')
    expect(row).toMatchObject({ via: 'one_click', at: asked })
    expect(row!.recorded_at.getTime() - asked.getTime()).toBe(5 * MINUTE)
  })

  test('what would bring mail back is refused, and so is what cannot be checked', async () => {
    const dan = await house.reader('dan')
    await house.change(dan.id, { level: { to: 'all', mode: 'set' } })
    const page = await house.get(dan.oc)
    await outage(async () => {
      const forged = await house.post(`${dan.oc.slice(0, -5)}AAAAA`, { optout_all: '1' })
      expect(forged.status).toBeGreaterThanOrEqual(404)
      for (const answer of [
        await house.get(dan.oc),
        await page.submit(),
        await house.post(`/manage/optout?email=${dan.email}&hash=${'0'.repeat(32)}`, { optout_all: '1' }),
      ]) {
        expect(answer.status).toBe(503)
        expect(answer.headers['retry-after']).toBe('30')
        expect(answer.headers['cache-control']).toBe('no-store')
      }
      expect((await house.post(`${dan.u.slice(0, -5)}AAAAA`, {})).status).toBe(404)
      expect(notes()).toEqual([])
    })
  })

  test('what was noted counts as made when it is recorded, whatever was decided meanwhile', async () => {
    const eve = await house.reader('eve')
    await house.change(eve.id, { level: { to: 'basic', mode: 'set' } })
    const before = house.clock.now()
    house.clock.advance(MINUTE)
    await house.change(eve.id, { level: { to: 'none', mode: 'set' } })
    const spool = openDiskSpool(join(house.dataDir, 'noted-optouts'))
    spool.note({
      ...{ via: 'one_click', profileId: eve.id, messageId: null, ip: '192.0.2.7', userAgent: null, place: '/u' },
      ...{ level: 'all', lists: [], templates: [], sms: false, at: before.getTime() },
    })
    spool.close()
    const again = await openPagesOn(house)
    await expect.poll(() => notes()).toEqual([])
    expect(await house.level(eve.id)).toBe('all')
    await again.close()
  })
})

/** A second web process on the same data, as after a restart. */
async function openPagesOn(house: PageHouse) {
  const app = buildWeb(house.services)
  await app.ready()
  return app
}

test('what was noted survives a kill of everything', async () => {
  const { host, user, password, database } = server!.connection
  const query = new URLSearchParams({ host })
  const env = { FAIRLEAD_DATABASE_URL: `postgres://${user}:${password}@localhost/${database}?${query}` }
  let fairlead = await startFairlead({ env })
  const client = sailthruClient(fairlead)
  await client.post('template', { template: 'Hello', subject: 'Hello', content_html: '<p>Hello</p>' })
  await client.post('send', { template: 'Hello', email: 'gil@example.com' })
  const db = openDatabase(server!.connection, 2)
  const { rows } = await sql<{ id: number; profile_id: number }>`
    select id, profile_id from message where address = 'gil@example.com'`.execute(db)
  const links = createLinks({
    keys: await loadSigningKeys(db, systemClock),
    publicUrl: fairlead.url,
    clock: systemClock,
  })
  const link = { messageId: rows[0]!.id, profileId: rows[0]!.profile_id, address: 'gil@example.com' }
  await db.destroy()

  await stopServer()
  const answer = await fetch(links.oneClick(link), { method: 'POST' })
  expect(answer.status).toBe(202)
  await fairlead.kill('SIGKILL', 'everything')
  await startServer()
  fairlead = await startFairlead({ env, dataDir: fairlead.dataDir, port: fairlead.port })
  const again = openDatabase(server!.connection, 2)
  const level = async () => (await findProfile(again, { kind: 'id', value: link.profileId }))!.level
  await expect.poll(level).toBe('basic')
  await again.destroy()
  await fairlead.remove()
})

describe('lines on disk', () => {
  const inFolder = async (work: (folder: string) => Promise<void>) => {
    const own = mkdtempSync(join(tmpdir(), 'spool-test-'))
    await work(join(own, 'spool')).finally(() => rmSync(own, { recursive: true }))
  }
  const drained = async (spool: ReturnType<typeof openDiskSpool>) => {
    const lines: unknown[] = []
    await spool.drain(async (line) => void lines.push(line))
    return lines
  }

  test('come back in order, once, over several openings, without those that were cut short', () =>
    inFolder(async (own) => {
      const first = openDiskSpool(own)
      expect(first.isEmpty()).toBe(true)
      for (const n of [1, 2]) expect(first.note({ n })).toBe(true)
      appendFileSync(join(own, readdirSync(own)[0]!), '{"n":')
      first.close()
      const second = openDiskSpool(own)
      expect(second.isEmpty()).toBe(false)
      second.note({ n: 3 })
      expect(await drained(second)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
      expect(second.isEmpty()).toBe(true)
      expect(await drained(second)).toEqual([])
    }))

  test('stay when dealing with them fails; those noted meanwhile wait for the next time', () =>
    inFolder(async (own) => {
      const spool = openDiskSpool(own)
      spool.note({ n: 1 })
      const failing = spool.drain(async () => {
        spool.note({ n: 2 })
        throw new Error('not yet')
      })
      await expect(failing).rejects.toThrow('not yet')
      expect(await drained(spool)).toEqual([{ n: 1 }, { n: 2 }])
    }))

  test('are refused when there is no room left', () =>
    inFolder(async (own) => {
      const spool = openDiskSpool(own, 20)
      expect(spool.note({ n: 1 })).toBe(true)
      expect(spool.note({ n: 'a long one' })).toBe(false)
      expect(await drained(spool)).toEqual([{ n: 1 }])
      expect(spool.note({ n: 2 })).toBe(true)
      spool.close()
    }))
})
