import { createActivityLoop } from '../activity/loop.ts'
import { fillChunk } from '../campaigns/fill.ts'
import { createCampaignLoop } from '../campaigns/loop.ts'
import { dkimKeysOf } from '../delivery/dkim/key.ts'
import { createDelivery } from '../delivery/loop.ts'
import { createMimeWriter } from '../delivery/mime/writer.ts'
import { returnPathOf } from '../delivery/return-path.ts'
import { createFlowLoop } from '../flows/loop.ts'
import { createEmptyingLoop } from '../lists/emptying.ts'
import type { Listener } from '../platform/wake.ts'
import { createPostbackLoop } from '../postbacks/loop.ts'
import { loadHistories } from '../purchases/history.ts'
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

/** The loops of a worker process. `listener` tells them of work that other processes made. */
export function workerLoops(services: Services, listener: Listener): Loop[] {
  const { config, flows, log, sends, signingKeys, waker } = services
  return [
    { name: 'listener', start: listener.start, stop: listener.stop },
    createDelivery({
      ...services,
      sendIdOf: sends.sendIdOf,
      histories: loadHistories,
      from: config.from,
      relays: config.relays,
      direct: config.direct,
      connections: config.smtpConnections,
      returnPathOf: config.bounceDomain ? (id) => returnPathOf(signingKeys, id, config.bounceDomain!) : null,
      mime: createMimeWriter(),
      dkim: dkimKeysOf(config.dkim),
      onWake: (hear) => listener.on('delivery', hear),
      fill: (worker, now, limit) => fillChunk(services, worker, now, limit),
    }),
    createCampaignLoop({
      ...services,
      wakeDelivery: () => waker.wake('delivery'),
      onWake: (hear) => listener.on('campaigns', hear),
    }),
    createActivityLoop(services),
    createEmptyingLoop(services),
    createPostbackLoop({ ...services, publicUrl: config.publicUrl }),
    createFlowLoop({
      ...flows,
      log,
      wakeOthers: () => waker.wake('delivery'),
      onWake: (hear) => listener.on('flows', hear),
    }),
  ]
}

/** Starts all loops. */
export async function startWorker(services: Services, loops: Loop[]): Promise<RunningRole> {
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
