import { countOrphans, wholeTable } from '../../src/delivery/orphans.ts'
import type { Database } from '../../src/platform/database.ts'

/** Messages that are held and on no list of their worker, wherever they are: every test of crashes ends with none. */
export async function orphansIn(db: Database): Promise<number> {
  let count = 0
  for await (const look of wholeTable(db)) count += await countOrphans(db, look)
  return count
}
