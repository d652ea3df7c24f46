import type { Log } from '../platform/log.ts'
import type { Dispatcher } from '../signals/dispatch.ts'
import type { Engine } from './engine.ts'

export interface FlowLoopParts {
  dispatcher: Dispatcher
  engine: Engine
  log: Log
  /** Called when work was done that others wait for, messages and postbacks above all. */
  wakeOthers(): void
  /** Calls back when signals were written, if somebody tells. */
  onWake?: (hear: () => void) => void
}

/** Looks by itself this often, in ms: a wait that is over is noticed this late at most. */
const POLL = 500
const LONGEST_PAUSE = 5_000

/** Dispatches signals and moves runs, a batch of each in turn, for as long as there is something to do. */
export function createFlowLoop({ dispatcher, engine, log, wakeOthers, onWake }: FlowLoopParts) {
  let stopping = false
  let running: Promise<void> | null = null
  let called = false
  let wakeIdle: (() => void) | null = null

  const nudge = () => {
    called = true
    wakeIdle?.()
  }
  const idle = (milliseconds: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(() => wakeIdle?.(), milliseconds)
      wakeIdle = () => {
        clearTimeout(timer)
        wakeIdle = null
        resolve()
      }
    })

  async function work(): Promise<void> {
    let failures = 0
    while (!stopping) {
      called = false
      let done = 0
      try {
        const signals = await dispatcher.dispatchOnce()
        const { runs, steps } = await engine.runOnce()
        done = signals + runs
        failures = 0
        if (signals + steps > 0) wakeOthers()
      } catch (error) {
        failures += 1
        if (failures === 1) log.warn({ err: error }, 'flows wait for the database')
      }
      if (stopping || done > 0) continue
      if (failures > 0) await idle(Math.min(LONGEST_PAUSE, 250 * 2 ** failures))
      else if (!called) await idle(POLL)
    }
  }

  return {
    name: 'flows',
    start() {
      onWake?.(nudge)
      running = work()
    },
    async stop() {
      stopping = true
      engine.stop()
      nudge()
      await running
    },
  }
}
