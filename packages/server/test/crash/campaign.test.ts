import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/platform/database.ts'
import { locateEmbedded } from '../../src/platform/postgres/index.ts'
import { type StartedFairlead, startFairlead, whenHealthy } from '../support/fairlead.ts'
import { orphansIn } from '../support/orphans.ts'
import { sailthruClient } from '../support/sailthru.ts'
import { type SmtpSink, startSmtpSink } from '../support/smtp.ts'
import { createChance } from './chance.ts'

/*
 * A campaign that is killed again and again: nobody gets it twice, nobody is forgotten, and what cannot be known is
 * shown as in doubt. CRASH_SEED repeats a run's moments.
 */

const SEED = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000)
const PEOPLE = 20_000
const DEATHS = 20
const VICTIMS = ['worker', 'worker-2', 'web', 'postgres'] as const
const LIST = 'Everybody'
/** The leases of the last life run out after thirty seconds; then its messages are taken up again. */
const COMPLETE_WITHIN = 150_000

const chance = createChance(SEED)
let sink: SmtpSink
let fairlead: StartedFairlead
let db: Database

beforeAll(async () => {
  sink = await startSmtpSink()
  fairlead = await startFairlead({ env: { FAIRLEAD_SMTP_URL: sink.url, FAIRLEAD_WORKERS: '2' } })
  db = openDatabase(locateEmbedded(fairlead.dataDir)!, 2)
})
afterAll(async () => {
  await db?.destroy()
  await fairlead?.remove()
  await sink?.close()
})

test(`a campaign of ${PEOPLE} survives ${DEATHS} sudden deaths (seed ${SEED})`, async () => {
  const client = sailthruClient(fairlead)
  expect(await client.post('list', { list: LIST })).toMatchObject({ error: null })
  await addMembers()
  const { body } = await client.post('blast', {
    name: 'News',
    list: LIST,
    subject: 'News',
    from_name: 'The Shop',
    from_email: 'shop@example.org',
    content_html: '<p>News. <a href="{optout_confirm_url}">Stop</a></p>',
    content_text: 'News. Stop: {optout_confirm_url}',
    schedule_time: 'now',
  })
  const id = Number(body.blast_id)
  expect(id).toBeGreaterThan(0)
  for (let death = 0; death < DEATHS; death++) {
    await sleep(chance.between(50, 600))
    await kill(chance.shuffled(VICTIMS)[0]!)
  }
  await whenHealthy(fairlead.url)
  const rows = await completed(id)
  expect(await orphansIn(db), 'messages that nobody holds').toBe(0)

  expect(rows.length, 'a row for each').toBe(PEOPLE)
  expect(new Set(rows.map((row) => row.address)).size, 'one row each').toBe(PEOPLE)
  const received = new Map<string, number>()
  for (const { to } of sink.messages) received.set(to[0]!, (received.get(to[0]!) ?? 0) + 1)
  const twice = [...received].filter(([, count]) => count > 1)
  expect(twice, 'nobody gets it twice').toEqual([])
  const states = new Map(rows.map((row) => [row.address, row.state]))
  const unfinished = rows.filter((row) => !['sent', 'in_doubt', 'suppressed'].includes(row.state))
  expect(unfinished, 'every row is at its end').toEqual([])
  const lost = rows.filter((row) => row.state === 'sent' && !received.has(row.address))
  expect(lost, 'what is shown as sent has arrived').toEqual([])
  const hidden = [...received.keys()].filter((address) => !['sent', 'in_doubt'].includes(states.get(address) ?? ''))
  expect(hidden, 'what has arrived is shown as sent, or as in doubt').toEqual([])
  const inDoubt = rows.filter((row) => row.state === 'in_doubt')
  expect(inDoubt.length, 'a death leaves in doubt what was just being handed over').toBeLessThan(DEATHS * 128)
  const suppressed = rows.filter((row) => row.state === 'suppressed').map((row) => row.address)
  expect(suppressed.length, 'a tenth had opted out').toBe(PEOPLE / 10)
})

/** People on the list; every tenth opted out. */
async function addMembers(): Promise<void> {
  await sql`
    with person as (
      insert into profile (shard, id, email, level, created_at, salt)
      select n % 64, nextval('profile_number') * 64 + n % 64, 'person' || n || '@example.com',
        case when n % 10 = 0 then 3 else 0 end, now(), '\\x0011223344556677'
      from generate_series(1, ${PEOPLE}::int) n returning shard, id)
    insert into list_member select person.shard, person.id, list.id, now() from person, list where name = ${LIST}`.execute(
    db,
  )
}

async function kill(victim: (typeof VICTIMS)[number]): Promise<void> {
  const pid = fairlead.pids()[victim]
  // It is on its way back from the last time.
  if (pid === undefined) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Its parent's death may have ended it first.
  }
}

/** The rows of the campaign once none is on its way any more. */
async function completed(id: number): Promise<Array<{ address: string; state: string }>> {
  const deadline = Date.now() + COMPLETE_WITHIN
  for (;;) {
    const status = await statusOf(id)
    if (status === 'sent') break
    if (Date.now() > deadline) throw new Error(`the campaign is still ${status}`)
    await sleep(500)
  }
  const { rows } = await sql<{ address: string; state: string }>`
    select address, state from message where campaign_id = ${id}`.execute(db)
  return rows
}

async function statusOf(id: number): Promise<string> {
  try {
    const { rows } = await sql<{ status: string }>`select status from campaign where id = ${id}`.execute(db)
    return rows[0]?.status ?? 'gone'
  } catch (error) {
    // The database may still be on its way back.
    return String(error)
  }
}
