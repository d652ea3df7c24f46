import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/platform/database.ts'
import { locateEmbedded } from '../../src/platform/postgres/index.ts'
import { type StartedFairlead, startFairlead } from '../support/fairlead.ts'
import { orphansIn } from '../support/orphans.ts'
import { sailthruClient } from '../support/sailthru.ts'
import { type SmtpSink, startSmtpSink } from '../support/smtp.ts'
import { createChance } from './chance.ts'
import { callUntilDead, LIST, newRecord, TEMPLATE } from './load.ts'

/*
 * Acknowledged is acknowledged: whatever is killed at whatever moment, nothing of what a caller was told is lost, and
 * nothing happens twice. CRASH_SEED repeats a run's moments, CRASH_LIVES asks for more of them.
 */

const SEED = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000)
const LIVES = Number(process.env.CRASH_LIVES ?? 10)
const CALLERS = { newcomers: 6, regulars: 6, senders: 6 }
/** The leases of the last life run out after thirty seconds; then its messages are taken up again. */
const DELIVERED_WITHIN = 60_000

const chance = createChance(SEED)
const record = newRecord()
let sink: SmtpSink
let fairlead: StartedFairlead
beforeAll(async () => {
  sink = await startSmtpSink()
  fairlead = await startFairlead({ env: { FAIRLEAD_SMTP_URL: sink.url } })
  const client = sailthruClient(fairlead)
  const template = {
    template: TEMPLATE,
    subject: 'Order {number}',
    content_html: '<p>Order {number} is on its way.</p>',
  }
  expect(await client.post('template', template)).toMatchObject({ error: null })
})
afterAll(async () => {
  await fairlead?.remove()
  await sink?.close()
})

test(`nothing acknowledged is lost or doubled in ${LIVES} sudden deaths (seed ${SEED})`, async () => {
  let last = 0
  const numbers = { next: () => ++last }
  for (let life = 1; life <= LIVES; life++) {
    const calls = callUntilDead(fairlead, record, numbers, CALLERS)
    await sleep(chance.between(100, 1_500))
    await killEverything()
    await calls
    fairlead = await startFairlead({
      dataDir: fairlead.dataDir,
      port: fairlead.port,
      env: { FAIRLEAD_SMTP_URL: sink.url },
    })
    await inDatabase(async (db) => {
      await expectPeople(db, life)
      await expectRegulars(db, life)
      await expectSends(db, life)
      expect(await orphansIn(db), `messages that nobody holds in life ${life}`).toBe(0)
    })
  }
  await expectMail()
})

/** Each process at a moment of its own, in any order, within some thirty milliseconds. */
async function killEverything(): Promise<void> {
  for (const pid of chance.shuffled(Object.values(fairlead.pids()))) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // Its parent's death may have ended it first.
    }
    await sleep(chance.between(0, 10))
  }
  await fairlead.kill('SIGKILL', 'everything')
}

async function inDatabase(work: (db: Database) => Promise<void>): Promise<void> {
  const db = openDatabase(locateEmbedded(fairlead.dataDir)!, 2)
  try {
    await work(db)
  } finally {
    await db.destroy()
  }
}

/** Each acknowledged person is there once, with what came along; an unacknowledged one is there whole or not at all. */
async function expectPeople(db: Database, life: number): Promise<void> {
  const { rows } = await sql<{ email: string; profiles: number; number: number; lists: number; rows: number }>`
    select k.value as email, count(*)::int as profiles, min((p.vars->>'number')::int) as number,
      sum((select count(*) from list_member m join list l on l.id = m.list_id and l.name = ${LIST}
        where m.shard = p.shard and m.profile_id = p.id))::int as lists,
      sum((select count(*) from consent_ledger c where c.shard = p.shard and c.profile_id = p.id
        and c.event = 'joined'))::int as rows
    from profile_key k join profile p on p.shard = k.profile_id % 64 and p.id = k.profile_id
    where k.kind = 'email' and k.value like 'person%' group by k.value`.execute(db)
  const wrong = rows.filter(
    ({ email, profiles, number, lists, rows }) =>
      profiles !== 1 || email !== `person${number}@example.com` || lists !== 1 || rows !== 1,
  )
  expect(wrong, `people half written in life ${life}`).toEqual([])
  const found = new Set(rows.map(({ email }) => email))
  const lost = [...record.people].filter(([email, acknowledged]) => acknowledged && !found.has(email))
  expect(lost, `people lost in life ${life}`).toEqual([])
  const { rows: profiles } = await sql<{ count: number }>`
    select count(*)::int as count from profile where email like 'person%'`.execute(db)
  expect(profiles[0]?.count, 'profiles without a key').toBe(rows.length)
}

