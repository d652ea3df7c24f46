/** Closes when the relay cannot be reached, and says when to knock again. */
export interface Gate {
  isOpen(): boolean
  /** Milliseconds until the next try; 0 when it is time. */
  wait(): number
  /** @returns how many failures in a row these are */
  failed(): number
  /** @returns true when it had been closed */
  passed(): boolean
}

const SHORTEST = 500
const LONGEST = 60_000

/** @param time milliseconds of a clock that only runs forward */
export function createGate(time: () => number = () => performance.now()): Gate {
  let failures = 0
  let until = 0
  return {
    isOpen: () => failures === 0,
    wait: () => (failures === 0 ? 0 : Math.max(0, until - time())),
    failed() {
      failures += 1
      until = time() + Math.min(LONGEST, SHORTEST * 2 ** (failures - 1))
      return failures
    },
    passed() {
      const wasClosed = failures > 0
      failures = 0
      return wasClosed
    },
  }
}
