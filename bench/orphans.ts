import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { countOrphans, nextLook, putBack, wholeTable } from '../packages/server/src/delivery/orphans.ts'
import { addWorker } from '../packages/server/src/delivery/workers.ts'
import { migrations } from '../packages/server/src/migrations/index.ts'
import { type Database, migrateToLatest, openDatabase } from '../packages/server/src/platform/database.ts'
import { createLog } from '../packages/server/src/platform/log.ts'
import { startEmbedded } from '../packages/server/src/platform/postgres/index.ts'
import { type Measure, median } from './measure.ts'

const MESSAGES = 10_000_000
const AT_ONCE = 1_000_000
/** Messages that a worker holds meanwhile, on lists of so many. */
const HELD = 5_000
const LIST = 64
const LOOKS = 60

/** The watch over messages that nobody holds, beside ten million that came to an end and some that are on their way. */
export async function run(): Promise<Measure[]> {
  const dataDir = realpathSync(mkdtempSync(join(tmpdir(), 'fairlead-bench-orphans-')))
  const settings = { fsync: 'off', max_wal_size: '8GB' }
  const server = await startEmbedded({ dataDir, log: createLog('bench database', 'warn'), settings })
  const db = openDatabase(server.connection, 2)
  try {
    await migrateToLatest(db, migrations)
    await addMessages(db)
    const name = `${MESSAGES.toLocaleString('en')} messages`
    const looks: number[] = []
    for (let n = 0; n < LOOKS; n++) {
      const began = performance.now()
      const look = await nextLook(db)
      await countOrphans(db, look)
      looks.push(performance.now() - began)
      await sql`update delivery_watch set next_page = ${look.next}`.execute(db)
    }
    // Somebody holds the last one, and a list of his is gone.
    await sql`delete from delivery_batch where id = (select max(id) from delivery_batch)`.execute(db)
    const began = performance.now()
    const found = await putBack(db, await nextLook(db), new Date())
    const repair = performance.now() - began
    if (found.triggered === 0) throw new Error('nothing was found')
    const whole = performance.now()
    let pages = 0
    for await (const look of wholeTable(db)) {
      pages += look.pages
      if ((await countOrphans(db, look)) > 0) throw new Error('something was left')
    }
    return [
      { name: `${name}: a look for orphans`, value: median(looks), unit: 'ms', bar: { atMost: 50 } },
      { name: `${name}: the slowest of ${LOOKS}`, value: Math.max(...looks), unit: 'ms' },
      { name: `${name}: a look that finds some`, value: repair, unit: 'ms', bar: { atMost: 50 } },
      { name: `${name}: all ${pages} pages`, value: (performance.now() - whole) / 1_000, unit: 's' },
    ]
  } finally {
    await db.destroy()
    await server.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

/** Most are sent; the newest are held by a worker. */
async function addMessages(db: Database): Promise<void> {
  // They cost minutes and are not asked here.
  await sql`drop index message_by_profile`.execute(db)
  const now = new Date()
  const worker = await addWorker(db, new Date(now.getTime() + 3_600_000))
  for (let first = 0; first < MESSAGES; first += AT_ONCE) {
    await sql`
      insert into message (shard, id, profile_id, template_id, revision_id, kind, origin, address, vars, state, worker_id,
        created_at, settled_at, sent_at, reply)
      select n % 64, n::bigint * 64 + n % 64, n, 1, 1, 'triggered', 'api', 'person' || n || '@example.com',
        '{"number": 1}', case when n > ${MESSAGES - HELD} then 'leased' else 'sent' end,
        case when n > ${MESSAGES - HELD} then ${worker}::int end, ${now}, ${now}, ${now}, '250 2.0.0 ok'
      from generate_series(${first + 1}::int, ${first + AT_ONCE}::int) n`.execute(db)
  }
  await sql`
    insert into delivery_batch (worker_id, message_ids, is_attempting)
    select ${worker}, array_agg(id), false from (
      select id, row_number() over () / ${LIST}::int as part from message where state = 'leased') held
    group by part`.execute(db)
  await sql`analyze message`.execute(db)
}
