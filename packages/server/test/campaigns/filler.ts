import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { fillChunk } from '../../src/campaigns/fill.ts'
import { type ConnectionSettings, openDatabase } from '../../src/platform/database.ts'

/** A worker that only writes recipients, in a process of its own, until there are no more or it is killed. */
const [connection, size] = process.argv.slice(2)
const db = openDatabase(JSON.parse(connection!) as ConnectionSettings, 2)
for (;;) {
  if (await fillChunk(db, new Date(), Number(size))) continue
  // Another worker may hold the only campaign at this moment, or one that was killed may hold it still.
  const { rows } = await sql`
    select from campaign_fill f join campaign c on c.id = f.campaign_id where c.status = 'sending'`.execute(db)
  if (rows.length === 0) break
  await sleep(5)
}
await db.destroy()
