import { setTimeout as sleep } from 'node:timers/promises'
import { asking, open } from './load.ts'

/** Requests that come at their times, as those of many strangers do: a server that stalls does not hold them back. */
export interface Pace {
  port: number
  /** Whole HTTP/1.1 requests, sent in this order. */
  requests: readonly Buffer[]
  /** Between one and the next, in ms. */
  every: number
  /** More than are ever unanswered at a time, or a request begins late; that counts too. */
  connections: number
}

/**
 * @returns for each request the ms from the moment at which it was due to its answer, so that those that had to wait
 *   behind a slow one count as slow themselves
 * @throws when an answer is anything but 200
 */
export async function pace({ port, requests, every, connections }: Pace): Promise<number[]> {
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)))
  const times: number[] = []
  const began = performance.now()
  let next = 0

  const drive = async (ask: (request: Buffer) => Promise<void>) => {
    while (next < requests.length) {
      const number = next++
      const due = began + number * every
      for (let early = due - performance.now(); early > 0; early = due - performance.now()) await sleep(early)
      await ask(requests[number]!)
      times[number] = performance.now() - due
    }
  }

  try {
    await Promise.all(sockets.map((socket) => drive(asking(socket))))
  } finally {
    for (const socket of sockets) socket.destroy()
  }
  return times
}
