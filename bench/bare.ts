/**
 * What Fairlead is held against: a Fastify of its own that reads the same request and gives the same answer, and does
 * nothing in between. Runs as a child process; its orders come over IPC.
 */
import type { AddressInfo } from 'node:net'
import { parse } from 'node:querystring'
import fastify from 'fastify'

/** Answers by `METHOD path`. A text is sent as HTML, anything else as JSON. */
export type BareAnswers = Record<string, string | object>

const app = fastify({ logger: false, forceCloseConnections: true })
app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
  done(null, JSON.parse(String(parse(body as string).json))),
)

process.once('message', async (answers: BareAnswers) => {
  for (const [route, answer] of Object.entries(answers)) {
    const [method = '', url = ''] = route.split(' ')
    app.route({
      method,
      url,
      handler(request, reply) {
        const { json } = request.query as { json?: string }
        if (json !== undefined && typeof JSON.parse(json) !== 'object') throw new Error('parameters are an object')
        if (typeof answer === 'string') reply.type('text/html; charset=utf-8')
        return reply.send(answer)
      },
    })
  }
  await app.listen({ port: 0, host: '127.0.0.1' })
  process.send?.({ port: (app.server.address() as AddressInfo).port })
})
process.on('disconnect', () => process.exit(0))
