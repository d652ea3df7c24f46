import fastify, { type FastifyInstance } from 'fastify'
import { METRICS_TYPE } from '../platform/metrics-text.ts'
import type { Services } from '../services.ts'
import type { Figures } from './figures.ts'
import { registerHealth } from './health.ts'

/** The routes of the operators' listener, not yet listening: nothing of it is for the public. */
export function buildConsole({ db }: Pick<Services, 'db'>, figures: Figures): FastifyInstance {
  const app = fastify({ forceCloseConnections: 'idle' })
  registerHealth(app, db)
  app.get('/metrics', async (_request, reply) => {
    reply.header('content-type', METRICS_TYPE).header('cache-control', 'no-store')
    return figures.text()
  })
  return app
}
