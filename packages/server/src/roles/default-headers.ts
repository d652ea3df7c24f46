import { type IncomingMessage, ServerResponse } from 'node:http'

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

/**
 * An answer that has the headers from the start. As Node makes every answer of the server itself, also those that no
 * route and no hook ever sees have them.
 */
export class DefaultedResponse<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
  constructor(...args: ConstructorParameters<typeof ServerResponse<Request>>) {
    super(...args)
    for (const [name, value] of LINES) this.setHeader(name, value)
  }
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
