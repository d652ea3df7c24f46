import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Page, sendBack, sendPage, sendText } from './answer.ts'
import type { BuiltIn } from './built-in.ts'
import { onlyRefusals, readChoices } from './choices.ts'
import { fieldOf, readForm } from './form.ts'
import { openForm } from './form-token.ts'
import { notice } from './notices.ts'
import type { PageParts } from './parts.ts'
import { type Reached, reachByHash, reachByMessage, reachByToken, type Unreached } from './reach.ts'
import { renderPreferences } from './render.ts'
import { posterOf, searchOf } from './request.ts'
import { saveChoices, undoSave } from './save.ts'
import { openSaved, type Saved, sealSaved } from './save-token.ts'
import type { PageCache } from './store.ts'
import type { Visit, WantedVisit } from './visit.ts'

/** What the routes of the hosted pages share. */
export interface PageTools {
  builtIn: BuiltIn
  pages: PageCache
  visits: (wanted: WantedVisit) => Promise<Visit>
}

type Reach = (request: FastifyRequest) => Promise<Reached | Unreached>

/** Names under which the built-in preference page answers, when the account has no page of that name. */
const BUILT_IN_NAMES = new Set(['optout', 'manage'])

/**
 * The preference pages: `/oc/{message}/{hash}` and `/manage/{page}`, and the same page behind GET of `/u/{token}`,
 * whose POST is the mail program's one-click unsubscribe (RFC 8058).
 */
export function registerPreferences(app: FastifyInstance, parts: PageParts, tools: PageTools): void {
  const byMessage: Reach = (request) => {
    const { message, '*': rest } = request.params as { message: string; '*': string }
    return reachByMessage(parts, message, rest, searchOf(request))
  }
  const byHash: Reach = (request) => reachByHash(parts, (request.params as { page: string }).page, searchOf(request))
  const byToken: Reach = (request) => reachByToken(parts, (request.params as { '*': string })['*'], searchOf(request))

  app.get('/oc/:message/*', (request, reply) => show(byMessage, request, reply))
  app.post('/oc/:message/*', (request, reply) => save(byMessage, request, reply))
  app.get('/manage/:page', (request, reply) => show(byHash, request, reply))
  app.post('/manage/:page', (request, reply) => save(byHash, request, reply))
  app.get('/u/*', (request, reply) => show(byToken, request, reply))
  app.post('/u/*', oneClick)

  async function show(reach: Reach, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const found = await find(reach, request)
    if (!('visit' in found)) return sendPage(reply, found)
    const { reached, visit } = found
    const saved = openSaved(parts.signingKeys, reached.saved, visit.person?.id ?? null, parts.clock.now())
    const after = saved && { saved, token: reached.saved! }
    return sendPage(
      reply,
      await renderPreferences(parts, tools, { reached, visit, ...(after ? { saved: after } : {}) }),
    )
  }

  async function save(reach: Reach, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const found = await find(reach, request)
    if (!('visit' in found)) return sendPage(reply, found)
    const { reached, visit } = found
    const posted = await readForm(request.body as Buffer | null, request.headers['content-type'] ?? '')
    if (!posted.ok) {
      const options = { paragraph: posted.problem, back: reached.path }
      return sendPage(reply, await notice(parts, tools.builtIn, 'unreadable', options))
    }
    const { fields } = posted
    const now = parts.clock.now()
    const profileId = visit.person?.id ?? null
    const undo = fieldOf(fields, 'undo')
    if (undo !== null) {
      const saved = openSaved(parts.signingKeys, undo, profileId, now)
      if (!saved) return sendBack(reply, reached.path)
      return back(reply, reached, await undoSave(parts, reached, visit, saved, posterOf(request)))
    }
    const opened = openForm(parts.signingKeys, fieldOf(fields, '_fl'), { page: reached.page, profileId, now })
    const wanted = readChoices(fields, opened.state === 'bad' ? undefined : opened.form)
    if (opened.state === 'fresh') {
      const form = { token: opened.form, issuedAt: opened.issuedAt }
      const saved = await saveChoices(parts, reached, visit, wanted, form, posterOf(request))
      // Only a page that tells the whole truth may be skipped: "saved" is all that a page elsewhere can say.
      const onward = saved.result === 'saved' && saved.stayed.length === 0 ? wanted.redirect : null
      if (onward !== null && (await leadsTo(reached, visit)).includes(onward)) return sendBack(reply, onward)
      return back(reply, reached, saved)
    }
    // Too old, or not from one of our pages: what makes less mail counts, the rest is asked again.
    await saveChoices(parts, reached, visit, onlyRefusals(wanted), null, posterOf(request))
    const again = await tools.visits(wantedOf(reached))
    return sendPage(reply, await renderPreferences(parts, tools, { reached, visit: again, stale: wanted }))
  }

  async function leadsTo({ page }: Reached, { pageRevision }: Visit): Promise<readonly string[]> {
    return pageRevision === null ? [] : ((await tools.pages.at(page, pageRevision))?.redirects ?? [])
  }

  function back(reply: FastifyReply, reached: Reached, saved: Saved): FastifyReply {
    const token = sealSaved(parts.signingKeys, saved, parts.clock.now())
    return sendBack(reply, `${reached.path}${reached.path.includes('?') ? '&' : '?'}saved=${token}`)
  }

  /** Who stands behind the link, or the page that says why nobody does. */
  async function find(reach: Reach, request: FastifyRequest): Promise<{ reached: Reached; visit: Visit } | Page> {
    const reached = await reach(request)
    if ('problem' in reached) {
      return notice(parts, tools.builtIn, reached.problem === 'expired' ? 'expired' : 'invalid')
    }
    const visit = await tools.visits(wantedOf(reached))
    if (visit.pageRevision === null && !BUILT_IN_NAMES.has(reached.page)) {
      return notice(parts, tools.builtIn, 'unknown')
    }
    if (!visit.person && reached.email === null) return notice(parts, tools.builtIn, 'erased')
    return { reached, visit }
  }

  /** Idempotent, never a redirect, whatever the body says: the token is the whole authority, and it only refuses. */
  async function oneClick(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const token = (request.params as { '*': string })['*']
    await parts.links.learnKeys(token)
    const opened = parts.links.openOneClick(token)
    if (!opened) return sendText(reply, 404, 'This link is not valid.')
    const { oneclick_level: to } = await parts.settings.get()
    const { ip, userAgent } = posterOf(request)
    await parts.profiles.change({
      person: { kind: 'id', value: opened.profileId },
      create: false,
      act: {
        via: 'one_click',
        evidence: 2,
        reason: 'Unsubscribe-email',
        messageId: opened.messageId,
        ip,
        ...(userAgent ? { userAgent } : {}),
        url: '/u',
      },
      level: { to, mode: 'tighten' },
    })
    return sendText(reply, 200, 'You are unsubscribed.')
  }
}

const wantedOf = (reached: Reached): WantedVisit => ({
  profileId: reached.profileId ?? 0,
  messageId: reached.messageId,
  page: reached.page,
})
