import type { FastifyError, FastifyInstance } from 'fastify'
import { registerAddress } from './address.ts'
import { sendPage, sendText } from './answer.ts'
import { loadBuiltIn } from './built-in.ts'
import { registerConfirm } from './confirm.ts'
import { FORM_BYTES } from './form.ts'
import { registerFreshLink } from './fresh-link.ts'
import { createNotedRefusals } from './noted.ts'
import { notice } from './notices.ts'
import { registerOneClick } from './one-click.ts'
import { registerOther } from './other.ts'
import type { PageParts } from './parts.ts'
import { type PageTools, registerPreferences } from './preferences.ts'
import { createPageCache } from './store.ts'
import { createVisits } from './visit.ts'

/**
 * The hosted pages, on the public listener. They work without scripts and cookies: the link is the only authority, and
 * no GET changes anything.
 */
export function registerPages(app: FastifyInstance, parts: PageParts): void {
  const tools: PageTools = {
    builtIn: loadBuiltIn(),
    pages: createPageCache(parts.db),
    visits: createVisits(parts.db),
    noted: createNotedRefusals(parts),
  }
  app.addHook('onReady', async () => tools.noted.start())
  app.addHook('onClose', () => tools.noted.stop())
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: FORM_BYTES }, (_request, body, done) =>
      done(null, body),
    )
    scope.setErrorHandler(async (error: FastifyError, request, reply) => {
      const known = error.statusCode !== undefined && error.statusCode < 500
      // The address of a hosted page is a key: only the route goes to the log.
      if (!known)
        parts.log.error({ err: error, method: request.method, route: request.routeOptions.url }, 'page failed')
      if (request.method === 'POST' && request.routeOptions.url === '/u/*') {
        reply.header('retry-after', '30')
        return sendText(reply, known ? error.statusCode! : 503, known ? 'Bad request.' : 'Please try again.')
      }
      const name = error.code === 'FST_ERR_CTP_BODY_TOO_LARGE' ? 'toolarge' : known ? 'unreadable' : 'unavailable'
      return sendPage(reply, await notice(parts, tools.builtIn, name))
    })
    registerPreferences(scope, parts, tools)
    registerOneClick(scope, parts, tools)
    registerConfirm(scope, parts, tools)
    registerAddress(scope, parts, tools)
    registerFreshLink(scope, parts, tools)
    registerOther(scope, parts, tools)
  })
}
