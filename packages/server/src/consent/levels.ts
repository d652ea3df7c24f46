/**
 * Opt-out levels, mildest first. `basic` does not mean "light": it means *only basic (transactional) templates still
 * reach me*, which the interface calls "marketing". `blast` (campaigns only) is kept for accounts that still hold it.
 */
export const LEVELS = ['none', 'blast', 'basic', 'all'] as const
export type Level = (typeof LEVELS)[number]

/** 0 (`none`) to 3 (`all`): what the database keeps. */
export const rankOf = (level: Level): number => LEVELS.indexOf(level)

/** The level of a rank from the database. */
export const levelOf = (rank: number): Level => LEVELS[rank] ?? 'all'

/** Reads a level as callers write it; `valid` is an old word for `none`. Null for anything else. */
export function readLevel(text: string): Level | null {
  if (text === 'valid') return 'none'
  return (LEVELS as readonly string[]).includes(text) ? (text as Level) : null
}

/** True when `to` lets more mail through than `from`. */
export const isWeaker = (to: Level, from: Level): boolean => rankOf(to) < rankOf(from)

/** The stricter of two levels. */
export const stricter = (a: Level, b: Level): Level => (rankOf(a) >= rankOf(b) ? a : b)
