import { createRequire } from 'node:module'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { linkIn, readMail } from '../support/mail.ts'
import { until } from '../support/until.ts'
import { startWorld, type World } from './support.ts'

/** The methods of the public client that steer campaigns. */
const { createSailthruClient } = createRequire(import.meta.url)('sailthru-client')

let world: World
let client: { [method: string]: (...args: unknown[]) => void }
beforeAll(async () => {
  world = await startWorld()
  client = createSailthruClient(world.fairlead.key, world.fairlead.secret, { apiUrl: `${world.fairlead.url}/` })
  ;(client as { disableLogging?: () => void }).disableLogging?.()
})
afterAll(() => world.close())

/** Calls a method of the client. */
const call = (method: string, ...args: unknown[]) =>
  new Promise<{ [name: string]: unknown }>((resolve, reject) =>
    client[method]!(...args, (error: unknown, body: { [name: string]: unknown }) =>
      error ? reject(new Error(JSON.stringify(error))) : resolve(body),
    ),
  )

const blast = (id: unknown) => call('getBlast', id)
async function reaches(id: unknown, status: string): Promise<{ [name: string]: unknown }> {
  let last: unknown
  return until(
    () => `campaign ${id} is ${status}; it is ${last}`,
    async () => {
      const found = await blast(id)
      const { total } = (found.stats ?? {}) as { total?: { waiting: number } }
      last = `${found.status}, ${total?.waiting} waiting`
      // Figures that were costly to find out are shown for a while.
      const isOver = Boolean(found.stop_time) && total?.waiting === 0
      return found.status === status && (status !== 'sent' || isOver) && found
    },
  )
}
const schedule = (name: string, list: string, at: string, options: object = {}) =>
  call(
    'scheduleBlast',
    name,
    list,
    at,
    'The Harbour',
    'harbour@example.com',
    `${name} for {name}`,
    '<p>{blast.name} on {blast.list}</p><p><a href="https://harbour.example.com/">Come</a></p>',
    '{blast.name}',
    options,
  )
const to = (address: string) => world.sink.messages.filter((message) => message.to.includes(address))

it('a campaign goes to its list once, each with ways to leave, and says who was left out', async () => {
  const emails = ['ada@example.com', 'grace@example.com', 'out@example.com', 'Partner@Example.com']
  await world.post('list', { list: 'Weekly', emails })
  await world.post('list', { list: 'Partners', emails: ['partner@example.com'] })
  await world.setLevel('out@example.com', 'all')
  const made = await schedule('Spring', 'Weekly', 'now', { suppress_list: 'Partners', vars: { name: 'you' } })
  expect(made).toMatchObject({ status: 'scheduled', name: 'Spring', list: 'Weekly' })
  const done = await reaches(made.blast_id, 'sent')
  expect(done).toMatchObject({ email_count: 2, sent_count: 2, stats: { total: { count: 2, waiting: 0 } } })
  expect((done.stats as { total: object }).total).toMatchObject({ left_out: { optout_all: 1, suppress_list: 1 } })
  expect(world.sink.messages).toHaveLength(2)
  const [message] = to('ada@example.com')
  const mail = await readMail(message!)
  expect(mail.subject).toBe('Spring for you')
  expect(mail.html).toContain('Spring on Weekly')
  expect(mail.headers.get('list-unsubscribe-post')).toBe('List-Unsubscribe=One-Click')
  expect(mail.text).toContain('/oc/')
  const left = await fetch(mail.headers.get('list-unsubscribe')!.slice(1, -1), { method: 'POST' })
  expect(left.status).toBe(200)
  expect(await world.levelOf('ada@example.com')).toBe('basic')
  expect(await linkIn(message!, '/oc/')).toContain('/oc/')
  const { body } = await world.client.get('stats', { stat: 'blast', blast_id: made.blast_id, domain: 1, sent_times: 1 })
  expect(body).toMatchObject({ count: 2, optout: 1, spam: 0, domain: { 'example.com': { count: 2 } } })
  expect(Object.values(body.sent_times as object)).toEqual([2])
})

it('hard bounces of a campaign are counted by class, and the next one leaves their addresses out', async () => {
  await world.post('list', { list: 'Bouncing', emails: ['gone@example.com', 'grace@example.com'] })
  world.sink.refuse({ phase: 'rcpt', code: 550, text: '5.1.1 no such user', recipient: 'gone@example.com' })
  const { blast_id } = await schedule('Bounce', 'Bouncing', 'now')
  expect(await reaches(blast_id, 'sent')).toMatchObject({ sent_count: 1, stats: { total: { hardbounce: 1 } } })
  const { body } = await world.client.get('stats', { stat: 'blast', blast_id })
  expect(body).toMatchObject({ hardbounce: 1, bounces: { '5.1.1': 1 } })
  world.sink.accept()
  const next = await schedule('After', 'Bouncing', 'now')
  expect(await reaches(next.blast_id, 'sent')).toMatchObject({ stats: { total: { left_out: { hardbounce: 1 } } } })
})

