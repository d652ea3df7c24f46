/**
 * Remembers which list has which name. Another process may delete a list, so what is remembered holds for two seconds
 * only; within them at worst a person joins a list that was being deleted.
 */
export interface NameCache {
  look(names: readonly string[]): { found: Map<string, number>; missing: string[] }
  keep(name: string, id: number): void
  forget(name: string): void
}

const STALE_AFTER = 2_000
const MOST_NAMES = 20_000

export function createNameCache(now: () => number = () => performance.now()): NameCache {
  const known = new Map<string, { id: number; until: number }>()
  return {
    look(names) {
      const found = new Map<string, number>()
      const missing: string[] = []
      const moment = now()
      for (const name of names) {
        const entry = known.get(name)
        if (entry && entry.until > moment) found.set(name, entry.id)
        else missing.push(name)
      }
      return { found, missing }
    },
    keep(name, id) {
      if (known.size >= MOST_NAMES) known.clear()
      known.set(name, { id, until: now() + STALE_AFTER })
    },
    forget(name) {
      known.delete(name)
    },
  }
}
