import { isReachable } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
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
  let running: Promise<void> | null = null
  let wake: (() => void) | null = null

  async function runOnce(): Promise<void> {
    while (!stopping && (await settleEvents(parts)) > 0);
    while (!stopping && (await applyLinkActs(parts)) > 0);
  }

  async function run(): Promise<void> {
    let failures = 0
    while (!stopping) {
      try {
        await runOnce()
        failures = 0
      } catch (error) {
        failures += 1
        if (failures === 1 && (await isReachable(db))) log.error({ err: error }, 'opens and clicks cannot be counted')
        else if (failures === 1) log.warn({ err: error }, 'the counting of opens and clicks waits for the database')
      }
      if (stopping) return
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, failures === 0 ? POLL : Math.min(10_000, POLL * 2 ** failures))
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  return {
    name: 'activity',
    start() {
      running = run()
    },
    async stop() {
      stopping = true
      wake?.()
      await running
    },
    runOnce,
  }
}
