import { hash } from 'node:crypto'
import { sql } from 'kysely'
import { onBehalfOf } from '../platform/callers.ts'
import type { Clock } from '../platform/clock.ts'
import { coalesce } from '../platform/coalesce.ts'
import type { Database } from '../platform/database.ts'

declare module '../platform/database.ts' {
  interface Schema {
    seen_signature: { digest: Buffer; seen_at: Date }
  }
}

/** Signatures that were seen before, by any web process. */
export interface SeenSignatures {
  /** Remembers a signature. False: it was seen within the last day. */
  take(apiKey: string, signature: string): Promise<boolean>
}

/** A signature is remembered for a day, in ms. */
const REMEMBERED = 86_400_000
/** Old ones are removed this often at most, and so many at once. */
const SWEEP_EVERY = 60_000
const SWEEP = 20_000

/** What is kept is a hash: whoever reads the table cannot make a call of it. */
const digestOf = (apiKey: string, signature: string) =>
  hash('sha256', `${apiKey}:${signature}`, 'buffer').subarray(0, 16)

export function createSeenSignatures(db: Database, clock: Clock): SeenSignatures {
  let sweptAt = Number.NEGATIVE_INFINITY

  async function takeAll(digests: Buffer[]): Promise<boolean[]> {
    const now = clock.now()
    const before = new Date(now.getTime() - REMEMBERED)
    const free = new Set(digests.map((digest) => digest.toString('hex')))
    // In one order for everybody, so that two processes never wait for each other in a circle.
    const sorted = [...free].toSorted().map((text) => Buffer.from(text, 'hex'))
    const { rows } = await sql<{ digest: Buffer }>`
      insert into seen_signature as s (digest, seen_at) select digest, ${now} from unnest(${sorted}::bytea[]) as d(digest)
      on conflict (digest) do update set seen_at = excluded.seen_at where s.seen_at <= ${before}
      returning digest`.execute(db)
    const taken = new Set(rows.map(({ digest }) => digest.toString('hex')))
    sweep(before)
    // Of several in one batch the first is the one that was not seen before.
    return digests.map((digest) => taken.delete(digest.toString('hex')))
  }

  function sweep(before: Date): void {
    if (performance.now() - sweptAt < SWEEP_EVERY) return
    sweptAt = performance.now()
    sql`delete from seen_signature where digest in (
      select digest from seen_signature where seen_at <= ${before} limit ${SWEEP} for update skip locked)`
      .execute(db)
      // The next one removes them.
      .catch(() => {})
  }

  const take = coalesce(takeAll)
  // Remembering is no effect of the call, so it goes on when the caller has been answered.
  return { take: (apiKey, signature) => onBehalfOf([], () => take(digestOf(apiKey, signature))) }
}
