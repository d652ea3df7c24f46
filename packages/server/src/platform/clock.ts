/** Where every part of Fairlead reads the time, so that tests can move it. */
export interface Clock {
  /** The present moment. */
  now(): Date
}

/** The clock of a running system. */
export const systemClock: Clock = { now: () => new Date() }

/** A clock that stands still until it is told to move. */
export interface MovableClock extends Clock {
  /** Moves forward by so many milliseconds. */
  advance(milliseconds: number): void
  /** Sets the present moment. */
  set(to: Date | string): void
}

/** A clock for tests, starting at the given moment. */
export function movableClock(start: Date | string): MovableClock {
  let now = new Date(start)
  return {
    now: () => new Date(now),
    advance: (milliseconds) => {
      now = new Date(now.getTime() + milliseconds)
    },
    set: (to) => {
      now = new Date(to)
    },
  }
}
