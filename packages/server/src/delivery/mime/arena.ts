/** Memory that is handed out in pieces: one allocation for many messages, since allocating costs more than writing. */
export interface Arena {
  /**
   * Has up to `most` octets written and hands out those that were.
   *
   * @param write writes from the start of the room that it is given and returns how many octets it wrote
   */
  fill(most: number, write: (room: Buffer) => number): Buffer
  /** From now on what was handed out may be overwritten. */
  clear(): void
}

/** @param size octets allocated at a time */
export function createArena(size: number): Arena {
  let memory = Buffer.allocUnsafeSlow(size)
  let used = 0
  return {
    fill(most, write) {
      // Something large gets memory of its own: what is left here stays of use to others.
      if (most > size / 2) {
        const room = Buffer.allocUnsafeSlow(most)
        return room.subarray(0, write(room))
      }
      if (used + most > size) {
        // Slices that are still in use keep the old memory alive.
        memory = Buffer.allocUnsafeSlow(size)
        used = 0
      }
      const start = used
      used += write(memory.subarray(start, start + most))
      return memory.subarray(start, used)
    },
    clear() {
      used = 0
    },
  }
}
