import { sayFound } from '../delivery/orphans.ts'
import type { Clock } from '../platform/clock.ts'
import { createWorkLoop } from '../platform/work-loop.ts'
import { cancelWaiting, completeFinished } from './finish.ts'
import { type GenerateParts, generateDue } from './generate.ts'
import { type StartParts, startDue } from './start.ts'

export interface CampaignLoopParts extends StartParts, GenerateParts {
  clock: Clock
  /** Called when a campaign began: delivery writes its recipients as it sends. */
  wakeDelivery: () => void
  /** Calls back when a campaign may have something to do, if somebody tells. */
  onWake?: (hear: () => void) => void
}

/** Looks by itself this often, in ms: a campaign begins, and is seen to be complete, this late at most. */
const POLL = 500

/**
 * One round: makes what repeats, begins what is due, takes back what was cancelled, ends what is complete. Each is small, so that nothing waits long for another; none hinders the others when it fails; and none remembers
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
  await step(async () => {
    const began = await startDue(parts, clock.now())
    if (began) wakeDelivery()
    return began
  })
  await step(async () => (await cancelWaiting(db, clock.now())) > 0)
  await step(async () => {
    const ended = await completeFinished(db, clock.now(), (found) => sayFound(log, found))
    for (const campaign of ended) log.info({ campaign }, 'a campaign is complete')
    return false
  })
  if (failure) throw failure
  return busy
}

/** Moves campaigns along for as long as there is something to do. */
export function createCampaignLoop(parts: CampaignLoopParts) {
  const loop = createWorkLoop({
    turn: () => campaignRound(parts),
    poll: () => POLL,
    failed: (error) => parts.log.warn({ err: error }, 'campaigns wait for the database'),
  })
  return {
    name: 'campaigns',
    start() {
      parts.onWake?.(loop.nudge)
      loop.start()
    },
    stop: loop.stop,
  }
}
