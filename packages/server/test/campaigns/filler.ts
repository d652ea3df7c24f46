import { fillChunk } from '../../src/campaigns/fill.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { type ConnectionSettings, openDatabase } from '../../src/platform/database.ts'
import { hasScheduledSends } from '../../src/sends/read.ts'
import { HOST_FUNCTIONS } from '../../src/templates/compile.ts'
import { createTemplates } from '../../src/templates/templates.ts'

/** A worker that only writes recipients, in a process of its own, until there are no more or it is killed. */
const [connection, size] = process.argv.slice(2)
const db = openDatabase(JSON.parse(connection!) as ConnectionSettings, 2)
const templates = createTemplates({
  db,
  clock: systemClock,
  hostFunctions: HOST_FUNCTIONS,
  isInUse: hasScheduledSends,
})
while (await fillChunk({ db, templates }, null, new Date(), Number(size)));
await db.destroy()
