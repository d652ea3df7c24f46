import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import { type DefaultTreeAdapterTypes, parse } from 'parse5'
import { readConfig } from '../../src/config.ts'
import type { Level } from '../../src/consent/levels.ts'
import { attributeOf, elementsOf, formsOf, textOf } from '../../src/pages/html.ts'
import { savePage } from '../../src/pages/store.ts'
import { type MovableClock, movableClock } from '../../src/platform/clock.ts'
import type { Database } from '../../src/platform/database.ts'
import { createLog } from '../../src/platform/log.ts'
import { shardOfKey } from '../../src/platform/shard.ts'
import type { ProfileChange } from '../../src/profiles/change.ts'
import { findProfile } from '../../src/profiles/read.ts'
import { buildWeb } from '../../src/roles/web.ts'
import { createServices, type Services } from '../../src/services.ts'
import { changeSetting } from '../../src/settings/settings.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { type Contents, contentsOf } from '../support/tables.ts'

export const secret = 'fedcba9876543210fedcba9876543210'

/** A page as a test looks at it. */
export interface Seen {
  status: number
  headers: Record<string, unknown>
  html: string
  /** Text of the body. */
  text: string
  title: string
  location: string | null
  /** Posts a form of the page as a browser would: what is in it, changed as given (null: box not ticked). */
  submit(changes?: Record<string, string | null>, form?: number): Promise<Seen>
  /** What a form would post if nothing were touched. */
  fields(form?: number): Record<string, string>
}

/** A person who got a message. */
export interface Reader {
  id: number
  email: string
  messageId: number
  /** Path of the opt-out page. */
  oc: string
  /** Path of the one-click target. */
  u: string
}

export interface PageHouse {
  services: Services
  app: FastifyInstance
  db: Database
  clock: MovableClock
  url: string
  dataDir: string
  get(path: string): Promise<Seen>
  post(path: string, fields: Record<string, string>): Promise<Seen>
  reader(name: string, change?: Partial<ProfileChange>): Promise<Reader>
  change(id: number, change: Omit<ProfileChange, 'person' | 'act'>, via?: ProfileChange['act']['via']): Promise<void>
  /** Path of a confirmation link, as a message made now would carry it. */
  confirmPath(
    reader: Pick<Reader, 'id' | 'email'> & { messageId: number | null },
    lists: number[] | null,
    page?: string,
  ): Promise<string>
  level(id: number): Promise<Level>
  lists(id: number): Promise<string[]>
  bounce(email: string): Promise<void>
  setting(name: string, value: string): Promise<void>
  put(name: string, html: string, type?: 'manage' | 'other', redirects?: string[]): Promise<void>
  messages(template: string): Promise<string[]>
  /** Path behind the variable of the newest message of a template. */
  linkIn(template: string, variable: string): Promise<string>
  /** Every row of every table. */
  everything(): Promise<Contents>
  close(): Promise<void>
}

