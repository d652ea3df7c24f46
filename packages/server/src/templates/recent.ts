/** Keeps the values that were used last; the oldest falls out. */
export interface Recent<Key, Value> {
  get(key: Key): Value | undefined
  set(key: Key, value: Value): void
}

/** @param size most values kept */
export function createRecent<Key, Value>(size: number): Recent<Key, Value> {
  const kept = new Map<Key, Value>()
  const put = (key: Key, value: Value) => {
    kept.delete(key)
    kept.set(key, value)
    if (kept.size > size) kept.delete(kept.keys().next().value!)
  }
  return {
    get(key) {
      const value = kept.get(key)
      if (value !== undefined) put(key, value)
      return value
    },
    set: put,
  }
}
