import { isFarewell } from './outcome.ts'
import type { Verdict } from './pacing.ts'
import type { ReadyMessage } from './prepare.ts'
import type { Supply } from './supply.ts'
import type { Connection, Offers, TransmitOutcome } from './transport.ts'
import type { Written } from './write.ts'

/**
 * Lanes hand messages over, each one at a time, over a connection that stays open while there is work. All lanes take
 * from one supply, so a relay that is quick, or that is given more lanes, carries more; one that is down carries none.
 */
export interface Lanes {
  /** Lets a connection that was opened to try a relay be used. */
  lend(connection: Connection): void
  /** Waits for what is under way, and cuts it off after so many milliseconds. Stop the supply first. */
  stop(patience: number): Promise<void>
}

/** What became of a message that a lane took: the server's word, or its end before any server heard of it. */
export type HandOutcome = TransmitOutcome | Exclude<Written, { kind: 'written' }>

export interface LaneParts {
  count: number
  supply: Supply
  /** @param signal aborts when nobody waits any more */
  connect: (signal: AbortSignal) => Promise<Connection>
  /** Writes the message for what this connection's server can take. Never rejects. */
  write: (ready: ReadyMessage, offers: Offers) => Promise<Written>
  /** What an outcome tells about the speed that the recipient's domain likes. */
  verdictOn: (outcome: HandOutcome) => Verdict
  done: (ready: ReadyMessage, outcome: HandOutcome) => void
  /** Marked, but nothing of its content went out, for no fault of its own. */
  unsent: (ready: ReadyMessage) => void
  /** No connection could be opened. `alone`: no other lane has one either. */
  unreachable: (error: Error, alone: boolean) => void
}

/** A message that is being written, or is. */
interface Work {
  ready: ReadyMessage
  written: Promise<Written>
}

/** An unused connection is closed after this long, in ms. */
const IDLE = 5_000
/** Relays like to see a new connection now and then. */
const MESSAGES_PER_CONNECTION = 1_000
/** A relay that limits connections is asked for one more only after this long, in ms. */
const REFUSED_LANE_RESTS = 2_000

export function createLanes(parts: LaneParts): Lanes {
  const { count, supply, connect, write, verdictOn, done, unsent, unreachable } = parts
  const open = new Set<Connection>()
  const spare: Connection[] = []
  const resting = new Set<() => void>()
  const queue: Array<() => void> = []
  const cutOff = new AbortController()
  let connecting = 0
  let isStopping = false

  async function opened(): Promise<Connection | null> {
    const lent = spare.pop()
    if (lent) return lent
    try {
      const connection = await connect(cutOff.signal)
      open.add(connection)
      return connection
    } catch (error) {
      if (!isStopping) unreachable(error as Error, open.size === 0)
      return null
    }
  }

  function close(connection: Connection): void {
    open.delete(connection)
    connection.close()
  }

  /**
   * Carries messages until there are none for a while, the connection ends, or it has carried enough. While the server
   * takes one, the next is written: where connections are few, they and not this process are what is scarce.
   */
  async function carry(connection: Connection): Promise<void> {
    /** The next message, if it was begun already. */
    const ahead: Work[] = []
    for (let carried = 0; carried < MESSAGES_PER_CONNECTION && connection.isUsable(); carried++) {
      const work = ahead.pop() ?? begin(await supply.next(IDLE), connection)
      if (!work) return
      const { ready } = work
      const written = await work.written
      if (!connection.isUsable()) return leave(ready)
      const goOn = () => {
        if (ahead.length > 0 || carried + 1 >= MESSAGES_PER_CONNECTION) return
        const next = begin(supply.take(), connection)
        if (next) ahead.push(next)
      }
      const outcome = written.kind === 'written' ? await connection.transmit(written.composed, goOn) : written
      const isGone = carried > 0 && !connection.isUsable() && outcome.kind !== 'ended' && isFarewell(outcome)
      if (isGone) leave(ready)
      else {
        supply.ended(ready, verdictOn(outcome))
        done(ready, outcome)
      }
    }
    for (const { ready } of ahead) leave(ready)
  }

  function begin(ready: ReadyMessage | null, { offers }: Connection): Work | null {
    return ready && { ready, written: write(ready, offers) }
  }

  function leave(ready: ReadyMessage): void {
    supply.ended(ready, 'other')
    unsent(ready)
  }

  async function work(): Promise<void> {
    while (!isStopping && (await supply.untilWork())) {
      // As many at a time as are open already: one message needs one connection, a campaign soon has them all.
      if (connecting > open.size) {
        await new Promise<void>((resolve) => queue.push(resolve))
        continue
      }
      connecting += 1
      const connection = await opened()
      connecting -= 1
      for (const go of queue.splice(0)) go()
      if (!connection) {
        if (!isStopping) await rest()
        continue
      }
      await carry(connection)
      close(connection)
    }
  }

  function rest(): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        resting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, REFUSED_LANE_RESTS)
      resting.add(wake)
    })
  }

  const lanes = Array.from({ length: count }, work)

  return {
    lend(connection) {
      open.add(connection)
      spare.push(connection)
      for (const wake of resting) wake()
    },
    async stop(patience) {
      isStopping = true
      // Who still connects carries nothing that could be finished.
      cutOff.abort()
      for (const wake of resting) wake()
      const cut = setTimeout(() => {
        for (const connection of open) connection.close()
      }, patience)
      await Promise.all(lanes)
      clearTimeout(cut)
      for (const connection of spare.splice(0)) close(connection)
    },
  }
}
