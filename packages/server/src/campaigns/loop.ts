import type { Clock } from '../platform/clock.ts'
import { fillChunk } from './fill.ts'
import { cancelWaiting, completeFinished } from './finish.ts'
import { type GenerateParts, generateDue } from './generate.ts'
import { type StartParts, startDue } from './start.ts'

export interface CampaignLoopParts extends StartParts, GenerateParts {
  clock: Clock
  /** Called when messages were queued. */
  wakeDelivery: () => void
  /** Calls back when a campaign may have something to do, if somebody tells. */
  onWake?: (hear: () => void) => void
}

/** Looks by itself this often, in ms: a campaign begins, and is seen to be complete, this late at most. */
const POLL = 500
const LONGEST_PAUSE = 5_000

/**
 * One round: begins what is due, writes one chunk of recipients, takes back what was cancelled, ends what is complete.
 * Each is small, so that nothing waits long for another; none hinders the others when it fails; and none remembers
 * anything: all of it is in rows.
 *
 * @returns whether there may be more to do at once
 */
export async function campaignRound(parts: CampaignLoopParts): Promise<boolean> {
  const { db, clock, log, wakeDelivery } = parts
  let busy = false
  let failure: unknown = null
  const step = async (work: () => Promise<boolean>) => {
    try {
      if (await work()) busy = true
    } catch (error) {
      failure ??= error
    }
  }
  await step(() => generateDue(parts, clock.now()))
  await step(() => startDue(parts, clock.now()))
  await step(async () => {
    const filled = await fillChunk(db, clock.now())
    if (filled) wakeDelivery()
    return filled
  })
  await step(async () => (await cancelWaiting(db, clock.now())) > 0)
  await step(async () => {
    for (const campaign of await completeFinished(db, clock.now())) log.info({ campaign }, 'a campaign is complete')
    return false
  })
  if (failure) throw failure
  return busy
}

/** Moves campaigns along for as long as there is something to do. */
export function createCampaignLoop(parts: CampaignLoopParts) {
  const { log, onWake } = parts
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
      let busy = false
      try {
        busy = await campaignRound(parts)
        failures = 0
      } catch (error) {
        failures += 1
        if (failures === 1) log.warn({ err: error }, 'campaigns wait for the database')
      }
      if (stopping || busy) continue
      if (failures > 0) await idle(Math.min(LONGEST_PAUSE, 250 * 2 ** failures))
      else if (!called) await idle(POLL)
    }
  }

  return {
    name: 'campaigns',
    start() {
      onWake?.(nudge)
      running = work()
    },
    async stop() {
      stopping = true
      nudge()
      await running
    },
  }
}
