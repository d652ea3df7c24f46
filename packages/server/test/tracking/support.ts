import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { sql } from 'kysely'
import { createActivityLoop } from '../../src/activity/loop.ts'
import type { MessageEventTable } from '../../src/activity/tables.ts'
import { workerLoops } from '../../src/roles/worker.ts'
import type { SendOptions } from '../../src/sends/message-table.ts'
import type { TemplateChange } from '../../src/templates/fields.ts'
import { openPages } from '../pages/support.ts'
import { freePort } from '../support/fairlead.ts'
import { type ReadMail, readMail } from '../support/mail.ts'
import { startSmtpSink } from '../support/smtp.ts'
import { until } from '../support/until.ts'

/** How a person's browser introduces itself. */
export const PERSON = {
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  'accept-language': 'en',
}

export interface Mailed extends ReadMail {
  messageId: number
  profileId: number
  /** The address behind the link of that number, as the mail has it. */
  link(number: number): string
  /** Address of the open pixel; null: it has none. */
  pixel: string | null
}

/** Everything between a template and a person's browser: real mail, real HTTP, a clock that is moved. */
export async function openTracking() {
  const sink = await startSmtpSink()
  const port = await freePort()
  const house = await openPages({ env: { FAIRLEAD_PORT: String(port), FAIRLEAD_SMTP_URL: sink.url } })
  const { services, app, db, clock } = house
  const url = await app.listen({ port, host: '127.0.0.1' })
  const loops = workerLoops(services, { on() {}, start() {}, stop: async () => {} })
  const delivery = loops.find(({ name }) => name === 'delivery')!
  delivery.start()
  const activity = createActivityLoop(services)

  /** Saves a template, sends it and waits for the mail. */
  async function mail(email: string, template: TemplateChange, more: { vars?: object; options?: SendOptions } = {}) {
    const name = `T${Math.random()}`
    const saved = await services.templates.save(name, { subject: 'Hello', is_link_tracking: true, ...template })
    if (!saved.ok) throw new Error(saved.problem)
    return send(name, email, more)
  }

  async function send(
    name: string,
    email: string,
    more: { vars?: object; options?: SendOptions } = {},
  ): Promise<Mailed> {
    const outcome = await services.sends.send({
      template: name,
      emails: [email],
      vars: (more.vars ?? {}) as never,
      evars: {},
      options: more.options ?? {},
      origin: 'api',
      act: { via: 'api', evidence: 0 },
    })
    const one = outcome.ok ? outcome.sends[0] : undefined
    if (!one?.ok) throw new Error(JSON.stringify(outcome))
    const { messageId } = one
    let last = ''
    return until(
      () => `message ${messageId} is sent; it is ${last}`,
      async () => {
        const { rows } = await sql<{ state: string; profile_id: number; reply: string | null }>`
          select state, profile_id, reply from message where id = ${messageId}`.execute(db)
        last = `${rows[0]?.state}, ${rows[0]?.reply}`
        const raw = sink.messages.find(({ raw }) => raw.includes(services.sends.sendIdOf(messageId)))
        return rows[0]?.state === 'sent' && raw && mailed(messageId, rows[0].profile_id, await readMail(raw))
      },
    )
  }

  function mailed(messageId: number, profileId: number, read: ReadMail): Mailed {
    const pixel = /<img src="([^"]*\/o\/[^"]*)"/.exec(read.html)?.[1] ?? null
    return { ...read, messageId, profileId, pixel, link: (number) => read.links[number]! }
  }

  async function seen(messageId: number): Promise<MessageEventTable[]> {
    const { rows } = await sql<MessageEventTable>`
      select * from message_event where message_id = ${messageId} order by id`.execute(db)
    return rows
  }

  /**
   * Events of a message, once there are so many. With none expected, once another message's that was seen afterwards is
   * written: events are written in their order.
   */
  async function events(messageId: number, count: number): Promise<MessageEventTable[]> {
    if (count === 0) {
      const later = await mail(`later${Math.random()}@example.com`, { content_html: '<p>Hi</p>' })
      await fetch(later.pixel!)
      await events(later.messageId, 1)
    }
    let rows: MessageEventTable[] = []
    await until(
      () => `${rows.length} of ${count} events are written`,
      async () => {
        rows = await seen(messageId)
        return rows.length >= count
      },
    )
    if (rows.length > count) throw new Error(`${rows.length} events, not ${count}: ${rows.map(({ type }) => type)}`)
    return rows
  }

  return {
    ...house,
    url,
    sink,
    mail,
    send,
    events,
    /** As a program or a browser does, without going on to where it leads. */
    visit: (address: string, init: RequestInit = {}) =>
      fetch(address, {
        redirect: 'manual',
        ...init,
        headers: { ...PERSON, ...init.headers } as Record<string, string>,
      }),
    /** So much later, with the work of the worker done. */
    async later(milliseconds: number) {
      clock.advance(milliseconds)
      await activity.runOnce()
    },
    async activityOf(profileId: number) {
      const { rows } = await sql`
        select opened_at, clicked_at, opens, clicks from profile_activity where profile_id = ${profileId}`.execute(db)
      return rows[0] ?? null
    },
    async close() {
      await delivery.stop()
      await house.close()
      await sink.close()
    },
  }
}

export type TrackingHouse = Awaited<ReturnType<typeof openTracking>>

/** A customer's website that remembers who came. */
export async function startSite(html = 'welcome') {
  const visits: IncomingMessage[] = []
  const server = createServer((request, response) => {
    if (request.url !== '/favicon.ico') visits.push(request)
    response.setHeader('content-type', 'text/html')
    response.end(html)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    visits,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  }
}