/** A regular stands at the last acknowledged change, or at the one under way, and each change is one row. */
async function expectRegulars(db: Database, life: number): Promise<void> {
  const { rows } = await sql<{ email: string; count: number; level: number; changes: number }>`
    select p.email, (p.vars->>'count')::int as count, p.level, (select count(*)::int from consent_ledger c
      where c.shard = p.shard and c.profile_id = p.id and c.subject = 'level') as changes
    from profile p where p.email like 'regular%'`.execute(db)
  const byEmail = new Map(rows.map((row) => [row.email, row]))
  for (const [email, regular] of record.regulars) {
    const { acknowledged, asked } = regular
    if (acknowledged === 0 && !byEmail.has(email)) continue
    const { count, level, changes } = byEmail.get(email)!
    expect([acknowledged, asked], `${email} in life ${life}`).toContain(count)
    expect(level, `level of ${email} after change ${count}`).toBe(count % 2 === 1 ? 3 : 0)
    // What was asked for and not carried out is no change, and the next one of another parity is.
    regular.acknowledged = count
    regular.asked = count
    expect(changes, `ledger rows of ${email} after change ${count}`).toBe(count)
  }
}

/** Each acknowledged send is one message; an unacknowledged one is one message or none. */
async function expectSends(db: Database, life: number): Promise<void> {
  const { rows } = await sql<{ number: number; messages: number }>`
    select (vars->>'number')::int as number, count(*)::int as messages from message group by 1`.execute(db)
  expect(
    rows.filter(({ messages }) => messages !== 1),
    `sends doubled in life ${life}`,
  ).toEqual([])
  const found = new Set(rows.map(({ number }) => number))
  const lost = [...record.sends].filter(([number, sendId]) => sendId !== null && !found.has(number))
  expect(lost, `sends lost in life ${life}`).toEqual([])
}

/** Every acknowledged send arrives; what arrives again has the same Message-ID, by which mailboxes know it. */
async function expectMail(): Promise<void> {
  const acknowledged = [...record.sends].filter(([, sendId]) => sendId !== null)
  const deadline = Date.now() + DELIVERED_WITHIN
  let open = -1
  while (open !== 0 && Date.now() < deadline) {
    await sleep(250)
    await inDatabase(async (db) => {
      const { rows } = await sql<{ open: number }>`
        select count(*)::int as open from message where state <> 'sent'`.execute(db)
      open = rows[0]!.open
    })
  }
  expect(open, 'messages that were not sent').toBe(0)

  const received = new Map<number, string[]>()
  for (const { raw } of sink.messages) {
    const number = Number(/^Subject: Order (\d+)\r$/m.exec(raw)?.[1])
    const id = /^Message-ID: <([^@>]+)@/im.exec(raw)?.[1] ?? 'none'
    received.set(number, [...(received.get(number) ?? []), id])
  }
  for (const [number, sendId] of acknowledged) {
    expect(new Set(received.get(number)), `Message-IDs of send ${number}`).toEqual(new Set([sendId]))
  }
  const several = [...received].filter(([, ids]) => new Set(ids).size > 1)
  expect(several, 'sends under several Message-IDs').toEqual([])

  const repeated = sink.messages.length - received.size
  console.log(
    `seed ${SEED}: ${[...record.people.values()].filter(Boolean).length} people, ` +
      `${[...record.regulars.values()].reduce((sum, { acknowledged }) => sum + acknowledged, 0)} changes and ` +
      `${acknowledged.length} sends acknowledged in ${LIVES} lives; ${received.size} messages received, ` +
      `${repeated} of them again under the same Message-ID; errors: ${JSON.stringify([...record.refusals])}`,
  )
  // A repetition can only be a message that was on the wire at a death: at most one for each connection to the relay.
  expect(repeated).toBeLessThanOrEqual(LIVES * 20)
}