it('a test goes out at once, marked, and a draft stays a draft', async () => {
  const made = await world.post('blast', {
    name: 'Try',
    list: 'Weekly',
    from_name: 'Harbour',
    from_email: 'harbour@example.com',
    subject: 'Try it, {name}',
    content_html: '<p>Try</p>',
    content_text: '',
    test_vars: { name: 'tester' },
    test_email: 'tester@example.com',
  })
  expect(made.status).toBe('created')
  await until('the test came', () => to('tester@example.com').length > 0)
  const [message] = to('tester@example.com')
  expect((await readMail(message!)).subject).toBe('[TEST] Try it, tester')
  expect(await blast(made.blast_id)).toMatchObject({ status: 'created', stats: { total: { count: 0, audience: 0 } } })
  await world.setLevel('tester@example.com', 'basic')
  expect(await world.client.post('blast', { blast_id: made.blast_id, test_email: 'tester@example.com' })).toMatchObject(
    {
      error: 37,
    },
  )
})

it('can be paused at once, resumed, and cancelled', async () => {
  const count = 3_000
  for (let from = 0; from < count; from += 1_000) {
    const emails = Array.from({ length: 1_000 }, (_, n) => `many${from + n}@example.com`)
    await world.post('list', { list: 'Many', emails })
  }
  const before = world.sink.messages.length
  const { blast_id } = await schedule('Many', 'Many', 'now')
  await world.sink.waitFor(before + 200)
  await call('pauseBlast', blast_id)
  // What the worker holds of it goes out or back to the queue.
  await until('the worker has put it down', async () => {
    const { rows } = await sql<{ held: number }>`
      select count(*)::int as held from message where campaign_id = ${blast_id} and state = 'leased'`.execute(world.db)
    return rows[0]!.held === 0
  })
  const paused = world.sink.messages.length
  expect(paused).toBeLessThan(before + count)
  // The worker goes on with other mail, and has left this alone.
  await world.nextMail('ada@example.com', () => world.sendError('Notice', 'ada@example.com'))
  expect(world.sink.messages.length).toBe(paused + 1)
  expect(await blast(blast_id)).toMatchObject({ status: 'sending', paused: true })
  await call('resumeBlast', blast_id)
  await world.sink.waitFor(paused + 100)
  await call('cancelBlast', blast_id)
  await world.quiet()
  const ended = await reaches(blast_id, 'sent')
  const { total } = ended.stats as { total: { [name: string]: number } }
  // Whoever had no message yet gets none, and needs no row that says so.
  expect(total.count! + total.cancelled!).toBeLessThan(count)
  const came = world.sink.messages.slice(before).flatMap(({ to }) => to)
  const sent = came.filter((address) => address.startsWith('many'))
  expect(sent).toHaveLength(total.count!)
  expect(new Set(sent).size).toBe(total.count)
})

it('can be unscheduled, scheduled from a template or another campaign, and deleted', async () => {
  const { blast_id } = await schedule('Later', 'Weekly', '+1 day')
  expect(await call('unscheduleBlast', blast_id)).toMatchObject({ status: 'created', schedule_time: null })
  expect(await call('scheduleBlastFromTemplate', blast_id, 'News', 'Weekly', '+2 days', {})).toMatchObject({
    blast_id,
    status: 'scheduled',
    copy_template: 'News',
    subject: 'News for {name}',
  })
  expect(await call('scheduleBlastFromBlast', blast_id, '+3 days', {})).toMatchObject({ blast_id, status: 'scheduled' })
  expect(await call('updateBlast', blast_id, { subject: 'Newer' })).toMatchObject({ subject: 'Newer' })
  const copy = await world.post('blast', { copy_blast: blast_id })
  expect(copy).toMatchObject({ status: 'created', name: 'Later', subject: 'Newer', list: 'Weekly' })
  expect(await call('deleteBlast', blast_id)).toEqual({ ok: true, blast_id })
})

it('operators see and steer it from the command line', async () => {
  const { blast_id } = await schedule('Tomorrow', 'Weekly', '+1 day', { suppress_list: 'Partners' })
  const id = String(blast_id)
  expect(await world.command(['campaign', 'list'])).toMatch(new RegExp(`${id}\\s+Tomorrow\\s+scheduled`))
  const shown = await world.command(['campaign', 'show', id, '--left-out'])
  expect(shown).toMatch(/Would go to 1 people/)
  expect(shown).toMatch(/out@example.com\s+optout_all/)
  expect(await world.command(['campaign', 'cancel', id])).toBe(`campaign ${id} is cancelled\n`)
  const first = JSON.parse(await world.command(['campaign', 'show', '1', '--json', '--left-out', 'suppress_list']))
  expect(first).toMatchObject({
    name: 'Spring',
    status: 'sent',
    sent: 2,
    left_out_people: [{ reason: 'suppress_list' }],
  })
})
