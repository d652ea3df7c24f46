import { dataOf } from '@fairlead/zephyr'
import type { FastifyInstance } from 'fastify'
import { openToken } from '../links/tokens.ts'
import { type Page, sendBack, sendPage } from './answer.ts'
import { notice } from './notices.ts'
import type { PageParts } from './parts.ts'
import type { PageTools } from './preferences.ts'
import { basePath } from './reach.ts'
import { OWN_STYLES } from './render.ts'
import { searchOf } from './request.ts'
import type { StoredPage } from './store.ts'
import { commonOf, withoutOurs } from './view.ts'

const SIGNUP_CONFIRM = 'signup-confirm'

/** `/page/{page}`, pages without a form, and the short `/{page}` that leads to a page of any type. */
export function registerOther(app: FastifyInstance, parts: PageParts, tools: PageTools): void {
  app.get('/page/:page', async (request, reply) => {
    const { page: name } = request.params as { page: string }
    return sendPage(reply, await show(name, searchOf(request)))
  })

  app.post('/page/:page', async (_request, reply) => {
    reply.header('allow', 'GET, HEAD')
    return sendPage(reply, await notice(parts, tools.builtIn, 'method'))
  })

  app.get('/:page', async (request, reply) => {
    const { page: name } = request.params as { page: string }
    const page = /^[A-Za-z0-9-]+$/.test(name) ? await tools.pages.current(name) : null
    if (!page) return reply.callNotFound()
    const search = searchOf(request).toString()
    const folder = page.type === 'manage' ? 'manage' : 'page'
    const place = `${basePath(parts.config.publicUrl)}/${folder}/${page.name}${search && `?${search}`}`
    return sendBack(reply, place)
  })

  async function show(name: string, search: URLSearchParams): Promise<Page> {
    const thanks = thanksOf(search.get('for'))
    const stored = await storedOther(name)
    const own = stored && (await renderOwn(stored, search, thanks))
    if (own) return { status: 200, html: own, styles: OWN_STYLES }
    // A confirmation that named a page which is gone still ends in thanks.
    if (name !== SIGNUP_CONFIRM && !thanks) return notice(parts, tools.builtIn, 'unknown')
    const page = {
      ...commonOf(parts.config.from, await parts.settings.get()),
      optout: thanks?.optout ?? null,
      lists: thanks?.labels ?? [],
    }
    const data = dataOf({ named: { page } })
    return { status: 200, html: tools.builtIn.render(SIGNUP_CONFIRM, data), styles: tools.builtIn.styles }
  }

  async function storedOther(name: string): Promise<StoredPage | null> {
    try {
      const page = await tools.pages.current(name)
      return page?.type === 'other' ? page : null
    } catch (error) {
      parts.log.error({ err: error, page: name }, 'a page cannot be read')
      if (name !== SIGNUP_CONFIRM) throw error
      return null
    }
  }

  async function renderOwn(
    page: StoredPage,
    search: URLSearchParams,
    thanks: { lists: string[] } | null,
  ): Promise<string | null> {
    const { timezone } = await parts.settings.get()
    search.delete('for')
    const data = dataOf({
      request: withoutOurs(Object.fromEntries(search)),
      form: { form: { values: {}, errors: {} }, result: null, signup_lists: thanks?.lists ?? [] },
      named: { page: { name: page.name, type: 'other' } },
    })
    try {
      return page.template.render(data, { now: parts.clock.now().getTime() / 1000, timeZone: timezone })
    } catch (error) {
      parts.log.error({ err: error, page: page.name }, 'a page cannot be shown')
      return null
    }
  }

  /** What a confirmation told its thank-you page. */
  function thanksOf(token: string | null): { lists: string[]; labels: string[]; optout: string | null } | null {
    const opened = token === null ? null : openToken(parts.signingKeys, 'thanks', token, parts.clock.now())
    if (!opened?.ok) return null
    const [lists, labels, messageId, profileId] = opened.content as [string[], string[], number | null, number]
    return { lists, labels, optout: messageId === null ? null : parts.links.optoutPage({ messageId, profileId }) }
  }
}