/** @param options.database in place of a fresh one of the run's own server */
export async function openPages(
  options: { listen?: boolean; database?: Pick<FreshDatabase, 'db' | 'drop'>; env?: Record<string, string> } = {},
): Promise<PageHouse> {
  const dataDir = mkdtempSync(join(tmpdir(), 'pages-test-'))
  const { db, drop } = options.database ?? (await freshDatabase())
  const clock = movableClock('2030-03-05T12:00:00Z')
  const read = readConfig({
    FAIRLEAD_DATA_DIR: dataDir,
    FAIRLEAD_FROM: 'Harbor News <hello@example.com>',
    ...options.env,
  })
  if (!read.ok) throw new Error(read.problem)
  await db.insertInto('api_key').values({ key: '0123456789abcdef', secret, created_at: clock.now() }).execute()
  const services = await createServices({ config: read.config, db, clock, log: createLog('test', 'silent') })
  const app = buildWeb(services)
  const url = options.listen ? await app.listen({ port: 0, host: '127.0.0.1' }) : 'http://127.0.0.1'
  await services.templates.save('Welcome', {
    subject: 'Ahoy',
    content_html: '<p>Ahoy <a href="{optout_confirm_url}">stop</a></p>',
    public_name: 'Welcome letters',
  })
  await services.templates.save('Opt-in Confirm', {
    subject: 'Please confirm',
    content_html: '<a href="{signup_confirm()}">Yes</a>',
    is_basic: true,
  })

  const get = async (path: string) => seen(await app.inject({ method: 'GET', url: path }))
  const post = async (path: string, fields: Record<string, string> | [string, string][]) =>
    seen(
      await app.inject({
        method: 'POST',
        url: path,
        headers: { 'content-type': 'application/x-www-form-urlencoded', 'user-agent': 'Test' },
        payload: new URLSearchParams(fields).toString(),
      }),
    )

  function seen(response: { statusCode: number; headers: Record<string, unknown>; body: string }): Seen {
    const document = parse(response.body)
    const elements = [...elementsOf(document)]
    const posting = () => formsOf(document).filter(({ element }) => attributeOf(element, 'method') === 'post')
    const fields = (form = 0) => fieldsOf(posting()[form]!.controls)
    const body = elements.find(({ tagName }) => tagName === 'body')
    const title = elements.find(({ tagName }) => tagName === 'title')
    return {
      status: response.statusCode,
      headers: response.headers,
      html: response.body,
      text: body ? textOf(body).replace(/\s+/g, ' ').trim() : response.body,
      title: title ? textOf(title) : '',
      location: (response.headers.location as string | undefined) ?? null,
      fields,
      submit(changes = {}, form = 0) {
        const { element } = posting()[form]!
        const all = { ...fields(form), ...changes }
        const given = Object.fromEntries(Object.entries(all).filter((one): one is [string, string] => one[1] !== null))
        return post(attributeOf(element, 'action') ?? '', given)
      },
    }
  }

  const pathOf = (link: string) => link.slice(read.config.publicUrl.length)

  return {
    services,
    app,
    db,
    clock,
    url,
    dataDir,
    get,
    post,
    async reader(name, change = {}) {
      const email = `${name}@example.com`
      const outcome = await services.profiles.change({
        person: { kind: 'email', value: email },
        act: { via: 'api', evidence: 0 },
        ...change,
      })
      if (!outcome.ok) throw new Error(outcome.problem)
      const sent = await services.sends.send({
        template: 'Welcome',
        emails: [email],
        vars: {},
        evars: {},
        options: {},
        origin: 'api',
        act: { via: 'api', evidence: 0 },
      })
      const row = await db
        .selectFrom('message')
        .select('id')
        .where('profile_id', '=', outcome.profileId)
        .executeTakeFirst()
      if (!row) throw new Error(JSON.stringify(sent))
      const link = { messageId: row.id, profileId: outcome.profileId }
      return {
        id: outcome.profileId,
        email,
        messageId: row.id,
        oc: pathOf(services.links.optoutPage(link)),
        u: pathOf(services.links.oneClick({ ...link, address: email })),
      }
    },
    async change(id, change, via = 'api') {
      const person = { kind: 'id', value: id } as const
      const outcome = await services.profiles.change({ person, create: false, act: { via, evidence: 0 }, ...change })
      if (!outcome.ok) throw new Error(outcome.problem)
    },
    async confirmPath({ id, email, messageId }, lists, page) {
      const { decided } = (await findProfile(db, { kind: 'id', value: id }))!
      const link = { messageId, profileId: id, address: email, lists, asOf: decided }
      return pathOf(services.links.confirm({ ...link, ...(page ? { page } : {}) }))
    },
    level: async (id) => (await findProfile(db, { kind: 'id', value: id }))!.level,
    async lists(id) {
      const profile = await findProfile(db, { kind: 'id', value: id })
      const names = await services.lists.byIds([...profile!.lists.keys()])
      return [...names.values()].map(({ name }) => name).sort()
    },
    async bounce(email) {
      await sql`insert into address (shard, address, state, since)
        values (${shardOfKey('email', email)}, ${email}, 'hardbounce', ${clock.now()})`.execute(db)
    },
    async setting(name, value) {
      const problem = await changeSetting(db, clock, name, value)
      if (problem) throw new Error(problem)
      services.settings.forget()
    },
    async put(name, html, type = 'manage', redirects = []) {
      const outcome = await savePage(db, clock, { name, type, html, redirects })
      if (!outcome.ok) throw new Error(outcome.problems.join('; '))
    },
    async messages(template) {
      const { rows } = await sql<{ address: string }>`
        select m.address from message m join template t on t.id = m.template_id where t.name = ${template}
        order by m.id`.execute(db)
      return rows.map(({ address }) => address)
    },
    async linkIn(template, variable) {
      const { rows } = await sql<{ vars: Record<string, string> }>`
        select m.vars from message m join template t on t.id = m.template_id where t.name = ${template}
        order by m.id desc limit 1`.execute(db)
      return pathOf(rows[0]!.vars[variable]!)
    },
    everything: () => contentsOf(db),
    async close() {
      await app.close()
      await drop()
      rmSync(dataDir, { recursive: true })
    },
  }
}

function fieldsOf(controls: DefaultTreeAdapterTypes.Element[]): Record<string, string> {
  const fields: Record<string, string> = {}
  for (const control of controls) {
    const name = attributeOf(control, 'name')
    const type = attributeOf(control, 'type') ?? 'text'
    if (name === null) continue
    const ticks = type === 'checkbox' || type === 'radio'
    if (ticks && attributeOf(control, 'checked') === null) continue
    if (control.tagName === 'select') {
      const options = [...elementsOf(control)].filter(({ tagName }) => tagName === 'option')
      const chosen = options.find((one) => attributeOf(one, 'selected') !== null) ?? options[0]
      if (chosen) fields[name] = attributeOf(chosen, 'value') ?? textOf(chosen)
    } else if (control.tagName === 'textarea') fields[name] = textOf(control)
    else fields[name] = attributeOf(control, 'value') ?? (ticks ? 'on' : '')
  }
  return fields
}
