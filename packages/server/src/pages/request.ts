import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'

/** Query parameters as a browser means them. */
export function searchOf(request: FastifyRequest): URLSearchParams {
  const url = request.raw.url ?? ''
  const mark = url.indexOf('?')
  return new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1))
}

/** Who asks, for the record. */
export function posterOf(request: FastifyRequest): { ip: string; userAgent: string | undefined } {
  return { ip: addressOf(request), userAgent: request.headers['user-agent']?.slice(0, 500) }
}

/** What a proxy passes on as an address may be anything, such as one with a port. */
function addressOf({ ip, socket }: FastifyRequest): string {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(ip)?.[1] ?? /^([\d.]+):\d+$/.exec(ip)?.[1] ?? ip
  return isIP(bare) === 0 ? (socket.remoteAddress ?? '') : bare
}
