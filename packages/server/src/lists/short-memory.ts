/**
 * A map whose entries are good for two seconds, for facts that another process may change. For lists: within that time
 * at worst a person joins a list that was being deleted, or is shown as its member.
 */
export interface ShortMemory<Key, Value> {
  get(key: Key): Value | undefined
  set(key: Key, value: Value): void
  delete(key: Key): void
}

const GOOD_FOR = 2_000
const MOST_ENTRIES = 20_000

/** @param now in ms, from any beginning */
export function createShortMemory<Key, Value>(now: () => number = () => performance.now()): ShortMemory<Key, Value> {
  const entries = new Map<Key, { value: Value; until: number }>()
  return {
    get(key) {
      const entry = entries.get(key)
      return entry && entry.until > now() ? entry.value : undefined
    },
    set(key, value) {
      if (entries.size >= MOST_ENTRIES) entries.clear()
      entries.set(key, { value, until: now() + GOOD_FOR })
    },
    delete(key) {
      entries.delete(key)
    },
  }
}
