import type { FastifyError, FastifyInstance, FastifyRequest } from 'fastify'
import { scoreOf } from '../activity/machine.ts'
import { createRecorder } from '../activity/record.ts'
import { sendPage } from '../pages/answer.ts'
import { loadBuiltIn } from '../pages/built-in.ts'
import { notice } from '../pages/notices.ts'
import { registerClick } from './click.ts'
import type { TrackingParts } from './parts.ts'
import { registerPixel } from './pixel.ts'
import { registerView } from './view.ts'

/** Most bytes of a form, of which the only one has a single button. */
const FORM_BYTES = 4_096

/**
 * Where tracked links, open pixels and views in the browser lead. A redirect reads nothing and waits for nothing: what
 * it needs is in the token, and what was seen is written afterwards. GET changes no consent.
 */
export function registerTracking(app: FastifyInstance, parts: TrackingParts): void {
  const builtIn = loadBuiltIn()
  const recorder = createRecorder(parts)
  app.addHook('onClose', () => recorder.close())
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: FORM_BYTES }, (_request, body, done) =>
      done(null, body),
    )
    scope.setErrorHandler(async (error: FastifyError, request, reply) => {
      const known = error.statusCode !== undefined && error.statusCode < 500
      // The address is a key: only the route goes to the log.
      if (!known)
        parts.log.error({ err: error, method: request.method, route: request.routeOptions.url }, 'page failed')
      return sendPage(reply, await notice(parts, builtIn, known ? 'unreadable' : 'unavailable'))
    })
    const tools = {
      builtIn,
      recorder,
      scoreOf: (type: 'open' | 'click', request: FastifyRequest) => score(type, request),
    }
    registerClick(scope, parts, tools)
    registerPixel(scope, parts, tools)
    registerView(scope, parts, tools)
  })
}

function score(type: 'open' | 'click', { method, headers }: FastifyRequest): number {
  const first = (name: string) => {
    const value = headers[name]
    return Array.isArray(value) ? value[0] : value
  }
  return scoreOf(type, {
    method,
    userAgent: first('user-agent') ?? '',
    acceptLanguage: first('accept-language'),
    purpose: first('sec-purpose') ?? first('purpose') ?? first('x-purpose') ?? first('x-moz'),
  })
}
