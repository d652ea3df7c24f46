import type { Log } from '../platform/log.ts'
import { createWorkLoop } from '../platform/work-loop.ts'
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

/** Dispatches signals and moves runs, a batch of each in turn, for as long as there is something to do. */
export function createFlowLoop({ dispatcher, engine, log, wakeOthers, onWake }: FlowLoopParts) {
  const loop = createWorkLoop({
    async turn() {
      const signals = await dispatcher.dispatchOnce()
      const { runs, steps } = await engine.runOnce()
      if (signals + steps > 0) wakeOthers()
      return signals + runs > 0
    },
    poll: () => POLL,
    failed: (error) => log.warn({ err: error }, 'flows wait for the database'),
  })
  return {
    name: 'flows',
    start() {
      onWake?.(loop.nudge)
      loop.start()
    },
    async stop() {
      engine.stop()
      await loop.stop()
    },
  }
}
