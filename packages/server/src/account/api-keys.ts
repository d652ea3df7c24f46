import { onBehalfOf } from '../platform/callers.ts'
import type { Queryable } from '../platform/database.ts'
import { type KeyPair, listKeys } from './keys.ts'

/** Key pairs for a door that asks at every call: mostly answered from memory, without a promise. */
export interface ApiKeyCache {
  find(key: string): Promise<KeyPair | null> | KeyPair | null
}

/** A revoked key, or a changed secret, is known everywhere after this long, in ms. */
const STALE_AFTER = 2_000

/**
 * Holds all pairs of the account, which are few. A key that is not among them is looked for again, so that a key made a
 * moment ago works at once; all such calls share one query, so guessed keys cannot flood the database.
 */
export function cacheApiKeys(db: Queryable): ApiKeyCache {
  let pairs: ReadonlyMap<string, KeyPair> = new Map()
  let loadedAt = Number.NEGATIVE_INFINITY
  let underWay: Promise<void> | null = null

  function reload(): Promise<void> {
    underWay ??= (async () => {
      const asked = performance.now()
      // Others may wait for it too, so it goes on when whoever asked first has been answered.
      const rows = await onBehalfOf([], () => listKeys(db))
      pairs = new Map(rows.map(({ key, secret }) => [key, { key, secret }]))
      loadedAt = asked
    })().finally(() => {
      underWay = null
    })
    return underWay
  }

  return {
    find(key) {
      const known = pairs.get(key)
      if (known && performance.now() - loadedAt < STALE_AFTER) return known
      // A query under way may have begun before the key was made; the one after it cannot have.
      const settled = underWay ? underWay.then(() => (pairs.has(key) ? undefined : reload())) : reload()
      return settled.then(() => pairs.get(key) ?? null)
    },
  }
}
