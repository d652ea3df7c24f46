import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { listAudit } from '../../src/account/audit.ts'
import type { Database } from '../../src/platform/database.ts'
import { type MailHouse, mailHouse } from '../delivery/support.ts'
import { until } from '../support/until.ts'
import { commandsOn } from './support.ts'

let house: MailHouse
let fairlead: ReturnType<typeof commandsOn>

beforeAll(async () => {
  house = await mailHouse()
  fairlead = commandsOn(house.connection)
  const { templates } = house
  for (const name of ['News', 'Receipt']) {
    await templates.save(name, { subject: name, content_html: '<p>Hello</p>' })
  }
  house.deliver({ db: watched(house.db) })
})
afterAll(() => house.end())
beforeEach(() => {
  house.sink.accept()
  // Commands read the time from the machine.
  house.clock.set(new Date())
})

/** How often the worker has begun to read what is held, and the last of those that it has read. */
const reads = { begun: 0, read: 0 }
/** The worker's database, which says when it reads what is held. */
function watched(db: Database): Database {
  const numbers = new WeakMap<object, number>()
  return db.withPlugin({
    transformQuery({ node, queryId }) {
      if (JSON.stringify(node).includes('delivery_hold')) numbers.set(queryId, ++reads.begun)
      return node
    },
    async transformResult({ result, queryId }) {
      reads.read = numbers.get(queryId) ?? reads.read
      return result
    },
  })
}
/** Once the worker has looked at what is held again. */
async function known(): Promise<void> {
  const { begun } = reads
  await until('the worker knows what is held', () => reads.read > begun)
}
const say = async (...args: string[]) => {
  const { code, said, complaints } = await fairlead('queue', ...args)
  expect(complaints).toEqual([])
  expect(code).toBe(0)
  return said
}
const refusal = async (...args: string[]) => {
  const { code, said, complaints } = await fairlead('queue', ...args)
  expect({ code, said }).toEqual({ code: 1, said: [] })
  expect(complaints).toHaveLength(1)
  return complaints[0]
}
const arrivedFor = (address: string) => house.sink.messages.filter(({ to }) => to.includes(address)).length

test('says when nothing waits, and what waits since when', async () => {
  expect(await say('status')).toEqual(['Nothing waits'])
  const at = new Date(Date.now() + 3_600_000)
  const id = await house.send('News', 'later@example.com', { scheduledFor: at })
  const [head, line] = await say('status')
  expect(head).toMatch(/^STATE +KIND +MESSAGES +OLDEST$/)
  expect(line).toMatch(/^scheduled +triggered +1 +from \d{4}-\d\d-\d\d \d\d:\d\d$/)
  await sql`delete from message where id = ${id}`.execute(house.db)
})

