import { dataOf } from '@fairlead/zephyr'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sql } from 'kysely'
import { keepWording } from '../consent/ledger.ts'
import type { Confirm } from '../links/links.ts'
import { newTokenId, seal } from '../links/tokens.ts'
import { shardOfId } from '../platform/shard.ts'
import { maskAddress } from '../profiles/address.ts'
import { enqueue } from '../sends/enqueue.ts'
import { type Page, sendBack, sendPage } from './answer.ts'
import { mailConfirmation } from './confirmation-mail.ts'
import { fieldOf, readForm } from './form.ts'
import { notice } from './notices.ts'
import type { PageParts } from './parts.ts'
import type { PageTools } from './preferences.ts'
import { basePath } from './reach.ts'
import { posterOf } from './request.ts'
import { commonOf, senderOf } from './view.ts'
import type { Visitor } from './visit.ts'
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
  /** The lists that still exist, by id. */
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
    const posted = await readForm(request.body as Buffer | null, request.headers['content-type'] ?? '')
    if (posted.ok && fieldOf(posted.fields, 'fresh') !== null) return sendFresh(tokenOf(request), reply)
    const found = await open(tokenOf(request))
    if (!('confirm' in found)) return sendPage(reply, found)
    if (found.confirm.lists?.length === 0) return sendBack(reply, optoutOf(found.confirm) ?? '/')
    return confirm(found, request, reply)
  })

  async function open(token: string): Promise<Open | Page> {
    await parts.links.learnKeys(token)
    const opened = parts.links.openConfirm(token)
    if (!opened.ok && opened.problem === 'bad') return notice(parts, tools.builtIn, 'invalid')
    const stale = () => notice(parts, tools.builtIn, 'stale', { freshAt: urlOf(token) })
    const { confirm } = opened
    const [visit, used, lists] = await Promise.all([
      tools.visits({ profileId: confirm.profileId, messageId: null, page: '' }),
      isUsed(confirm),
      parts.lists.byIds(confirm.lists ?? []),
    ])
    if (used) return notice(parts, tools.builtIn, 'confirmed')
    if (!opened.ok) return stale()
    const { person } = visit
    if (!person?.email || !parts.links.isOfAddress(confirm.addressHash, person.email)) return stale()
    // The newest decision wins: a link from before an opt-out cannot lift it, nor do half of what it promised.
    if (person.level !== 'none' && person.refusedAt && person.refusedAt > confirm.issuedAt) return stale()
    const named = new Map([...lists].map(([id, { name, publicName }]) => [id, { name, label: publicName || name }]))
    return { confirm, person: { ...person, email: person.email }, lists: named, url: urlOf(token) }
  }

  async function isUsed({ profileId, tokenId }: Confirm): Promise<boolean> {
    const { rows } = await sql`
      select 1 from used_token where shard = ${shardOfId(profileId)} and id = ${tokenId}`.execute(parts.db)
    return rows.length > 0
  }

  async function wordingFor({ lists, person }: Open): Promise<string> {
    const { timezone } = await parts.settings.get()
    const off = person.level !== 'none' && person.levelAt ? dayIn(timezone, person.levelAt) : null
    return confirmWording(senderOf(parts.config.from), labelsOf(lists), off)
  }

  async function interstitial(found: Open): Promise<Page> {
    const page = {
      ...commonOf(parts.config.from, await parts.settings.get()),
      lists: labelsOf(found.lists),
      address: maskAddress(found.person.email),
      wording: await wordingFor(found),
      action: found.url,
    }
    const html = tools.builtIn.render('confirm', dataOf({ named: { page } }))
    return { status: 200, html, styles: tools.builtIn.styles }
  }

  async function confirm(found: Open, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { profileId, tokenId, issuedAt, messageId, page } = found.confirm
    const { ip, userAgent } = posterOf(request)
    const outcome = await parts.profiles.change({
      person: { kind: 'id', value: profileId },
      create: false,
      act: {
        via: 'confirm_link',
        evidence: 4,
        listSource: 'confirm_link',
        ip,
        ...(userAgent ? { userAgent } : {}),
        url: '/s',
        wordingId: await keepWording(parts.db, await wordingFor(found), parts.clock.now()),
        tokenId,
        ...(messageId === null ? {} : { messageId }),
      },
      lists: new Map([...found.lists.keys()].map((id) => [id, true])),
      level: { to: 'none', mode: 'set', unlessRefusedAfter: issuedAt },
      spend: { id: tokenId, purpose: 'confirm' },
    })
    if (!outcome.ok) return sendPage(reply, await notice(parts, tools.builtIn, 'confirmed'))
    if (outcome.levelOutcome === 'superseded') {
      return sendPage(reply, await notice(parts, tools.builtIn, 'stale', { freshAt: found.url }))
    }
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

  function optoutOf({ messageId, profileId }: Confirm): string | null {
    return messageId === null ? null : parts.links.optoutPage({ messageId, profileId })
  }

  /** The answer is the same whatever happens. One link asks for one other, so it cannot flood a mailbox. */
  async function sendFresh(token: string, reply: FastifyReply): Promise<FastifyReply> {
    await parts.links.learnKeys(token)
    const opened = parts.links.openConfirm(token)
    if (!opened.ok && opened.problem === 'bad') return sendPage(reply, await notice(parts, tools.builtIn, 'invalid'))
    await mailFresh(opened.confirm)
    return sendPage(reply, await notice(parts, tools.builtIn, 'requested'))
  }

  async function mailFresh(confirm: Confirm): Promise<void> {
    const { profileId, messageId, tokenId } = confirm
    const { person, message } = await tools.visits({ profileId, messageId, page: '' })
    if (!person?.email || !parts.links.isOfAddress(confirm.addressHash, person.email)) return
    const spent = await parts.profiles.change({
      person: { kind: 'id', value: profileId },
      create: false,
      act: { via: 'confirm_link', evidence: 2 },
      spend: { id: `fresh:${tokenId}`, purpose: 'fresh' },
    })
    if (!spent.ok) return
    const template = message?.template ? await parts.templates.byId(message.template.id) : null
    if (!template || template.isOptinConfirm || messageId === null) {
      if (!confirm.lists) await mailConfirmation(parts, profileId, person.email)
      else if (template) await mailAgain(person.email)
      return
    }
    await mailAgain(person.email)

    /** The same message with the same variables: its link is made anew. */
    async function mailAgain(address: string): Promise<void> {
      if (!template || messageId === null) return
      const row = await parts.db
        .selectFrom('message')
        .select('vars')
        .where('shard', '=', shardOfId(messageId))
        .where('id', '=', messageId)
        .executeTakeFirst()
      const env = { now: parts.clock.now(), settings: await parts.settings.get() }
      const request = { profileId, address, template, vars: row?.vars ?? {}, options: {}, origin: 'page' as const }
      await parts.db.transaction().execute((tx) => enqueue(tx, [request], env))
    }
  }
}

const namesOf = (lists: Open['lists']) => [...lists.values()].map(({ name }) => name)
const labelsOf = (lists: Open['lists']) => [...lists.values()].map(({ label }) => label)
