import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { findMoved } from '../profiles/moved.ts'
import { type Answer, type Page, sendAnswer, sendPage } from './answer.ts'
import type { BuiltIn } from './built-in.ts'
import { onlyRefusals, readChoices } from './choices.ts'
import { type Fields, fieldOf, readForm } from './form.ts'
import { openForm } from './form-token.ts'
import type { NotedRefusals } from './noted.ts'
import { notice } from './notices.ts'
import type { PageParts } from './parts.ts'
import { OPTOUT, type Reached, reachByHash, reachByMessage, reachByToken, type Unreached } from './reach.ts'
import { type RefusingLink, refusalIn } from './refusal.ts'
import { renderPreferences } from './render.ts'
import { posterOf, searchOf } from './request.ts'
import { type Poster, partsOf, saveChoices, undoSave } from './save.ts'
import { openSaved, type Saved, sealSaved } from './save-token.ts'
import type { PageCache } from './store.ts'
import type { Visit, WantedVisit } from './visit.ts'
import { soonEnough } from './without-database.ts'

/** What the routes of the hosted pages share. */
export interface PageTools {
  builtIn: BuiltIn
  pages: PageCache
  visits: (wanted: WantedVisit) => Promise<Visit>
  noted: NotedRefusals
}

type Reach = (request: FastifyRequest) => Promise<Reached | Unreached>

/** Names under which the built-in preference page answers, when the account has no page of that name. */
const BUILT_IN_NAMES = new Set(['optout', 'manage'])

/**
 * The preference pages: `/oc/{message}/{hash}` and `/manage/{page}`, and the same page behind GET of `/u/{token}`. A
 * form that comes while the database is away is answered all the same, as far as it refuses mail.
 */
