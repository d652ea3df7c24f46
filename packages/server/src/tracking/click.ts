import { setTimeout as sleep } from 'node:timers/promises'
import { dataOf } from '@fairlead/zephyr'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sql } from 'kysely'
import { changeFor, handlingOf, isStillTheirs } from '../activity/link-acts.ts'
import { type Level, levelOf } from '../consent/levels.ts'
import type { LinkActs } from '../links/link-parameters.ts'
import type { Click } from '../links/tracked.ts'
import { PAGE_HEADERS, type Page, sendBack, sendPage } from '../pages/answer.ts'
import { fieldOf, readForm } from '../pages/form.ts'
import { openForm, sealForm } from '../pages/form-token.ts'
import { notice } from '../pages/notices.ts'
import { basePath } from '../pages/reach.ts'
import { posterOf } from '../pages/request.ts'
import { commonOf } from '../pages/view.ts'
import { shardOfId } from '../platform/shard.ts'
import { maskAddress } from '../profiles/address.ts'
import type { TrackingParts } from './parts.ts'
import { type TrackingTools, tokenOf } from './tools.ts'

/** Name of the page that asks before a link changes something. */
const FOLLOW = 'follow'
const EMPTY_FORM = { lists: new Map(), templates: new Set<string>(), vars: new Set<string>(), wording: null }

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
  decided: number
  /** Where the message went, and where the person has their mail now. */
  address: string
  email: string | null
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
    const { rows } = await sql<Omit<Clicker, 'level'> & { level: number }>`
      select p.id as "profileId", p.level, p.decided, m.address, p.email from message m
      left join profile_moved v on v.shard = m.shard and v.id = m.profile_id
      join profile p on p.id = coalesce(v.profile_id, m.profile_id)
        and p.shard = (coalesce(v.profile_id, m.profile_id) & 63)::smallint
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
      token: sealForm(
        parts.signingKeys,
        { ...EMPTY_FORM, page: FOLLOW, profileId: person.profileId, asOf: person.decided },
        clock.now(),
      ),
      joins: labelsOf(true),
      leaves: labelsOf(false),
      vars: acts.vars.map(([name, value]) => ({ name, value: String(value) })),
      optedOut: person.level !== 'none',
    }
    const html = tools.builtIn.render('follow', dataOf({ named: { page } }))
    // Browsers hold every address that the button may lead through to the policy.
    return { status: 200, html, styles: tools.builtIn.styles, leadsTo: ['https:', 'http:'] }
  }

  /** What was known when the question was shown; 0 without a form of ours. */
  async function asOfForm(request: FastifyRequest, { profileId }: Clicker): Promise<number> {
    const posted = await readForm(request.body as Buffer | null, request.headers['content-type'] ?? '')
    const token = posted.ok ? fieldOf(posted.fields, '_fl') : null
    const opened = openForm(parts.signingKeys, token, { page: FOLLOW, now: clock.now() })
    return opened.state === 'fresh' && opened.form.profileId === profileId ? opened.form.asOf : 0
  }

  /** The button: does what the link asks for, and leads on. */
  async function press(click: Opened, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { acts, message, url } = click
    const person = acts && !message.isTest ? await clickerOf(click) : null
    if (acts && person && handlingOf(acts, url, person.level, await settings.get()) !== 'ignore') {
      const { ip, userAgent } = posterOf(request)
      const seen = { ip, ...(userAgent ? { userAgent } : {}), url: '/c', messageId: message.id }
      // A link that was mailed to an address of old permits nothing, and proves nothing.
      const proves = isStillTheirs(person.address, person.email)
      const act = { via: 'hosted_page', evidence: proves ? 2 : 0, ...seen } as const
      const change = await changeFor(lists, acts, person.profileId, act)
      const allowed = [...(change.lists ?? [])].filter(([, join]) => proves || !join)
      await profiles.change({ ...change, lists: new Map(allowed), asOf: await asOfForm(request, person) })
    }
    return sendBack(reply, url)
  }
}
