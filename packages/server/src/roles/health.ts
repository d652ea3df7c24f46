import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { type Database, isReachable } from '../platform/database.ts'

const PATIENCE = 2_000

/**
 * A check whether the database answers within two seconds. Checks that come while one is under way share it, so that a
 * database that hangs is not buried under questions.
 */
export function healthCheck(db: Database): () => Promise<boolean> {
  let underWay: Promise<boolean> | null = null
  return async () => {
    underWay ??= isReachable(db).finally(() => {
      underWay = null
    })
    const timer = new AbortController()
    const late = sleep(PATIENCE, false, { signal: timer.signal }).catch(() => false)
    const healthy = await Promise.race([underWay, late])
    timer.abort()
    return healthy
  }
}

/** Serves `GET /healthz`: 200 when the database answers, else 503. */
export function registerHealth(app: FastifyInstance, db: Database): void {
  const healthy = healthCheck(db)
  app.get('/healthz', async (_request, reply) => {
    const ok = await healthy()
    reply.header('cache-control', 'no-store').code(ok ? 200 : 503)
    return { service: 'fairlead', status: ok ? 'ok' : 'database unavailable' }
  })
}
