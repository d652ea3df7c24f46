import { dataOf } from '@fairlead/zephyr'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sql } from 'kysely'
import { keepWording } from '../consent/ledger.ts'
import type { Confirm } from '../links/links.ts'
import { newTokenId, seal } from '../links/tokens.ts'
import { shardOfId } from '../platform/shard.ts'
import { writePostbacks } from '../postbacks/write.ts'
import { maskAddress } from '../profiles/address.ts'
import type { Act, ProfileChange } from '../profiles/change.ts'
import { previewChange } from '../profiles/preview.ts'
import { type Page, sendBack, sendPage } from './answer.ts'
import { type Also, applyChange } from './apply.ts'
import { mailFresh } from './confirmation-mail.ts'
import { fieldOf, readForm } from './form.ts'
import { notice } from './notices.ts'
import type { PageParts } from './parts.ts'
import type { PageTools } from './preferences.ts'
import { basePath } from './reach.ts'
import { posterOf } from './request.ts'
import { commonOf, senderOf } from './view.ts'
import type { VisitedMessage, Visitor } from './visit.ts'
import { confirmWording, dayIn } from './wordings.ts'

/** How long the thank-you page knows what was confirmed, in ms. */
const THANKS_FOR = 30 * 60_000

/** A list as programs and as people call it. */
interface ConfirmedList {
  name: string
  label: string
}

/** A link that still works, and for whom. */
interface Open {
  confirm: Confirm
  person: Visitor & { email: string }
  /** Of the message that brought the link. */
  template: VisitedMessage['template']
  /** The lists that still exist and were not left since, by id. */
  lists: Map<number, ConfirmedList>
  /** Where its form posts to. */
  url: string
}

/**
 * `/s/{token}`, made by `signup_confirm()`: GET shows what is about to happen and one button, since mail scanners open
 * every link; POST does it, once, and leads to the thank-you page.
 */