describe('an emergency', () => {
  test('a held template is kept back without an attempt, others go on, and it goes out after the release', async () => {
    expect(await say('hold', '--template', 'News', '--reason', 'wrong price')).toEqual([
      'held: mail of template News; what is on its way to the relay this very moment still goes out',
    ])
    await known()
    const id = await house.send('News', 'ada@example.com')
    const other = await house.send('Receipt', 'ada@example.com')
    await house.reaches(other, 'sent')
    const row = await house.reaches(id, 'deferred')
    expect(row).toMatchObject({ reason: 'held', reply: 'held by an operator: wrong price', attempts: 0 })
    expect(row.due_at!.getTime() - house.clock.now().getTime()).toBe(60_000)
    const status = await say('status')
    expect(status[1]).toMatch(/^held +triggered +1 +\d s$/)
    expect(status[2]).toMatch(/^Held since .*: mail of template News \(wrong price\)$/)
    expect((await say('list', '--state', 'held'))[1]).toContain('held by an operator: wrong price')

    expect(await say('release', '--template', 'News', '--reason', 'mended')).toEqual([
      'no longer held: mail of template News; sent now: one message',
    ])
    house.clock.set(new Date())
    await house.reaches(id, 'sent')
    expect(await house.row(id)).toMatchObject({ reason: null, attempts: 1 })
    expect(arrivedFor('ada@example.com')).toBe(2)
    const audit = await listAudit(house.db, 2)
    expect(audit).toMatchObject([
      { action: 'delivery_hold', from: 'held', to: null, reason: 'mended', via: 'command' },
      { action: 'delivery_hold', from: null, to: 'held', reason: 'wrong price' },
    ])
    expect(audit[0]!.subject).toMatch(/^template \d+$/)
  })

  test('a held domain is held however its addresses are spelled', async () => {
    await say('hold', '--domain', 'Bücher.example', '--reason', 'they asked')
    await known()
    const ids = [
      await house.send('News', 'ada@bücher.example'),
      await house.send('News', 'bob@XN--BCHER-KVA.example'),
      await house.send('News', 'cy@Bücher.Example'),
    ]
    const free = await house.send('News', 'ada@sub.xn--bcher-kva.example')
    await house.reaches(free, 'sent')
    for (const id of ids) expect(await house.reaches(id, 'deferred')).toMatchObject({ reason: 'held' })
    expect(await refusal('release', '--domain', 'example.com')).toContain('mail to example.com is not held')
    expect(await say('release', '--domain', 'bücher.example')).toEqual([
      'no longer held: mail to xn--bcher-kva.example; sent now: 3 messages',
    ])
    house.clock.set(new Date())
    for (const id of ids) await house.reaches(id, 'sent', 'failed')
  })

  test('with everything held nothing is even taken from the queue', async () => {
    await say('hold', '--everything', '--reason', 'stop')
    await known()
    const id = await house.send('News', 'stop@example.com')
    await known()
    expect(await house.row(id)).toMatchObject({ state: 'queued', attempts: 0, reason: null })
    expect((await say('status')).at(-1)).toMatch(/^Held since .*: all mail \(stop\)$/)
    await say('release', '--everything')
    await house.reaches(id, 'sent')
  })

  test('the longer a hold stands, the less often its messages are looked at', async () => {
    await say('hold', '--template', 'News', '--reason', 'for long')
    await known()
    house.clock.advance(20 * 60_000)
    const id = await house.send('News', 'long@example.com')
    const row = await house.reaches(id, 'deferred')
    const wait = row.due_at!.getTime() - house.clock.now().getTime()
    // A quarter of the time that it stands, which passes while this test runs, too.
    expect(wait).toBeGreaterThan(4.9 * 60_000)
    expect(wait).toBeLessThan(8 * 60_000)
    await say('release', '--template', 'News')
    await house.reaches(id, 'sent')
  })

  test('what makes no sense is refused in one line', async () => {
    const which = 'say one of --domain, --template and --everything'
    expect(await refusal('hold', '--reason', 'x')).toContain(which)
    expect(await refusal('hold', '--everything', '--domain', 'example.com', '--reason', 'x')).toContain(which)
    expect(await refusal('hold', '--template', 'None', '--reason', 'x')).toContain('there is no template None')
    expect(await refusal('hold', '--domain', 'ada@example.com', '--reason', 'x')).toContain('It is a domain')
    expect(await refusal('hold', '--everything', '--reason', ' ')).toContain('--reason must say why')
    expect(await refusal('hold', '--everything')).toContain('--reason')
    expect(await refusal('release', '--everything')).toContain('all mail is not held')
  })
})

describe('retry', () => {
  test('makes deferred messages due at once, those that were asked for and no others', async () => {
    house.sink.refuse({ phase: 'rcpt', code: 451, text: '4.3.0 not now' })
    const ids = [
      await house.send('News', 'one@example.net'),
      await house.send('Receipt', 'two@example.net'),
      await house.send('News', 'three@example.org'),
    ]
    for (const id of ids) await house.reaches(id, 'deferred')
    house.sink.accept()
    expect(await say('retry', '--domain', 'example.net')).toEqual(['2 messages would be tried now: say --yes to do it'])
    expect(await say('retry', '--template', 'Receipt', '--yes')).toEqual(['tried now: one message'])
    house.clock.set(new Date())
    await house.reaches(ids[1]!, 'sent')
    expect(await say('retry', '--domain', 'EXAMPLE.net', '--template', 'News', '--yes')).toEqual([
      'tried now: one message',
    ])
    house.clock.set(new Date())
    await house.reaches(ids[0]!, 'sent')
    expect((await house.row(ids[2]!)).state).toBe('deferred')
    expect(await say('list', '--json').then((lines) => lines.map((line) => JSON.parse(line)))).toMatchObject([
      { id: ids[2], state: 'deferred', address: 'three@example.org', content: 'News', attempts: 1 },
    ])
    expect((await say('list', '--domain', 'example.org'))[1]).toContain('451 4.3.0 not now')
    expect(await say('retry', '--all', '--yes')).toEqual(['tried now: one message'])
    house.clock.set(new Date())
    await house.reaches(ids[2]!, 'sent')
    expect(await say('retry', '--all')).toEqual(['0 messages would be tried now'])
    expect(await say('list')).toEqual(['Nothing waits'])
  })

  test('wants to know which', async () => {
    expect(await refusal('retry', '--yes')).toContain('say either --all or which')
    expect(await refusal('retry', '--all', '--domain', 'example.com')).toContain('say either --all or which')
  })
})

