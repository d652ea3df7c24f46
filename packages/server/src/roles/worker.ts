import type { Services } from '../services.ts'
import type { RunningRole } from './web.ts'

/** Work that repeats by itself: delivery, flows, jobs. */
export interface Loop {
  name: string
  /** Begins and returns; the loop goes on in the background and survives a database that is away. */
  start(): void
  /** Takes no more work, finishes or gives back what it holds. */
  stop(): Promise<void>
}

/** The loops of a worker process. */
export function workerLoops(_services: Services): Loop[] {
  return []
}

/** Starts all loops. */
export async function startWorker(services: Services, loops = workerLoops(services)): Promise<RunningRole> {
  // A process without loops has nothing to wait for, yet must stay.
  const presence = setInterval(() => {}, 60_000)
  for (const loop of loops) loop.start()
  return {
    async close() {
      clearInterval(presence)
      const outcomes = await Promise.allSettled(loops.map((loop) => loop.stop()))
      for (const [index, outcome] of outcomes.entries()) {
        if (outcome.status === 'rejected') {
          services.log.error({ err: outcome.reason, loop: loops[index]?.name }, 'a loop did not stop cleanly')
        }
      }
    },
  }
}
