/**
 * How many messages of one kind a worker holds: as many as go out within a moment. What was decided about a message
 * when it was claimed is then still true when it leaves, however slow the relay is, and a fast one never waits.
 */
export interface Room {
  /** How many more may be taken now; 0: enough are held. */
  free(held: number): number
  /** A message went out so many milliseconds after it was decided about. */
  left(milliseconds: number): void
  /** Whether there is room again once only so many are held. */
  opensAt(held: number): boolean
}

const FEWEST = 32
const MOST = 1_000
/** Messages taken at a time, at most. */
const AT_ONCE = 250
/** A decision should not be older than this when it is carried out, in ms. */
const LONGEST_WAIT = 2_000

export function createRoom(): Room {
  let most = FEWEST
  /** How messages left since the last look; null: none did. */
  let pace: 'slow' | 'fast' | null = null
  return {
    free(held) {
      if (held > most / 2) return 0
      if (pace === 'slow') most = Math.max(FEWEST, most / 2)
      else if (pace === 'fast') most = Math.min(MOST, most * 2)
      else if (held === 0) most = FEWEST
      pace = null
      return Math.max(0, Math.min(AT_ONCE, most - held))
    },
    left(milliseconds) {
      if (milliseconds > LONGEST_WAIT) pace = 'slow'
      else pace ??= 'fast'
    },
    opensAt: (held) => held === Math.floor(most / 2),
  }
}
