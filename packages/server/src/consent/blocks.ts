import { sql } from 'kysely'
import { type Author, writeAudit } from '../account/audit.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database, Queryable } from '../platform/database.ts'
import type { AddressPattern } from '../profiles/address-pattern.ts'

/** The operator's own block list (code 31), or what nobody may ever write to: traps, legal requests (code 34). */
export type BlockKind = 'blacklist' | 'never'

export interface Block {
  pattern: AddressPattern
  kind: BlockKind
  reason: string | null
  at: Date
}

/** Blocks an address or domain, or changes how it is blocked. What waits to be sent there is stopped too. */
export async function block(
  db: Database,
  clock: Clock,
  { pattern, kind, reason }: Pick<Block, 'pattern' | 'kind' | 'reason'>,
  author: Author,
): Promise<void> {
  const at = clock.now()
  await db.transaction().execute(async (tx) => {
    const before = await kindNow(tx, pattern)
    await sql`
      insert into blocked_address (pattern, kind, reason, at) values (${pattern}, ${kind}, ${reason}, ${at})
      on conflict (pattern) do update set kind = excluded.kind, reason = excluded.reason, at = excluded.at`.execute(tx)
    await writeAudit(tx, { ...author, at, action: 'address_block', subject: pattern, from: before, to: kind, reason })
  })
}

/** Takes a block away; false when there is none. */
export function unblock(
  db: Database,
  clock: Clock,
  { pattern, reason }: Pick<Block, 'pattern' | 'reason'>,
  author: Author,
): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const before = await kindNow(tx, pattern)
    if (before === null) return false
    await tx.deleteFrom('blocked_address').where('pattern', '=', pattern).execute()
    const entry = {
      at: clock.now(),
      action: 'address_block',
      subject: pattern,
      from: before,
      to: null,
      reason,
    } as const
    await writeAudit(tx, { ...author, ...entry })
    return true
  })
}

/** All blocks, by pattern. */
export async function listBlocks(q: Queryable): Promise<Block[]> {
  const rows = await q.selectFrom('blocked_address').selectAll().orderBy('pattern').execute()
  return rows.map((row) => ({ ...row, kind: row.kind as BlockKind }))
}

async function kindNow(q: Queryable, pattern: string): Promise<string | null> {
  const { rows } = await sql<{ kind: string }>`
    select kind from blocked_address where pattern = ${pattern} for update`.execute(q)
  return rows[0]?.kind ?? null
}
