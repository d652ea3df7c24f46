/** Numbers that look random and are the same for the same seed, so that a failed run can be told apart and tried again. */
export interface Chance {
  /** Evenly from `from` to below `to`. */
  between(from: number, to: number): number
  /** The same things in another order. */
  shuffled<T>(things: readonly T[]): T[]
}

/** Mulberry32: 32 bits of state, good enough to spread moments and orders. */
export function createChance(seed: number): Chance {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    between: (from, to) => from + next() * (to - from),
    shuffled(things) {
      const rest = [...things]
      return things.map(() => rest.splice(Math.floor(next() * rest.length), 1)[0]!)
    },
  }
}
