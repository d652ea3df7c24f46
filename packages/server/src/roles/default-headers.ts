import type { IncomingMessage, Server, ServerResponse } from 'node:http'

/**
 * Headers of every answer of the public port, whoever gives it: endpoints, pages, redirects, errors of Fastify and of
 * Node. Nothing here is to be framed, guessed at, kept on the way, or told where a visitor came from. A page sends its
 * own policy in the place of this one.
 */
export const DEFAULT_HEADERS = {
  'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'cache-control': 'no-store',
} as const

const LINES = Object.entries(DEFAULT_HEADERS)

/** Puts the headers on everything that the server answers. Call it before the server listens. */
export function sendDefaultHeaders(server: Server): void {
  const put = (_request: IncomingMessage, response: ServerResponse) => {
    for (const [name, value] of LINES) response.setHeader(name, value)
  }
  server.prependListener('request', put)
  // A request that expects something else than `100-continue`; without a listener Node answers by itself, bare.
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    put(request, response)
    response.writeHead(417, { connection: 'close' }).end()
  })
}

/** An answer to what is no request, as it goes over the wire. The connection ends with it. */
export function bareAnswer(status: string, text: string): string {
  const head = [
    `HTTP/1.1 ${status}`,
    ...LINES.map(([name, value]) => `${name}: ${value}`),
    'content-type: text/plain; charset=utf-8',
    `content-length: ${Buffer.byteLength(text)}`,
    'connection: close',
  ]
  return `${head.join('\r\n')}\r\n\r\n${text}`
}
