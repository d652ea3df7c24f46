import { dataOf } from '@fairlead/zephyr'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { maskAddress } from '../profiles/address.ts'
import { openAddressLink, useAddressLink } from './address-change.ts'
import { type Page, sendBack, sendPage } from './answer.ts'
import { notice } from './notices.ts'
import type { PageParts } from './parts.ts'
import type { PageTools } from './preferences.ts'
import { basePath } from './reach.ts'
import { posterOf } from './request.ts'
import { commonOf } from './view.ts'

/** `/a/{token}`: the links by which a new address is confirmed, or forbidden from the old one. POST acts, GET asks. */
export function registerAddress(app: FastifyInstance, parts: PageParts, tools: PageTools): void {
  const tokenOf = (request: FastifyRequest) => (request.params as { '*': string })['*']
  const urlOf = (token: string) => `${basePath(parts.config.publicUrl)}/a/${token}`
  const open = (token: string) =>
    openAddressLink(
      parts,
      token,
      async (profileId) => (await tools.visits({ profileId, messageId: null, page: '' })).person,
    )

  app.get('/a/*', async (request, reply) => sendPage(reply, await show(tokenOf(request))))

  app.post('/a/*', async (request, reply) => {
    const token = tokenOf(request)
    const opened = await open(token)
    if (opened.state === 'open') await useAddressLink(parts, opened, posterOf(request))
    return sendBack(reply, urlOf(token))
  })

  async function show(token: string): Promise<Page> {
    const opened = await open(token)
    if (opened.state !== 'open') return notice(parts, tools.builtIn, NOTICE[opened.state])
    const page = {
      ...commonOf(parts.config.from, await parts.settings.get()),
      role: opened.link.role,
      address: maskAddress(opened.address),
      present: maskAddress(opened.person.email),
      action: urlOf(token),
    }
    const html = tools.builtIn.render('address', dataOf({ named: { page } }))
    return { status: 200, html, styles: tools.builtIn.styles }
  }
}

const NOTICE = { taken: 'addresstaken', kept: 'addresskept', stale: 'addressstale', bad: 'invalid' } as const
