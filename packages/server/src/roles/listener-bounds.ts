import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyServerOptions } from 'fastify'
import type { Metrics } from '../platform/metrics.ts'
import { bareAnswer, DefaultedResponse } from './default-headers.ts'

/** What the public listener gives to those who call, at most. Times in ms. */
export interface ListenerBounds {
  /** From the first byte of a request to the last one of its body. */
  requestWithin: number
  /** The same for its headers. */
  headersWithin: number
  /** How often those times are looked at. */
  checkEvery: number
  connections: number
  /** Bytes of bodies held at the same time, beside the first `freeBytes` of each. */
  bodyBytes: number
  /** Of these, for bodies whose first bytes name no key of the account. */
  strangerBytes: number
  freeBytes: number
}

export const usualBounds: ListenerBounds = {
  requestWithin: 60_000,
  headersWithin: 15_000,
  checkEvery: 1_000,
  connections: 2_000,
  bodyBytes: 64 * 1024 * 1024,
  strangerBytes: 16 * 1024 * 1024,
  freeBytes: 64 * 1024,
}

/** What Fastify must be made with so that times are kept, and every answer has its headers. */
export function boundedServer(bounds: ListenerBounds): FastifyServerOptions & { http: object } {
  return {
    requestTimeout: bounds.requestWithin,
    http: {
      requestTimeout: bounds.requestWithin,
      headersTimeout: Math.min(bounds.headersWithin, bounds.requestWithin),
      connectionsCheckingInterval: bounds.checkEvery,
      ServerResponse: DefaultedResponse,
    },
    clientErrorHandler: refuseBroken,
  }
}

const REFUSALS: Record<string, [status: string, text: string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'The request took too long to arrive.\n'],
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'The headers are too large.\n'],
}
const MALFORMED: [status: string, text: string] = ['400 Bad Request', 'This is no HTTP request.\n']

/** What was wrong is told to nobody else: the bytes may hold keys and signatures. */
function refuseBroken(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const [status, text] = REFUSALS[error.code ?? ''] ?? MALFORMED
  if (socket.writable) socket.write(bareAnswer(status, text))
  socket.destroy()
}

/** A connection that has been receiving a request for less than this is not called slow, in ms. */
const SLOW = 1_000

/**
 * Holds the number of connections. When there are too many, room is made by closing one: of those in the middle of
 * receiving a request the one that is longest at it; or the one that is idle longest; or else the new one.
 */
export function boundConnections(server: Server, most: number, metrics: Metrics): void {
  const closed = metrics.counter('fairlead_http_closed_total', 'Connections closed because there were too many', [
    'kind',
  ])
  /** Since when, in the order in which it began. */
  const receiving = new Map<Socket, number>()
  const idle = new Set<Socket>()
  let open = 0

  server.on('connection', (socket: Socket) => {
    open += 1
    receiving.set(socket, performance.now())
    socket.once('close', () => {
      open -= 1
      receiving.delete(socket)
      idle.delete(socket)
    })
    if (open > most) makeRoom(socket)
  })

  server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request
    idle.delete(socket)
    if (!hasBody(request)) receiving.delete(socket)
    else if (!receiving.has(socket)) receiving.set(socket, performance.now())
    request.once('end', () => {
      receiving.delete(socket)
      if (response.writableFinished) idle.add(socket)
    })
    response.once('finish', () => {
      if (!receiving.has(socket)) idle.add(socket)
    })
  })

  function makeRoom(newest: Socket): void {
    const [slowest, since] = receiving.entries().next().value ?? [newest, Number.POSITIVE_INFINITY]
    const [idlest] = idle
    const [victim, kind] =
      performance.now() - since > SLOW ? [slowest, 'slow'] : idlest ? [idlest, 'idle'] : [newest, 'new']
    closed.of(kind as string).value += 1
    ;(victim as Socket).destroy()
  }
}

const hasBody = ({ headers }: IncomingMessage) =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
