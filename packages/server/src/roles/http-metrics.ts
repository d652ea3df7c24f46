import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Metrics, QUICK } from '../platform/metrics.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** Code of the API error that was answered; 0: none. */
    apiError?: number
  }
}

/**
 * Counts what the public listener answers, by route and never by address: a route is a pattern such as `/oc/:message`.
 *
 * @param endpoints of the API; some callers reach them by addresses that match no route
 */
export function countRequests(app: FastifyInstance, metrics: Metrics, endpoints: readonly string[]): void {
  const requests = metrics.counter('fairlead_http_requests_total', 'Answers, with the API error if it was one', [
    'route',
    'method',
    'status',
    'error',
  ])
  const seconds = metrics.histogram(
    'fairlead_http_request_seconds',
    'From the request to the end of its answer',
    QUICK,
    ['route'],
  )
  const known = new Set(endpoints)

  function routeOf(request: FastifyRequest): string {
    const { url } = request.routeOptions
    if (url !== undefined) return url
    const path = request.url.replace(/\?.*$/s, '').replace(/^\/+|\/+$/g, '')
    return known.has(path) ? `/${path}` : 'other'
  }

  app.addHook('onResponse', (request, reply, done) => {
    const route = routeOf(request)
    requests.of(route, request.method, String(reply.statusCode), String(reply.apiError ?? 0)).value += 1
    seconds.of(route).observe(reply.elapsedTime / 1_000)
    done()
  })
}
