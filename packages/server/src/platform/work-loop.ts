/** Work that is done again and again, in the background, for as long as the process lives. */
export interface WorkLoop {
  start(): void
  /** There may be something to do before the next look. Heard during a turn too: the next one then follows at once. */
  nudge(): void
  /** Ends after the turn under way. */
  stop(): Promise<void>
}

export interface WorkLoopParts {
  /** One turn. @returns whether there may be more to do at once */
  turn: () => Promise<boolean>
  /** Milliseconds to the next look when there is nothing to do, so that nothing depends on being told. */
  poll: () => number
  /** The first of several failures in a row; the next turns come at growing distances. */
  failed: (error: unknown) => void
}

const SHORTEST_REST = 250
const LONGEST_REST = 5_000

export function createWorkLoop({ turn, poll, failed }: WorkLoopParts): WorkLoop {
  let isStopping = false
  let isCalled = false
  let running: Promise<void> | null = null
  let wake: (() => void) | null = null

  function nudge(): void {
    isCalled = true
    wake?.()
  }

  function idle(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => wake?.(), milliseconds)
      wake = () => {
        clearTimeout(timer)
        wake = null
        resolve()
      }
    })
  }

  async function run(): Promise<void> {
    let failures = 0
    while (!isStopping) {
      isCalled = false
      let hasMore = false
      try {
        hasMore = await turn()
        failures = 0
      } catch (error) {
        failures += 1
        if (failures === 1) failed(error)
      }
      if (isStopping || hasMore) continue
      if (failures > 0) await idle(Math.min(LONGEST_REST, SHORTEST_REST * 2 ** failures))
      else if (!isCalled) await idle(poll())
    }
  }

  return {
    start() {
      running = run()
    },
    nudge,
    async stop() {
      isStopping = true
      nudge()
      await running
    },
  }
}
