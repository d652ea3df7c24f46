import type { FastifyInstance } from 'fastify'
import { sendText } from './answer.ts'
import type { PageParts } from './parts.ts'
import type { PageTools } from './preferences.ts'
import { posterOf } from './request.ts'
import { soonEnough } from './without-database.ts'

/**
 * `POST /u/{token}`, the mail program's one-click unsubscribe (RFC 8058). Idempotent, never a redirect, whatever the
 * body says: the token is the whole authority, and it only refuses. While the database is away it is noted on disk.
 */
export function registerOneClick(app: FastifyInstance, parts: PageParts, { noted }: PageTools): void {
  app.post('/u/*', async (request, reply) => {
    const token = (request.params as { '*': string })['*']
    await parts.links.learnKeys(token)
    const opened = parts.links.openOneClick(token)
    if (!opened) return sendText(reply, 404, 'This link is not valid.')
    const { profileId, messageId } = opened
    const { ip, userAgent } = posterOf(request)
    try {
      const isHeard = await soonEnough(unsubscribe(profileId, messageId, ip, userAgent))
      if (isHeard) return sendText(reply, 200, 'You are unsubscribed.')
      return sendText(reply, 410, 'We hold nothing about this message any more, so there was nothing to unsubscribe.')
    } catch (error) {
      const whose = { profileId, messageId, ip, userAgent: userAgent ?? null }
      const refused = { level: 'oneclick' as const, lists: [], templates: [], sms: false }
      if (!noted.note({ via: 'one_click', place: '/u', ...whose, ...refused })) throw error
      return sendText(reply, 202, 'Noted. You will be unsubscribed in a moment.')
    }
  })

  /** @returns whether the refusal is in force: for the person, or for the address that the message went to */
  async function unsubscribe(
    profileId: number,
    messageId: number,
    ip: string,
    userAgent: string | undefined,
  ): Promise<boolean> {
    const { oneclick_level: to } = await parts.settings.get()
    const link = { profileId, messageId }
    const { heard } = await parts.refusals.refuse(link, {
      act: {
        via: 'one_click',
        evidence: 2,
        reason: 'Unsubscribe-email',
        messageId,
        ip,
        ...(userAgent ? { userAgent } : {}),
        url: '/u',
      },
      level: { to, mode: 'tighten' },
    })
    return heard
  }
}
