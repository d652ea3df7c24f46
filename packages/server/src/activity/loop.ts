import { isReachable } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import { createWorkLoop } from '../platform/work-loop.ts'
import { applyLinkActs, type LinkActParts } from './link-acts.ts'
import { type SettleParts, settleEvents } from './settle.ts'

export interface ActivityLoop {
  name: string
  start(): void
  stop(): Promise<void>
  /** Does what can be done now. */
  runOnce(): Promise<void>
}

const POLL = 1_000

/** Counts opens and clicks for people, and carries out what clicks asked for. */
export function createActivityLoop(parts: LinkActParts & SettleParts & { log: Log }): ActivityLoop {
  const { db, log } = parts
  let stopping = false

  async function runOnce(): Promise<void> {
    while (!stopping && (await settleEvents(parts)) > 0);
    while (!stopping && (await applyLinkActs(parts)) > 0);
  }

  const loop = createWorkLoop({
    async turn() {
      await runOnce()
      return false
    },
    poll: () => POLL,
    async failed(error) {
      if (await isReachable(db)) log.error({ err: error }, 'opens and clicks cannot be counted')
      else log.warn({ err: error }, 'the counting of opens and clicks waits for the database')
    },
  })

  return {
    name: 'activity',
    start: loop.start,
    async stop() {
      stopping = true
      await loop.stop()
    },
    runOnce,
  }
}
