import { setTimeout as sleep } from 'node:timers/promises'
import { dataOf } from '@fairlead/zephyr'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sql } from 'kysely'
import { changeFor, handlingOf } from '../activity/link-acts.ts'
import { type Level, levelOf } from '../consent/levels.ts'
import type { LinkActs } from '../links/link-parameters.ts'
import type { Click } from '../links/tracked.ts'
import { PAGE_HEADERS, type Page, sendBack, sendPage } from '../pages/answer.ts'
import { notice } from '../pages/notices.ts'
import { basePath } from '../pages/reach.ts'
import { posterOf } from '../pages/request.ts'
import { commonOf } from '../pages/view.ts'
import { shardOfId } from '../platform/shard.ts'
import { maskAddress } from '../profiles/address.ts'
import type { TrackingParts } from './parts.ts'
import { type TrackingTools, tokenOf } from './tools.ts'

/** A database that says nothing for this long is away, in ms. */
const PATIENCE = 1_000

/** A click that leads somewhere, with the address as browsers spell it. */
interface Opened extends Click {
  token: string
}

/** Whom a click is about. */
interface Clicker {
  profileId: number
  level: Level
  address: string
}

/**
 * `/c/{token}`: on to where the link leads, which was signed when the mail was made. Where the link has parameters that
 * change something (`sailthru_lists`, `sailthru_vars`), the change is made later if a person clicked, or takes the press
 * of a button on a page of ours.
 */
export function registerClick(app: FastifyInstance, parts: TrackingParts, tools: TrackingTools): void {
  const { clock, links, lists, log, profiles, settings } = parts

  app.get('/c/*', async (request, reply) => {
    const click = await open(request)
    if (!click) return sendPage(reply, await notice(parts, tools.builtIn, 'invalid'))
    const { message, link, url, acts } = click
    const handling = acts && !message.isTest ? await handle(click, acts) : { way: 'ignore' as const }
    if (!message.isTest) {
      const score = tools.scoreOf('click', request)
      const later = handling.way === 'later' ? acts : null
      tools.recorder.record({ messageId: message.id, type: 'click', link, url, score, at: clock.now(), acts: later })
    }
    if (handling.way === 'ask') return sendPage(reply, await question(click, acts!, handling.person))
    return reply.headers(PAGE_HEADERS).code(302).header('location', url).send()
  })

  app.post('/c/*', async (request, reply) => {
    const click = await open(request)
    if (!click) return sendPage(reply, await notice(parts, tools.builtIn, 'invalid'))
    return press(click, request, reply)
  })

  async function open(request: FastifyRequest): Promise<Opened | null> {
    const token = tokenOf(request)
    await links.learnKeys(token)
    const click = links.tracked.openClick(token)
    const url = click && URL.parse(click.url)
    return url ? { ...click, url: url.href, token } : null
  }

  /** What is to become of the link's parameters. Without the database they wait: nobody is kept from going on for long. */
  async function handle(
    click: Click,
    acts: LinkActs,
  ): Promise<{ way: 'ignore' | 'later' } | { way: 'ask'; person: Clicker }> {
    try {
      const person = await Promise.race([clickerOf(click), sleep(PATIENCE, 'away' as const, { ref: false })])
      if (person === 'away') return { way: 'later' }
      if (!person) return { way: 'ignore' }
      const way = handlingOf(acts, click.url, person.level, await settings.get())
      return way === 'ask' ? { way, person } : { way }
    } catch (error) {
      log.warn({ err: error }, 'what a link asks for waits, since the database does not answer')
      return { way: 'later' }
    }
  }

  async function clickerOf({ message: { id } }: Click): Promise<Clicker | null> {
    const { rows } = await sql<{ profileId: number; level: number; address: string }>`
      select p.id as "profileId", p.level, m.address from message m
      join profile p on p.shard = m.shard and p.id = m.profile_id
      where m.shard = ${shardOfId(id)} and m.id = ${id}`.execute(parts.db)
    return rows[0] ? { ...rows[0], level: levelOf(rows[0].level) } : null
  }

  async function question({ url, token }: Opened, acts: LinkActs, person: Clicker): Promise<Page> {
    const ids = await lists.find(acts.lists.map(([name]) => name))
    const labels = await lists.byIds([...ids.values()])
    const labelsOf = (join: boolean) =>
      acts.lists.flatMap(([name, joins]) => {
        const id = ids.get(name)
        return id === undefined || joins !== join ? [] : [labels.get(id)?.publicName || name]
      })
    const page = {
      ...commonOf(parts.config.from, await settings.get()),
      host: new URL(url).host,
      target: url,
      action: `${basePath(parts.config.publicUrl)}/c/${token}`,
      address: maskAddress(person.address),
      joins: labelsOf(true),
      leaves: labelsOf(false),
      vars: acts.vars.map(([name, value]) => ({ name, value: String(value) })),
      optedOut: person.level !== 'none',
    }
    const html = tools.builtIn.render('follow', dataOf({ named: { page } }))
    // Browsers hold every address that the button may lead through to the policy.
    return { status: 200, html, styles: tools.builtIn.styles, leadsTo: ['https:', 'http:'] }
  }

  /** The button: does what the link asks for, and leads on. */
  async function press(click: Opened, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { acts, message, url } = click
    const person = acts && !message.isTest ? await clickerOf(click) : null
    if (acts && person && handlingOf(acts, url, person.level, await settings.get()) !== 'ignore') {
      const { ip, userAgent } = posterOf(request)
      const seen = { ip, ...(userAgent ? { userAgent } : {}), url: '/c', messageId: message.id }
      const change = await changeFor(lists, acts, person.profileId, { via: 'hosted_page', evidence: 2, ...seen })
      await profiles.change(change)
    }
    return sendBack(reply, url)
  }
}
