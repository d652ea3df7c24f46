import fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyRequest } from 'fastify'
import own from '../../package.json' with { type: 'json' }
import { createSeenSignatures } from '../account/seen-signatures.ts'
import { namesKnownKey } from '../api/authenticate.ts'
import { registerDocs } from '../api/docs-page.ts'
import { appOptions, defaultBodyLimit, defaultFileLimit, queryOf, registerApi } from '../api/door.ts'
import { apiEndpoints } from '../api/endpoints/index.ts'
import { documentedLimits, type RateLimits } from '../api/rate-limit.ts'
import { registerPages } from '../pages/door.ts'
import { loadHistories } from '../purchases/history.ts'
import type { Services } from '../services.ts'
import { registerTracking } from '../tracking/door.ts'
import { boundBodies } from './body-bytes.ts'
import { registerHealth } from './health.ts'
import { countRequests } from './http-metrics.ts'
import { closeListener, listen } from './listen.ts'
import { boundConnections, boundedServer, usualBounds } from './listener-bounds.ts'

/** A role at work in this process. */
export interface RunningRole {
  /** Takes no more work, finishes or gives back what it holds. */
  close(): Promise<void>
}

/** Starts the public listener. `address` is where it listens: `http://127.0.0.1:8080`. */
export async function startWeb(services: Services): Promise<RunningRole & { address: string }> {
  const app = buildWeb(services)
  const address = await listen(app, services.config.host, services.config.port, 'FAIRLEAD_PORT')
  return { address, close: () => closeListener(app) }
}

/** All routes of the public listener, not yet listening. */
export function buildWeb(services: Services, bounds = usualBounds): FastifyInstance {
  const { config, db, clock, log, apiKeys, metrics } = services
  const app: FastifyInstance = fastify({
    ...appOptions(),
    ...boundedServer(bounds),
    trustProxy: trusted(config.trustProxy),
    loggerInstance: log as FastifyBaseLogger,
    forceCloseConnections: 'idle',
  })
  boundConnections(app.server, bounds.connections, metrics)
  const isKnown = (request: FastifyRequest, first: Buffer) => namesKnownKey(first, queryOf(request), apiKeys)
  boundBodies(app, bounds, isKnown, defaultBodyLimit, metrics)
  const endpoints = apiEndpoints(services)
  countRequests(app, metrics, Object.keys(endpoints))
  registerHealth(app, db)
  registerPages(app, services)
  registerTracking(app, { ...services, histories: loadHistories })
  registerDocs(app, endpoints, own.version, config.publicUrl)
  registerApi(app, {
    endpoints,
    keys: apiKeys,
    clock,
    rateLimits: currentLimits(services),
    bodyLimit: defaultBodyLimit,
    fileLimit: defaultFileLimit,
    spoolFolder: config.dataDir,
    answerWithin: config.answerWithin * 1_000,
    rules: services.settings,
    signatures: createSeenSignatures(db, clock),
    metrics,
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
