/** A process that ran this long had started well: its next failure counts as the first. */
export const STEADY_AFTER = 60_000

/** How long to wait before starting a process again, in ms: at once, then doubling from half a second to half a minute. */
export function restartDelay(failuresInARow: number): number {
  return failuresInARow <= 1 ? 0 : Math.min(30_000, 500 * 2 ** (failuresInARow - 2))
}
