import type { FastifyInstance } from 'fastify'
import type { TrackingParts } from './parts.ts'
import { type TrackingTools, tokenOf } from './tools.ts'

/** One transparent pixel. */
const PIXEL = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64')

/** `/o/{token}.gif`: says that a message was opened. Asked for anew at every opening. */
export function registerPixel(app: FastifyInstance, { links, clock }: TrackingParts, tools: TrackingTools): void {
  app.get('/o/*', async (request, reply) => {
    const token = tokenOf(request).replace(/\.gif$/, '')
    await links.learnKeys(token)
    const message = links.tracked.openPixel(token)
    reply.headers({
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'x-robots-tag': 'noindex',
      'cross-origin-resource-policy': 'cross-origin',
    })
    if (!message) return reply.code(404).send()
    if (!message.isTest) {
      const score = tools.scoreOf('open', request)
      const seen = { type: 'open', link: null, url: null, acts: null } as const
      tools.recorder.record({ ...seen, messageId: message.id, score, at: clock.now() })
    }
    return reply.type('image/gif').send(PIXEL)
  })
}
