import { setTimeout as sleep } from 'node:timers/promises'
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import own from '../../package.json' with { type: 'json' }
import { registerDocs } from '../api/docs-page.ts'
import { appOptions, defaultBodyLimit, defaultFileLimit, registerApi } from '../api/door.ts'
import { apiEndpoints } from '../api/endpoints/index.ts'
import { documentedLimits, type RateLimits } from '../api/rate-limit.ts'
import { registerPages } from '../pages/door.ts'
import { OperatorError } from '../platform/operator-error.ts'
import type { Services } from '../services.ts'
import { healthCheck } from './health.ts'

/** A role at work in this process. */
export interface RunningRole {
  /** Takes no more work, finishes or gives back what it holds. */
  close(): Promise<void>
}

/** Requests still unanswered this long after the close began are cut off, in ms. */
const FINISH_WITHIN = 4_000
/** The port of a Fairlead that was killed is free again within a second; a port in use stays in use. */
const PORT_PATIENCE = 2_000

/** Starts the public listener. `address` is where it listens: `http://127.0.0.1:8080`. */
export async function startWeb(services: Services): Promise<RunningRole & { address: string }> {
  const app = buildWeb(services)
  const address = await listen(app, services.config.host, services.config.port)
  return {
    address,
    async close() {
      const cut = setTimeout(() => app.server.closeAllConnections(), FINISH_WITHIN)
      await app.close()
      clearTimeout(cut)
    },
  }
}

/** All routes of the public listener, not yet listening. */
export function buildWeb(services: Services): FastifyInstance {
  const { config, db, clock, log, apiKeys } = services
  const app: FastifyInstance = fastify({
    ...appOptions(),
    trustProxy: trusted(config.trustProxy),
    loggerInstance: log as FastifyBaseLogger,
    forceCloseConnections: 'idle',
  })
  const healthy = healthCheck(db)
  app.get('/healthz', async (_request, reply) => {
    const ok = await healthy()
    reply.header('cache-control', 'no-store').code(ok ? 200 : 503)
    return { service: 'fairlead', status: ok ? 'ok' : 'database unavailable' }
  })
  const endpoints = apiEndpoints(services)
  registerPages(app, services)
  registerDocs(app, endpoints, own.version, config.publicUrl)
  registerApi(app, {
    endpoints,
    keys: apiKeys,
    clock,
    rateLimits: currentLimits(services),
    bodyLimit: defaultBodyLimit,
    fileLimit: defaultFileLimit,
    spoolFolder: config.dataDir,
  })
  return app
}

/** Fastify takes no number, since it cannot know who reaches the port; an operator who gives one does. */
function trusted(
  proxies: Services['config']['trustProxy'],
): false | string[] | ((from: string, hop: number) => boolean) {
  return typeof proxies === 'number' ? (_from, hop) => hop < proxies : (proxies ?? false)
}

/** The documented limits, or none: as the setting says, which is read beside the requests and holds up none. */
function currentLimits({ settings }: Services): RateLimits {
  let isOn = true
  return {
    ...documentedLimits,
    get enabled() {
      settings.get().then(
        ({ rate_limits }) => {
          isOn = rate_limits
        },
        () => {},
      )
      return isOn
    },
  }
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  const deadline = Date.now() + PORT_PATIENCE
  for (;;) {
    try {
      return await app.listen({ host, port })
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EADDRINUSE' && Date.now() < deadline) await sleep(100)
      else throw problemWith(host, port, code) ?? error
    }
  }
}

function problemWith(host: string, port: number, code: string | undefined): OperatorError | null {
  const where = `${host}:${port}`
  if (code === 'EADDRINUSE') {
    return new OperatorError(
      `port ${port} on ${host} is in use by another program: stop it, or choose another FAIRLEAD_PORT`,
    )
  }
  if (code === 'EACCES')
    return new OperatorError(`not allowed to listen on ${where}: choose a FAIRLEAD_PORT above 1023`)
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return new OperatorError(`${host} (FAIRLEAD_HOST) is not an address of this machine`)
  }
  return null
}
