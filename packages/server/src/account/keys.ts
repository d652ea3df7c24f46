import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import type { Clock } from '../platform/clock.ts'
import type { Database, Queryable } from '../platform/database.ts'

interface ApiKeyTable {
  key: string
  /** In the clear: request signatures are made over the secret itself. */
  secret: string
  created_at: Date
}

declare module '../platform/database.ts' {
  interface Schema {
    api_key: ApiKeyTable
  }
}

/** A key pair that programs sign their requests with. */
export interface KeyPair {
  key: string
  secret: string
}

/** 32 hexadecimal digits each, like the pairs that existing clients are configured with. */
export async function createKey(db: Queryable, clock: Clock): Promise<KeyPair> {
  const pair = { key: randomBytes(16).toString('hex'), secret: randomBytes(16).toString('hex') }
  await db
    .insertInto('api_key')
    .values({ ...pair, created_at: clock.now() })
    .execute()
  return pair
}

/** All pairs, oldest first. */
export function listKeys(db: Queryable): Promise<Array<KeyPair & { created_at: Date }>> {
  return db.selectFrom('api_key').selectAll().orderBy('created_at').orderBy('key').execute()
}

/** @returns false when there is no such key */
export async function revokeKey(db: Queryable, key: string): Promise<boolean> {
  const [result] = await db.deleteFrom('api_key').where('key', '=', key).execute()
  return (result?.numDeletedRows ?? 0n) > 0n
}

const LOCK = 7_145_001

/**
 * Sees to it that the account has a key pair: the wanted one, if one is wanted (its secret is brought up to date), else
 * any. Safe when several processes start at once.
 *
 * @returns the pair, and whether it was created now
 */
export function ensureAccount(
  db: Database,
  clock: Clock,
  wanted: KeyPair | null,
): Promise<KeyPair & { created: boolean }> {
  return db.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(${sql.lit(LOCK)})`.execute(tx)
    const present = await listKeys(tx)
    if (!wanted) {
      const oldest = present[0]
      return oldest
        ? { key: oldest.key, secret: oldest.secret, created: false }
        : { ...(await createKey(tx, clock)), created: true }
    }
    const known = present.find((pair) => pair.key === wanted.key)
    if (!known) {
      await tx
        .insertInto('api_key')
        .values({ ...wanted, created_at: clock.now() })
        .execute()
    } else if (known.secret !== wanted.secret) {
      await tx.updateTable('api_key').set({ secret: wanted.secret }).where('key', '=', wanted.key).execute()
    }
    return { ...wanted, created: !known }
  })
}
