import type { ProfileState } from './change.ts'
import { withoutLeft } from './inherit.ts'
import { earliest, latest, strictest } from './wishes.ts'

/**
 * Two profiles become one. What the addressed profile says wins, except where it would let more mail through: of what
 * either refused the stricter stays, and a list that either left is a list left.
 *
 * @param namesOf names of lists that either is on, by id
 */
export function mergeStates(
  kept: ProfileState,
  other: ProfileState,
  namesOf: ReadonlyMap<number, { name: string }>,
): ProfileState {
  const lists = new Map(other.lists)
  for (const [list, at] of kept.lists) {
    const earlier = lists.get(list)
    if (!earlier || at < earlier) lists.set(list, at)
  }
  const wishes = strictest(kept, other)
  return {
    ...kept,
    ...wishes,
    email: kept.email ?? other.email,
    keys: { ...other.keys, ...kept.keys },
    vars: { ...other.vars, ...kept.vars },
    createdAt: earliest(kept.createdAt, other.createdAt)!,
    signupAt: earliest(kept.signupAt, other.signupAt),
    loginAt: latest(kept.loginAt, other.loginAt),
    optoutAt: latest(kept.optoutAt, other.optoutAt),
    lists: withoutLeft({ lists, listsLeft: wishes.listsLeft }, namesOf),
  }
}