export function registerConfirm(app: FastifyInstance, parts: PageParts, tools: PageTools): void {
  const tokenOf = (request: FastifyRequest) => (request.params as { '*': string })['*']
  const urlOf = (token: string) => `${basePath(parts.config.publicUrl)}/s/${token}`

  app.get('/s/*', async (request, reply) => {
    const found = await open(tokenOf(request))
    if (!('confirm' in found)) return sendPage(reply, found)
    if (found.confirm.lists?.length === 0) return sendBack(reply, optoutOf(found.confirm) ?? '/')
    return sendPage(reply, await interstitial(found))
  })

  app.post('/s/*', async (request, reply) => {
    const token = tokenOf(request)
    const posted = await readForm(request.body as Buffer | null, request.headers['content-type'] ?? '')
    const says = (field: string) => posted.ok && fieldOf(posted.fields, field) !== null
    if (says('fresh')) return sendPage(reply, await mailFresh(parts, tools, token))
    const found = await open(token)
    if (!('confirm' in found)) return sendPage(reply, found)
    if (says('not_me')) return deny(found, request, reply)
    if (found.confirm.lists?.length === 0) return sendBack(reply, optoutOf(found.confirm) ?? '/')
    return confirm(found, request, reply)
  })

  async function open(token: string): Promise<Open | Page> {
    await parts.links.learnKeys(token)
    const opened = parts.links.openConfirm(token)
    if (!opened.ok && opened.problem === 'bad') return notice(parts, tools.builtIn, 'invalid')
    const stale = () => notice(parts, tools.builtIn, 'stale', { freshAt: urlOf(token) })
    const { confirm } = opened
    const { profileId, messageId } = confirm
    const wanted = confirm.lists ?? []
    const [visit, usedFor, lists] = await Promise.all([
      tools.visits({ profileId, messageId, page: '' }),
      usedAs(confirm),
      parts.lists.byIds(wanted),
    ])
    if (usedFor === 'denied') return notice(parts, tools.builtIn, 'denied', { choices: optoutOf(confirm) })
    if (usedFor !== null) return notice(parts, tools.builtIn, 'confirmed', { choices: optoutOf(confirm) })
    if (!opened.ok) return stale()
    const { person, message } = visit
    if (!person?.email || !parts.links.isOfAddress(confirm.addressHash, person.email)) return stale()
    // The newest decision wins: a link from before an opt-out cannot lift it, nor do half of what it promised.
    const env = { now: parts.clock.now(), settings: await parts.settings.get(), lists: parts.lists }
    const preview = await previewChange(parts.db, confirming(confirm, [...lists.keys()], WAY), env)
    if (!preview || preview.levelOutcome === 'superseded') return stale()
    for (const list of preview.stayed.lists) lists.delete(list)
    if (wanted.length > 0 && lists.size === 0 && preview.stayed.lists.length > 0) return stale()
    const named = new Map([...lists].map(([id, { name, publicName }]) => [id, { name, label: publicName || name }]))
    const template = message?.template ?? null
    return { confirm, person: { ...person, email: person.email }, template, lists: named, url: urlOf(token) }
  }

  /** What the link was used for; null: it was not. */
  async function usedAs({ profileId, tokenId }: Confirm): Promise<string | null> {
    const { rows } = await sql<{ purpose: string }>`
      select purpose from used_token where shard = ${shardOfId(profileId)} and id = ${tokenId}`.execute(parts.db)
    return rows[0]?.purpose ?? null
  }

  async function wordingFor({ lists, person }: Open): Promise<string> {
    const { timezone } = await parts.settings.get()
    const off = person.level !== 'none' && person.levelAt ? dayIn(timezone, person.levelAt) : null
    return confirmWording(senderOf(parts.config.from), labelsOf(lists), off)
  }

  async function interstitial(found: Open): Promise<Page> {
    const settings = await parts.settings.get()
    const actsByItself = settings.confirm_mode === 'auto' && found.person.level === 'none' && found.lists.size > 0
    const page = {
      ...commonOf(parts.config.from, settings),
      lists: labelsOf(found.lists),
      address: maskAddress(found.person.email),
      wording: await wordingFor(found),
      action: found.url,
      auto: actsByItself,
    }
    const html = tools.builtIn.render('confirm', dataOf({ named: { page } }))
    const { styles, scripts } = tools.builtIn
    return { status: 200, html, styles, ...(actsByItself ? { scripts } : {}) }
  }

  async function confirm(found: Open, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { profileId, tokenId, messageId, page } = found.confirm
    const act = {
      ...actOf(found, request),
      wordingId: await keepWording(parts.db, await wordingFor(found), parts.clock.now()),
    }
    const change: ProfileChange = {
      ...confirming(found.confirm, [...found.lists.keys()], act),
      spend: { id: tokenId, purpose: 'confirm' },
    }
    const outcome = await applyChange(parts, change, await verification(found))
    if (!outcome.ok)
      return sendPage(reply, await notice(parts, tools.builtIn, 'confirmed', { choices: optoutOf(found.confirm) }))
    if (outcome.levelOutcome === 'superseded') {
      return sendPage(reply, await notice(parts, tools.builtIn, 'stale', { freshAt: found.url }))
    }
    for (const list of outcome.stayed.lists) found.lists.delete(list)
    const now = parts.clock.now()
    const thanks = seal(
      parts.signingKeys,
      'thanks',
      [namesOf(found.lists), labelsOf(found.lists), messageId, profileId],
      {
        issuedAt: now,
        expiresAt: new Date(now.getTime() + THANKS_FOR),
        id: newTokenId(),
      },
    )
    return sendBack(reply, `${basePath(parts.config.publicUrl)}/page/${page ?? 'signup-confirm'}?for=${thanks}`)
  }

  /** The postback `verify`, where the template names an address for it (Sailthru API docs, "API Postbacks"). */
  async function verification({ confirm, person, template }: Open): Promise<Also[]> {
    const { profileId, messageId } = confirm
    const url = template && (await parts.templates.byId(template.id))?.fields.verify_post_url
    if (!url || messageId === null) return []
    const body = { action: 'verify', email: person.email, send_id: parts.sends.sendIdOf(messageId) }
    const now = parts.clock.now()
    return [(tx) => writePostbacks(tx, [{ profileId, action: 'verify', url, body, dedupeKey: null }], now)]
  }

  /** "This was not me": the link is void, and the person leaves the kind of message that brought it. */
  async function deny(found: Open, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { template, confirm } = found
    await parts.profiles.change({
      person: { kind: 'id', value: confirm.profileId },
      create: false,
      act: { ...actOf(found, request), reason: 'not me' },
      ...(template ? { templates: new Map([[template.id, { out: true, name: template.label }]]) } : {}),
      spend: { id: confirm.tokenId, purpose: 'denied' },
    })
    return sendBack(reply, found.url)
  }

  function actOf({ confirm }: Open, request: FastifyRequest): Act {
    const { ip, userAgent } = posterOf(request)
    return {
      ...WAY,
      ip,
      ...(userAgent ? { userAgent } : {}),
      url: '/s',
      tokenId: confirm.tokenId,
      ...(confirm.messageId === null ? {} : { messageId: confirm.messageId }),
    }
  }

  function optoutOf({ messageId, profileId }: Confirm): string | null {
    return messageId === null ? null : parts.links.optoutPage({ messageId, profileId })
  }
}

const WAY = { via: 'confirm_link', evidence: 4, listSource: 'confirm_link' } as const

/** What a confirmation decides, as of what was known when its link was made. */
const confirming = ({ profileId, asOf }: Confirm, lists: readonly number[], act: Act): ProfileChange => ({
  person: { kind: 'id', value: profileId },
  create: false,
  act,
  asOf,
  lists: new Map(lists.map((id) => [id, true])),
  level: { to: 'none', mode: 'set' },
})

const namesOf = (lists: Open['lists']) => [...lists.values()].map(({ name }) => name)
const labelsOf = (lists: Open['lists']) => [...lists.values()].map(({ label }) => label)