describe('in doubt', () => {
  /** A campaign of three messages in doubt. */
  async function campaign(status: string): Promise<{ id: number; messages: number[] }> {
    const { db } = house
    const now = new Date()
    const { rows } = await sql<{ id: number }>`
      insert into campaign (name, status, content, list_ids, stopped_at, created_at, modified_at)
      values ('Spring', ${status}, '{}', '{}', ${now}, ${now}, ${now}) returning id`.execute(db)
    const id = rows[0]!.id
    const inserted = await sql<{ id: number }>`
      insert into message (shard, id, profile_id, campaign_id, revision_id, kind, origin, address, priority, state,
        due_at, attempts, created_at, settled_at)
      select 1, nextval('message_number') * 64 + 1, n * 64 + 1, ${id}, 1, 'campaign', 'campaign', n || '@example.com',
        2, 'in_doubt', 'infinity', 1, ${now}, ${now}
      from generate_series(1, 3) n returning id`.execute(db)
    return { id, messages: inserted.rows.map((row) => row.id) }
  }
  const states = async (ids: number[]) => {
    const rows = await Promise.all(ids.map((id) => house.row(id)))
    return rows.map(({ state, reason, sent_at, settled_at }) => [state, reason, sent_at !== null, settled_at !== null])
  }

  test('is shown, and ends as the operator says', async () => {
    const { id, messages } = await campaign('sent')
    const [head, line, doubt] = await say('status')
    expect([head, line]).toEqual([expect.stringContaining('STATE'), expect.stringMatching(/^in_doubt +campaign +3 /)])
    expect(doubt).toBe(`In doubt: 3 messages of campaign ${id} (Spring): see "fairlead queue release --help"`)
    expect(await say('release', '--in-doubt', '--campaign', String(id))).toEqual([
      `3 messages of campaign ${id} in doubt: say --as queued|sent|failed and --yes to decide`,
    ])
    expect(await states(messages)).toEqual(Array(3).fill(['in_doubt', null, false, true]))
    const args = ['release', '--in-doubt', '--campaign', String(id), '--as', 'sent', '--reason', 'the relay says so']
    expect(await say(...args, '--yes')).toEqual([`no longer in doubt: 3 messages of campaign ${id}, now sent`])
    expect(await states(messages)).toEqual(Array(3).fill(['sent', null, true, true]))
    expect((await listAudit(house.db, 1))[0]).toMatchObject({
      action: 'in_doubt',
      subject: `campaign ${id}: 3 messages`,
      from: 'in_doubt',
      to: 'sent',
      reason: 'the relay says so',
    })
    expect(await refusal(...args, '--yes')).toContain(`campaign ${id} has no messages in doubt`)
  })

  test('as failed they stay where they are, with the reason', async () => {
    const { id, messages } = await campaign('sent')
    await say('release', '--campaign', String(id), '--as', 'failed', '--yes')
    expect(await states(messages)).toEqual(Array(3).fill(['failed', 'in_doubt', false, true]))
  })

  test('as queued they wait again and the campaign goes on', async () => {
    const { id, messages } = await campaign('sent')
    await say('hold', '--everything', '--reason', 'to look at it')
    await known()
    await say('release', '--campaign', String(id), '--as', 'queued', '--yes')
    expect(await states(messages)).toEqual(Array(3).fill(['queued', null, false, false]))
    const { rows } = await sql<{ status: string }>`select status from campaign where id = ${id}`.execute(house.db)
    expect(rows).toEqual([{ status: 'sending' }])
    await sql`delete from message where campaign_id = ${id}`.execute(house.db)
    await say('release', '--everything')
  })

  test('of a cancelled campaign nothing is sent any more', async () => {
    const { id, messages } = await campaign('cancelled')
    expect(await refusal('release', '--campaign', String(id), '--as', 'queued', '--yes')).toContain('was cancelled')
    expect(await states(messages)).toEqual(Array(3).fill(['in_doubt', null, false, true]))
    expect(await refusal('release', '--in-doubt')).toContain('--in-doubt needs --campaign')
  })
})