export function registerPreferences(app: FastifyInstance, parts: PageParts, tools: PageTools): void {
  const byMessage: Reach = (request) => {
    const { message, '*': rest } = request.params as { message: string; '*': string }
    return reachByMessage(parts, message, rest, searchOf(request))
  }
  const messageLink = (request: FastifyRequest): RefusingLink | null => {
    const { message, '*': rest } = request.params as { message: string; '*': string }
    const link = parts.links.openOptoutPage(message, rest)
    return link && { ...link, page: OPTOUT, place: '/oc' }
  }
  const pageLink = (request: FastifyRequest): RefusingLink => {
    const { page } = request.params as { page: string }
    return { page, place: `/manage/${page}`, profileId: null, messageId: null }
  }
  const byHash: Reach = (request) => reachByHash(parts, (request.params as { page: string }).page, searchOf(request))
  const byToken: Reach = (request) => reachByToken(parts, (request.params as { '*': string })['*'], searchOf(request))

  app.get('/oc/:message/*', (request, reply) => show(byMessage, request, reply))
  app.post('/oc/:message/*', (request, reply) => save(byMessage, messageLink, request, reply))
  app.get('/manage/:page', (request, reply) => show(byHash, request, reply))
  app.post('/manage/:page', (request, reply) => save(byHash, pageLink, request, reply))
  app.get('/u/*', (request, reply) => show(byToken, request, reply))

  async function show(reach: Reach, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const found = await find(reach, request)
    if (!('visit' in found)) return sendPage(reply, found)
    const { reached, visit } = found
    if (isNobody(found))
      return sendPage(reply, await notice(parts, tools.builtIn, 'erased', { refuseAt: reached.path }))
    const saved = openSaved(parts.signingKeys, reached.saved, peopleOf(found), parts.clock.now())
    const after = saved && { saved, token: reached.saved! }
    return sendPage(
      reply,
      await renderPreferences(parts, tools, { reached, visit, ...(after ? { saved: after } : {}) }),
    )
  }

  async function save(
    reach: Reach,
    refusing: (request: FastifyRequest) => RefusingLink | null,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    try {
      return sendAnswer(reply, await soonEnough(answerTo(reach, request)))
    } catch (error) {
      const link = refusing(request)
      const refusal = link && (await refusalIn(parts, link, request))
      if (!refusal || !tools.noted.note(refusal)) throw error
      return sendPage(reply, await notice(parts, tools.builtIn, 'noted'))
    }
  }

  async function answerTo(reach: Reach, request: FastifyRequest): Promise<Answer> {
    const found = await find(reach, request)
    if (!('visit' in found)) return found
    const { reached, visit } = found
    const posted = await readForm(request.body as Buffer | null, request.headers['content-type'] ?? '')
    if (!posted.ok) {
      const options = { paragraph: posted.problem, back: reached.path }
      return notice(parts, tools.builtIn, 'unreadable', options)
    }
    const { fields } = posted
    if (isNobody(found)) return refuseForNobody(reached, fields, posterOf(request))
    const now = parts.clock.now()
    const undo = fieldOf(fields, 'undo')
    if (undo !== null) {
      const saved = openSaved(parts.signingKeys, undo, peopleOf(found), now)
      if (!saved) return { goTo: reached.path }
      return after(reached, await undoSave(parts, reached, visit, saved, posterOf(request)))
    }
    const opened = openForm(parts.signingKeys, fieldOf(fields, '_fl'), { page: reached.page, now })
    const form = opened.state !== 'bad' && (await isTheirs(opened.form.profileId, found)) ? opened.form : null
    const wanted = readChoices(fields, form ?? undefined)
    if (form && opened.state === 'fresh') {
      const saved = await saveChoices(parts, reached, visit, wanted, form, posterOf(request))
      // Only a page that tells the whole truth may be skipped: "saved" is all that a page elsewhere can say.
      const onward = saved.result === 'saved' && saved.stayed.length === 0 ? wanted.redirect : null
      if (onward !== null && (await leadsTo(reached, visit)).includes(onward)) return { goTo: onward }
      return after(reached, saved)
    }
    // Too old, or not from one of our pages: what makes less mail counts, the rest is asked again.
    await saveChoices(parts, reached, visit, onlyRefusals(wanted), null, posterOf(request))
    const again = await tools.visits(wantedOf(reached))
    return renderPreferences(parts, tools, { reached, visit: again, stale: wanted })
  }

  async function leadsTo({ page }: Reached, { pageRevision }: Visit): Promise<readonly string[]> {
    return pageRevision === null ? [] : ((await tools.pages.at(page, pageRevision))?.redirects ?? [])
  }

  function after(reached: Reached, saved: Saved): Answer {
    const token = sealSaved(parts.signingKeys, saved, parts.clock.now())
    return { goTo: `${reached.path}${reached.path.includes('?') ? '&' : '?'}saved=${token}` }
  }

  /** Whether a form was rendered for the person of a page, or for somebody who became part of them since. */
  async function isTheirs(profileId: number | null, found: { reached: Reached; visit: Visit }): Promise<boolean> {
    if (peopleOf(found).includes(profileId)) return true
    if (profileId === null || !found.visit.person) return false
    return (await findMoved(parts.db, [profileId])).get(profileId)?.profileId === found.visit.person.id
  }

  /** Who stands behind the link, or the page that says why nobody does. */
  async function find(reach: Reach, request: FastifyRequest): Promise<{ reached: Reached; visit: Visit } | Page> {
    const reached = await reach(request)
    if ('problem' in reached) {
      return notice(parts, tools.builtIn, reached.problem === 'expired' ? 'expired' : 'invalid')
    }
    const visit = await visitOf(reached)
    if (visit.pageRevision === null && !BUILT_IN_NAMES.has(reached.page)) {
      return notice(parts, tools.builtIn, 'unknown')
    }
    return { reached, visit }
  }

  /** The person of the link, or the survivor of their merge, or else whoever has the address of the message now. */
  async function visitOf(reached: Reached): Promise<Visit> {
    const visit = await tools.visits(wantedOf(reached))
    if (visit.person || reached.profileId === null || reached.messageId === null) return visit
    const { profileId, messageId } = reached
    const owner = await parts.refusals.ownerOf({ profileId, messageId })
    return owner === null ? visit : tools.visits({ ...wantedOf(reached), profileId: owner })
  }

  /** A link of mail to somebody who was erased, and whose address nobody has: a refusal is kept with the address. */
  async function refuseForNobody(reached: Reached, fields: Fields, poster: Poster): Promise<Page> {
    const { profileId, messageId, path, place, page } = reached
    const opened = openForm(parts.signingKeys, fieldOf(fields, '_fl'), { page, now: parts.clock.now() })
    const form = opened.state !== 'bad' && opened.form.profileId === profileId ? opened.form : undefined
    const refused = await partsOf(parts, onlyRefusals(readChoices(fields, form)))
    if (Object.keys(refused).length === 0 || profileId === null) {
      return notice(parts, tools.builtIn, 'erased', { refuseAt: path })
    }
    const { ip, userAgent } = poster
    const act = { via: 'hosted_page', evidence: 2, ip, url: place, ...(userAgent ? { userAgent } : {}) } as const
    const seen = messageId === null ? act : { ...act, messageId }
    const { heard } = await parts.refusals.refuse({ profileId, messageId }, { act: seen, ...refused })
    return notice(parts, tools.builtIn, heard ? 'refused' : 'forgotten')
  }
}

const isNobody = ({ reached, visit }: { reached: Reached; visit: Visit }) => !visit.person && reached.email === null

/** The person of a page, and the one that its link names, of whom they may be the survivor. */
const peopleOf = ({ reached, visit }: { reached: Reached; visit: Visit }): Array<number | null> => [
  visit.person?.id ?? null,
  ...(visit.person ? [reached.profileId] : []),
]

const wantedOf = (reached: Reached): WantedVisit => ({
  profileId: reached.profileId ?? 0,
  messageId: reached.messageId,
  page: reached.page,
})
