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
      await soonEnough(unsubscribe(profileId, messageId, ip, userAgent))
      return sendText(reply, 200, 'You are unsubscribed.')
    } catch (error) {
      const whose = { profileId, messageId, ip, userAgent: userAgent ?? null }
      const refused = { level: 'oneclick' as const, lists: [], templates: [], sms: false }
      if (!noted.note({ via: 'one_click', place: '/u', ...whose, ...refused })) throw error
      return sendText(reply, 202, 'Noted. You will be unsubscribed in a moment.')
    }
  })

  async function unsubscribe(
    profileId: number,
    messageId: number,
    ip: string,
    userAgent: string | undefined,
  ): Promise<void> {
    const { oneclick_level: to } = await parts.settings.get()
    await parts.profiles.change({
      person: { kind: 'id', value: profileId },
      create: false,
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
  }
}
