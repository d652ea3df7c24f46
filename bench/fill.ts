import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { CHUNK, type FillParts, fillChunk } from '../packages/server/src/campaigns/fill.ts'
import { completeFinished } from '../packages/server/src/campaigns/finish.ts'
import '../packages/server/src/campaigns/tables.ts'
import { migrations } from '../packages/server/src/migrations/index.ts'
import { systemClock } from '../packages/server/src/platform/clock.ts'
import { type Database, migrateToLatest, openDatabase } from '../packages/server/src/platform/database.ts'
import { createLog } from '../packages/server/src/platform/log.ts'
import { startEmbedded } from '../packages/server/src/platform/postgres/index.ts'
import { hasScheduledSends } from '../packages/server/src/sends/read.ts'
import { HOST_FUNCTIONS } from '../packages/server/src/templates/compile.ts'
import { createTemplates } from '../packages/server/src/templates/templates.ts'
import type { Measure } from './measure.ts'

const SIZES = [10_000, 100_000, 1_000_000]

/**
 * Writes the recipients of campaigns of three sizes, one in ten of whom is left out: decision, reasons and rows,
 * durable. The rate should not depend on the size, and memory not at all.
 */
export async function run(): Promise<Measure[]> {
  const dataDir = realpathSync(mkdtempSync(join(tmpdir(), 'fairlead-bench-fill-')))
  const server = await startEmbedded({ dataDir, log: createLog('bench database', 'warn') })
  const db = openDatabase(server.connection, 4)
  try {
    await migrateToLatest(db, migrations)
    const measures: Measure[] = []
    const templates = createTemplates({
      db,
      clock: systemClock,
      hostFunctions: HOST_FUNCTIONS,
      isInUse: hasScheduledSends,
    })
    for (const [index, size] of SIZES.entries()) {
      await addPeople(db, size, index + 1)
      const campaignId = await addCampaign(db, index + 1)
      measures.push(...(await fill({ db, templates }, campaignId, size)))
    }
    return measures
  } finally {
    await db.destroy()
    await server.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

/** People of a list of their own; every tenth opted out, and about every hundredth is on a list to suppress. */
export async function addPeople(db: Database, count: number, listId: number): Promise<void> {
  const now = new Date()
  await sql`
    insert into list (name, hex_id, created_at) values (${`List ${listId}`}, ${`l${listId}`}, ${now}),
      (${`Suppress ${listId}`}, ${`s${listId}`}, ${now})`.execute(db)
  const { rows } = await sql<{ id: number }>`select id from list where hex_id = ${`l${listId}`}`.execute(db)
  const id = rows[0]!.id
  await sql`
    with person as (
      insert into profile (shard, id, email, level, created_at, salt)
      select n % 64, nextval('profile_number') * 64 + n % 64, 'person' || n || '.' || ${listId}::int || '@example.com',
        case when n % 10 = 0 then 2 else 0 end, ${now}, '\\x00'
      from generate_series(1, ${count}) n returning shard, id, email
    ), joined as (insert into list_member select shard, id, ${id}, ${now} from person returning shard, profile_id)
    insert into list_member select shard, profile_id, ${id + 1}, ${now} from joined where profile_id / 64 % 100 = 0`.execute(
    db,
  )
  await sql`analyze`.execute(db)
}

/** So many of them do not opt out of campaigns. */
export const reachable = (count: number) => count - Math.floor(count / 10)

async function addCampaign(db: Database, n: number): Promise<number> {
  const now = new Date()
  const { rows } = await sql<{ id: number }>`
    insert into campaign (name, status, content, list_ids, suppress_ids, revision_ids, started_at, created_at, modified_at)
    select ${`Campaign ${n}`}, 'sending', '{}', array[id], array[id + 1], array[1], ${now}, ${now}, ${now}
    from list where hex_id = ${`l${n}`} returning id`.execute(db)
  await sql`insert into campaign_fill (campaign_id) values (${rows[0]!.id})`.execute(db)
  return rows[0]!.id
}

async function fill(parts: FillParts, campaignId: number, size: number): Promise<Measure[]> {
  const { db } = parts
  const name = `${size.toLocaleString('en')} recipients`
  const cpu = process.cpuUsage()
  const began = performance.now()
  let first = 0
  while (await fillChunk(parts, null, new Date(), CHUNK)) first ||= performance.now() - began
  const seconds = (performance.now() - began) / 1000
  globalThis.gc?.()
  const heap = process.memoryUsage().heapUsed
  const used = process.cpuUsage(cpu)
  const asked = performance.now()
  await completeFinished(db, new Date())
  const completion = performance.now() - asked
  const { rows } = await sql<{ n: number }>`
    select count(*)::int as n from message where campaign_id = ${campaignId}`.execute(db)
  if (rows[0]?.n !== size) throw new Error(`${rows[0]?.n} rows for ${size} people`)
  return [
    { name: `${name}: written`, value: size / seconds, unit: 'rows/s', bar: { atLeast: 30_000 } },
    { name: `${name}: CPU of the worker`, value: (used.user + used.system) / size, unit: 'µs/row' },
    { name: `${name}: the first can be sent after`, value: first, unit: 'ms', bar: { atMost: 2_000 } },
    { name: `${name}: heap afterwards`, value: heap / 1e6, unit: 'MB' },
    { name: `${name}: asking whether it is complete`, value: completion, unit: 'ms' },
  ]
}
