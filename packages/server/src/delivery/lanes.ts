import type { ReadyMessage } from './prepare.ts'
import type { Connection, TransmitOutcome } from './transport.ts'

/**
 * Lanes hand messages over, one at a time each, over connections that stay open while there is work. A message waits in
 * the line until a lane is free, so no more is marked as attempted than is under way.
 */
export interface Lanes {
  /** Puts messages at the end of the line. */
  add(messages: readonly ReadyMessage[]): void
  /** Takes back everything that waits. */
  drain(): ReadyMessage[]
  /** Lets a connection that was opened to try the relay be used. */
  lend(connection: Connection): void
  /** Takes no more from the line, waits for what is under way, and cuts it off after so many milliseconds. */
  stop(patience: number): Promise<void>
}

export interface LaneParts {
  count: number
  connect: () => Promise<Connection>
  /** Written and committed before the content goes out. False: the message is no longer ours. */
  mark: (messageId: number) => Promise<boolean>
  /** What became of a message; `null`: it was not attempted after all. */
  done: (ready: ReadyMessage, outcome: TransmitOutcome | null) => void
  /** No connection could be opened. `alone`: no other lane has one either. The message is still ours. */
  unreachable: (ready: ReadyMessage, error: Error, alone: boolean) => void
}

/** An unused connection is closed after this long, in ms. */
const IDLE = 5_000
/** Relays like to see a new connection now and then. */
const MESSAGES_PER_CONNECTION = 500
/** A relay that limits connections is asked for one more only after this long, in ms. */
const REFUSED_LANE_RESTS = 2_000

export function createLanes({ count, connect, mark, done, unreachable }: LaneParts): Lanes {
  let line: ReadyMessage[] = []
  const idle: Array<(ready: ReadyMessage | null) => void> = []
  const open = new Set<Connection>()
  const spare: Connection[] = []
  let stopping = false

  function next(): Promise<ReadyMessage | null> {
    const first = line.shift()
    if (first) return Promise.resolve(first)
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        idle.splice(idle.indexOf(give), 1)
        resolve(null)
      }, IDLE)
      const give = (ready: ReadyMessage | null) => {
        clearTimeout(timer)
        resolve(ready)
      }
      idle.push(give)
    })
  }

  function discard(connection: Connection | null): null {
    if (connection) {
      open.delete(connection)
      connection.close()
    }
    return null
  }

  async function work(): Promise<void> {
    let connection: Connection | null = null
    let carried = 0
    while (!stopping) {
      const ready = await next()
      if (!ready) {
        connection = discard(connection)
        continue
      }
      if (connection && (!connection.isUsable() || carried >= MESSAGES_PER_CONNECTION)) connection = discard(connection)
      if (!connection) {
        carried = 0
        try {
          connection = spare.pop() ?? (await connect())
          open.add(connection)
        } catch (error) {
          unreachable(ready, error as Error, open.size === 0)
          await rest()
          continue
        }
      }
      if (!(await mark(ready.message.id).catch(() => false))) {
        done(ready, null)
        continue
      }
      carried += 1
      done(ready, await connection.transmit(ready.composed))
    }
    discard(connection)
  }

  let wakeResting: Array<() => void> = []
  function rest(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, REFUSED_LANE_RESTS)
      wakeResting.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
  function wakeAll(): void {
    for (const wake of wakeResting) wake()
    wakeResting = []
  }

  const lanes = Array.from({ length: count }, work)

  return {
    add(messages) {
      for (const message of messages) {
        const give = idle.pop()
        if (give) give(message)
        else line.push(message)
      }
    },
    drain() {
      const waiting = line
      line = []
      return waiting
    },
    lend(connection) {
      spare.push(connection)
      wakeAll()
    },
    async stop(patience) {
      stopping = true
      for (const give of idle.splice(0)) give(null)
      wakeAll()
      const cut = setTimeout(() => {
        for (const connection of open) connection.close()
      }, patience)
      await Promise.all(lanes)
      clearTimeout(cut)
      for (const connection of spare.splice(0)) connection.close()
    },
  }
}
