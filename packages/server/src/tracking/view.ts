import { escapeHtml } from '@fairlead/zephyr'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { showAgain } from '../delivery/show-again.ts'
import { PAGE_HEADERS, sendPage } from '../pages/answer.ts'
import { notice } from '../pages/notices.ts'
import type { TrackingParts } from './parts.ts'
import { type TrackingTools, tokenOf } from './tools.ts'

/** Styles and pictures as mail has them; no script, no form, no frame, and an origin of its own. */
const POLICY = [
  "default-src 'none'",
  "style-src 'unsafe-inline' https:",
  'img-src https: http: data:',
  'font-src https: data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  'sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation',
].join('; ')

/** `/v/{token}`, the message in the browser, and `/v/{token}/text`, its text part: for whoever has the mail. */
export function registerView(app: FastifyInstance, parts: TrackingParts, tools: TrackingTools): void {
  const { clock, db, histories, links, lists, sends, settings, templates } = parts
  const rendering = { db, histories, links, lists, templates, sendIdOf: sends.sendIdOf }

  app.get('/v/*', async (request, reply) => {
    const [token = '', part, ...more] = tokenOf(request).split('/')
    await links.learnKeys(token)
    const messageId = links.tracked.openView(token)
    const isText = part === 'text'
    if (messageId === null || more.length > 0 || (part !== undefined && !isText)) return nothing(reply)
    const env = { now: clock.now(), settings: await settings.get() }
    const shown = await showAgain(rendering, messageId, env)
    if (!shown) return nothing(reply)
    reply.headers({ ...PAGE_HEADERS, 'content-security-policy': POLICY })
    if (isText) return reply.type('text/plain; charset=utf-8').send(shown.text)
    const html =
      shown.html || `<!DOCTYPE html><title>${escapeHtml(shown.subject)}</title><pre>${escapeHtml(shown.text)}</pre>`
    return reply.type('text/html; charset=utf-8').send(html)
  })

  async function nothing(reply: FastifyReply): Promise<FastifyReply> {
    return sendPage(reply, await notice(parts, tools.builtIn, 'invalid'))
  }
}
