import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { parseAddress } from '../profiles/address.ts'
import { findProfile } from '../profiles/read.ts'
import { enqueue } from '../sends/enqueue.ts'
import { sendPage } from './answer.ts'
import { mailConfirmation } from './confirmation-mail.ts'
import { fieldOf, readForm } from './form.ts'
import { FRESH_LINK, notice } from './notices.ts'
import { ownMail } from './own-mails.ts'
import type { PageParts } from './parts.ts'
import type { PageTools } from './preferences.ts'
import { posterOf } from './request.ts'
import { createThrottle } from './throttle.ts'

/** Every answer takes at least this long, in ms, so that the time does not tell whom we know. */
const PACE = 400
/** One mail to a person in this span, in ms. */
const SPAN = 6 * 3_600_000
/** Requests from one network that are followed in ten minutes. */
const FOLLOWED = { most: 60, within: 600_000 }

/**
 * `POST /oc`: somebody whose link does not work any more asks for a fresh one by typing their address. Anybody can type
 * any address, so the answer is the same for all of them, and what can be learned or changed comes by mail only.
 */
export function registerFreshLink(app: FastifyInstance, parts: PageParts, tools: PageTools): void {
  const throttle = createThrottle(FOLLOWED, () => parts.clock.now().getTime())

  app.post(FRESH_LINK, async (request, reply) => {
    const pace = sleep(PACE)
    const posted = await readForm(request.body as Buffer | null, request.headers['content-type'] ?? '')
    const address = posted.ok ? parseAddress(fieldOf(posted.fields, 'email') ?? '') : null
    const [page] = await Promise.all([
      notice(parts, tools.builtIn, 'requested'),
      address && throttle.allows(posterOf(request).ip) ? mailLink(address.lookup) : null,
      pace,
    ])
    return sendPage(reply, page)
  })

  /** To people who take no mail at all goes the one message that may reach them, within its own limit. */
  async function mailLink(lookup: string): Promise<void> {
    const person = await findProfile(parts.db, { kind: 'email', value: lookup })
    if (!person?.email) return
    const now = parts.clock.now()
    const dedupeKey = `link:${person.id}:${Math.floor(now.getTime() / SPAN)}`
    if (person.level === 'all') {
      await mailConfirmation(parts, person.id, person.email, dedupeKey)
      return
    }
    const mail = await ownMail(parts, 'Preference Link', { profileId: person.id, address: person.email, dedupeKey })
    if (mail) await enqueue(parts.db, [mail], { now, settings: await parts.settings.get() })
  }
}
