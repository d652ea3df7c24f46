import { Transform, type TransformCallback } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Metrics } from '../platform/metrics.ts'
import { Overloaded, RETRY_AFTER } from '../platform/overloaded.ts'
import type { ListenerBounds } from './listener-bounds.ts'

/** A large body on its way, or held until its answer. */
interface Load {
  bytes: number
  /** Whether its first bytes named a key of the account. */
  isKnown: boolean
  since: number
  /** Turns the request away while it is still being received; null: it is complete. */
  refuse: (() => void) | null
}

/** A body that has been arriving for less than this is not called slow, in ms. */
const SLOW = 2_000

/**
 * Bounds the bytes of bodies that are held at the same time, over all requests. The first bytes of each are free, so
 * that ordinary calls, pages and health checks get through; what is beyond is counted as it arrives, until the answer.
 * When there is no room, the body that has been arriving for longest is turned away, or else the one that asks: 503,
 * with `Retry-After`. Bodies whose first bytes name no key of the account share a small part of the room.
 *
 * @param isKnown whether the first bytes of a request name a key of the account
 * @param most bytes of one body that count: beyond them a body is refused, or goes to the disk
 */
export function boundBodies(
  app: FastifyInstance,
  bounds: ListenerBounds,
  isKnown: (request: FastifyRequest, first: Buffer) => Promise<boolean>,
  most: number,
  metrics: Metrics,
): void {
  const refused = metrics.counter('fairlead_http_overloaded_total', 'Bodies turned away because there was no room').of()
  let held = 0
  let heldForStrangers = 0
  metrics.gauge('fairlead_http_body_bytes', 'Bytes of large bodies that are held', [], () => [[[], held]])
  const loads = new Set<Load>()

  function release(load: Load): void {
    if (!loads.delete(load)) return
    held -= load.bytes
    if (!load.isKnown) heldForStrangers -= load.bytes
  }

  /** Makes room for bytes of a load, perhaps at the cost of a slow one. */
  function hasRoom(bytes: number, load: Load): boolean {
    for (;;) {
      const isFull = held + bytes > bounds.bodyBytes
      const isFullOfStrangers = !load.isKnown && heldForStrangers + bytes > bounds.strangerBytes
      if (!isFull && !isFullOfStrangers) return true
      const slowest = [...loads].find(({ refuse, isKnown }) => refuse !== null && (isFull || !isKnown))
      if (!slowest || slowest === load || performance.now() - slowest.since < SLOW) return false
      slowest.refuse?.()
    }
  }

  app.addHook('preParsing', (request, reply, payload, done) => {
    if (!mayBeLarge(request, bounds.freeBytes)) return done(null, payload)
    let arrived = 0
    const load: Load = {
      bytes: 0,
      isKnown: false,
      since: performance.now(),
      refuse: () => counting.destroy(turnAway()),
    }
    const turnAway = () => {
      refused.value += 1
      release(load)
      load.refuse = null
      reply.raw.setHeader('retry-after', RETRY_AFTER)
      // The rest is read and thrown away, so that the caller comes to read the answer; that costs no memory.
      payload.unpipe(counting)
      payload.resume()
      return new Overloaded()
    }
    const counting = new Transform({
      async transform(chunk: Buffer, _encoding, callback: TransformCallback) {
        if (arrived === 0) load.isKnown = await isKnown(request, chunk).catch(() => false)
        const before = counted(arrived)
        arrived += chunk.length
        const bytes = counted(arrived) - before
        if (bytes > 0 && !hasRoom(bytes, load)) return callback(turnAway())
        load.bytes += bytes
        held += bytes
        if (!load.isKnown) heldForStrangers += bytes
        callback(null, chunk)
      },
      flush(callback) {
        load.refuse = null
        callback()
      },
    })
    loads.add(load)
    reply.raw.once('close', () => release(load))
    payload.once('error', (error) => counting.destroy(error))
    payload.once('close', () => {
      if (!request.raw.complete) counting.destroy(new Error('the request was broken off'))
    })
    done(null, payload.pipe(counting))
  })

  const counted = (bytes: number) => Math.max(0, Math.min(bytes, most) - bounds.freeBytes)
}

function mayBeLarge({ headers }: FastifyRequest, freeBytes: number): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > freeBytes
}
