import type { Log } from '../platform/log.ts'
import { oneLine } from '../platform/operator-error.ts'
import { createGate, type Gate } from './gate.ts'
import { createLanes, type LaneParts, type Lanes } from './lanes.ts'
import type { Opening, Source } from './transport.ts'

/**
 * The relays, each with lanes of its own by its weight. All take from one supply, so while one is down the others
 * carry its share. One that is down is tried again at growing distances.
 */
export interface Outlets {
  /** Whether any relay can be reached, as far as is known. */
  isOpen(): boolean
  /** Begins to try relays that were down and whose time has come; waits for none of them. */
  tryClosed(): void
  /** Milliseconds until one is to be tried; Infinity: none is down, or those that are down are being tried. */
  wait(): number
  /** Waits for what is under way, and cuts it off after so many milliseconds. */
  stop(patience: number): Promise<void>
}

export interface OutletParts extends Pick<LaneParts, 'supply' | 'write' | 'verdictOn' | 'done' | 'unsent'> {
  sources: readonly Source[]
  /** Connections to all of them together. */
  connections: number
  log: Log
  /** How connections are opened, where it is not as usual. */
  opening?: Omit<Opening, 'signal'>
  /** A relay that was down can be reached again. */
  opened(): void
  /** A connection could not be opened. */
  failed(): void
  /** The last one that could be reached cannot be any more. */
  closed(): void
}

interface Outlet {
  source: Source
  gate: Gate
  lanes: Lanes
  /** It is being tried whether it is back. */
  knock: Promise<void> | null
}

export function createOutlets(parts: OutletParts): Outlets {
  const { sources, connections, log, opening, opened, failed, closed } = parts
  const stopping = new AbortController()
  for (const { name, warning } of sources) if (warning) log.warn({ relay: name }, warning)
  const isOpen = () => outlets.some(({ gate }) => gate.isOpen())
  const shares = laneCounts(
    sources.map(({ weight }) => weight),
    connections,
  )
  const outlets: Outlet[] = shares.map((count, index) => {
    const source = sources[index]!
    const gate = createGate()
    const lanes = createLanes({
      ...parts,
      count,
      // A relay that is known to be down is tried by `tryClosed` alone.
      connect: (signal) =>
        gate.isOpen() ? source.open({ ...opening, signal }) : Promise.reject(new Error('the relay is down')),
      unreachable(error, alone) {
        if (gate.isOpen()) failed()
        if (!alone || !gate.isOpen()) return
        log.warn({ relay: source.name }, `the relay is down: ${oneLine(error)}`)
        gate.failed()
        if (!isOpen()) closed()
      },
    })
    return { source, gate, lanes, knock: null }
  })

  async function knock({ source, gate, lanes }: Outlet): Promise<void> {
    try {
      lanes.lend(await source.open({ ...opening, signal: stopping.signal }))
      if (gate.passed()) log.info({ relay: source.name }, 'the relay is back')
      opened()
    } catch (error) {
      if (stopping.signal.aborted) return
      failed()
      const failures = gate.failed()
      log.warn({ relay: source.name, failures }, `the relay is still down: ${oneLine(error)}`)
    }
  }

  return {
    isOpen,
    tryClosed() {
      for (const outlet of outlets) {
        if (outlet.gate.isOpen() || outlet.gate.wait() > 0 || outlet.knock) continue
        // One that does not even refuse takes minutes to find out about, and the others have work meanwhile.
        outlet.knock = knock(outlet).finally(() => {
          outlet.knock = null
        })
      }
    },
    wait: () => Math.min(...outlets.map(({ gate, knock }) => (gate.isOpen() || knock ? Infinity : gate.wait()))),
    async stop(patience) {
      stopping.abort()
      await Promise.all(outlets.map(({ knock }) => knock))
      await Promise.all(outlets.map(({ lanes }) => lanes.stop(patience)))
    },
  }
}

/** Shares connections out by weight; every relay that has any gets at least one. */
export function laneCounts(weights: readonly number[], connections: number): number[] {
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return weights.map((weight) => Math.max(1, Math.round((connections * weight) / sum)))
}
