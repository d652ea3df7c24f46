import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { retryDeferred } from '../../src/delivery/requeue.ts'
import { type Database, openDatabase } from '../../src/platform/database.ts'
import { locateEmbedded } from '../../src/platform/postgres/index.ts'
import { childrenOf, runFairlead, type StartedFairlead, startFairlead, whenHealthy } from '../support/fairlead.ts'
import { orphansIn } from '../support/orphans.ts'
import { type Sailthru, sailthruClient } from '../support/sailthru.ts'
import { type SmtpSink, startSmtpSink } from '../support/smtp.ts'
import { type Chance, createChance } from './chance.ts'
import { type CutRelay, startCutRelay } from './relay.ts'

/*
 * Triggered sends and campaigns while everything is killed in turn: server processes of the database and the database
 * itself, workers, the web process, connections to the relay. Then quiet, until nothing waits; then everything is counted.
 */

export interface SoakOptions {
  /** How long the load and the killing go on. */
  seconds: number
  /** Repeats the order of the deaths and the times between them. */
  seed: number
  /** People on the list of the campaigns. */
  people: number
  /** Milliseconds after which the next campaign begins. */
  campaignEvery: number
  /** Longest wait for the queue to become empty, in ms. */
  emptyWithin: number
  say: (line: string) => void
}

export interface Counts {
  deaths: Record<string, number>
  /** Triggered sends that the caller was told to be accepted. */
  acknowledged: number
  /** Messages at the sink: different ones, and those that came again under the same Message-ID. */
  arrived: number
  again: number
  /** Acknowledged sends that did not arrive, and are shown as in doubt. */
  doubtful: number
  /** Campaigns: recipients that may be written to, different ones that arrived, in doubt, more than once. */
  campaigns: number
  recipients: number
  reached: number
  inDoubt: number
  doubled: number
  /** Messages that no worker held: those that the watch put back, and those that are left. */
  orphaned: number
  /** Acknowledged sends, recipients of campaigns and ends of campaigns that never came. */
  lost: number
  /** Calls that failed, by error code; 0: nobody answered. */
  refused: Record<string, number>
  /** Some examples of what is wrong. */
  problems: string[]
}

const TEMPLATE = 'Order shipped'
const LIST = 'Everybody'
const SENDERS = 4
const KINDS = ['backend', 'backend', 'backend', 'terminate', 'worker', 'worker-2', 'web', 'postgres', 'relay', 'relay']

export async function soak(options: SoakOptions): Promise<Counts> {
  const { seconds, seed, say } = options
  const chance = createChance(seed)
  const sink = await startSmtpSink()
  const relay = await startCutRelay(sink.port)
  const dataDir = realpathSync(mkdtempSync(join(tmpdir(), 'fairlead-soak-')))
  let fairlead: StartedFairlead | null = null
  let db: Database | null = null
  try {
    for (const args of [['migrate'], ['setting', 'set', 'rate_limits', 'false']]) {
      const { code, stderr } = await runFairlead(args, { FAIRLEAD_DATA_DIR: dataDir })
      if (code !== 0) throw new Error(`fairlead ${args.join(' ')}: ${stderr}`)
    }
    const env = { FAIRLEAD_SMTP_URL: `smtp://127.0.0.1:${relay.port}`, FAIRLEAD_WORKERS: '2' }
    fairlead = await started(() => startFairlead({ dataDir, env }))
    db = openDatabase(locateEmbedded(dataDir)!, 2)
    const run = createRun({ options, chance, fairlead, db, sink, relay })
    await run.prepare()
    say(`seed ${seed}: ${seconds} s of load and sudden deaths`)
    await run.load()
    say('quiet: until nothing waits')
    await run.untilEmpty()
    return await run.count()
  } finally {
    await db?.destroy()
    await fairlead?.stop()
    await relay.close()
    await sink.close()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

/** A busy machine may take longer over a start than one is given. */
async function started(start: () => Promise<StartedFairlead>): Promise<StartedFairlead> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start()
    } catch (error) {
      if (attempt === 3) throw error
    }
  }
}

interface RunParts {
  options: SoakOptions
  chance: Chance
  fairlead: StartedFairlead
  db: Database
  sink: SmtpSink
  relay: CutRelay
}

function createRun({ options, chance, fairlead, db, sink, relay }: RunParts) {
  const { seconds, people, campaignEvery, emptyWithin, say } = options
  const client = sailthruClient(fairlead)
  /** Numbers of sends: the send id, where it was acknowledged. */
  const sends = new Map<number, string>()
  /** At the sink: by number of the send the Message-IDs, and by campaign and recipient how often. */
  const arrivals = new Map<number, string[]>()
  const copies = new Map<string, number>()
  const acknowledgedCampaigns = new Set<number>()
  const refused: Record<string, number> = {}
  const deaths: Record<string, number> = {}
  const end = { at: Infinity }
  let numbers = 0

  /** Counts what came, and keeps no more of it. */
  function take(): void {
    for (const { to, raw } of sink.messages.splice(0)) {
      const subject = /^Subject: (Order|News) (\d+)\r?$/m.exec(raw)
      if (subject?.[1] === 'Order') {
        const id = /^Message-ID: <([^@>]+)@/im.exec(raw)?.[1] ?? 'none'
        arrivals.set(Number(subject[2]), [...(arrivals.get(Number(subject[2])) ?? []), id])
      } else if (subject) {
        const key = `${subject[2]} ${to[0]}`
        copies.set(key, (copies.get(key) ?? 0) + 1)
      }
    }
  }

  async function sendOn(): Promise<void> {
    while (Date.now() < end.at) {
      const number = ++numbers
      const email = `reader${number % 50}@example.com`
      const { error, body } = await client.post('send', { template: TEMPLATE, email, vars: { number } })
      if (error === null) sends.set(number, String(body.send_id))
      else {
        refused[error] = (refused[error] ?? 0) + 1
        await sleep(100)
      }
    }
  }

  async function campaignsOn(): Promise<void> {
    for (let number = 1; Date.now() < end.at; number++) {
      const { error, body } = await client.post('blast', newsletter(number))
      if (error === null) acknowledgedCampaigns.add(Number(body.blast_id))
      // One that nobody answered may be there all the same, and is counted by its row.
      await sleep(error === null ? Math.min(campaignEvery, end.at - Date.now()) : 250)
    }
  }

  async function killOn(): Promise<void> {
    while (Date.now() < end.at) {
      await sleep(chance.between(300, 3_000))
      if (Date.now() >= end.at) return
      const kind = chance.shuffled(KINDS)[0]!
      const pick = chance.between(0, 1)
      if (await strike(kind, pick)) deaths[kind] = (deaths[kind] ?? 0) + 1
    }
  }

  /** @returns whether there was anything to kill */
  async function strike(kind: string, pick: number): Promise<boolean> {
    const pids = fairlead.pids()
    if (kind === 'relay') {
      relay.cut(pick < 0.5 ? 1 : 0.3, () => chance.between(0, 1))
      return true
    }
    if (kind === 'backend' || kind === 'terminate') {
      const backends = pids.postgres === undefined ? [] : childrenOf(pids.postgres).filter(isBackend)
      const victim = backends[Math.floor(pick * backends.length)]
      // SIGTERM is what pg_terminate_backend sends.
      return victim !== undefined && killed(victim, kind === 'backend' ? 'SIGKILL' : 'SIGTERM')
    }
    const victim = pids[kind as 'web' | 'worker' | 'worker-2' | 'postgres']
    return victim !== undefined && killed(victim, 'SIGKILL')
  }

  async function progress(): Promise<void> {
    while (Date.now() < end.at) {
      await sleep(Math.min(10_000, Math.max(0, end.at - Date.now())))
      take()
      say(
        `${Math.round((end.at - Date.now()) / 1_000)} s left: ${sends.size} acknowledged, ${arrivals.size} arrived, ` +
          `${copies.size} of campaigns, deaths ${JSON.stringify(deaths)}`,
      )
    }
  }

  /** Asks until the database answers. */
  async function asked<T>(ask: () => Promise<T>): Promise<T> {
    const deadline = Date.now() + 60_000
    for (;;) {
      try {
        return await ask()
      } catch (error) {
        if (Date.now() > deadline) throw error
        await sleep(250)
      }
    }
  }

  async function unfinished(): Promise<string | null> {
    const { rows } = await sql<{ messages: number; campaigns: number }>`
      select (select count(*)::int from message where state in ('queued', 'leased', 'deferred')) as messages,
        (select count(*)::int from campaign where status not in ('sent', 'cancelled') or stopped_at is null) as campaigns`.execute(
      db,
    )
    const { messages, campaigns } = rows[0]!
    return messages + campaigns === 0 ? null : `${messages} messages and ${campaigns} campaigns`
  }

  return {
    async prepare(): Promise<void> {
      await must(
        client.post('template', { template: TEMPLATE, subject: 'Order {number}', content_html: '<p>Sent.</p>' }),
      )
      await must(client.post('list', { list: LIST }))
      await sql`
        with person as (
          insert into profile (shard, id, email, level, created_at, salt)
          select n % 64, nextval('profile_number') * 64 + n % 64, 'person' || n || '@example.com',
            case when n % 10 = 0 then 3 else 0 end, now(), '\\x0011223344556677'
          from generate_series(1, ${people}::int) n returning shard, id)
        insert into list_member select person.shard, person.id, list.id, now() from person, list
        where name = ${LIST}`.execute(db)
    },

    async load(): Promise<void> {
      end.at = Date.now() + seconds * 1_000
      const callers = Array.from({ length: SENDERS }, sendOn)
      await Promise.all([...callers, campaignsOn(), killOn(), progress()])
      await whenHealthy(fairlead.url)
    },

    /** What a broken connection deferred is tried now, as an operator would, so that nobody waits for its pause. */
    async untilEmpty(): Promise<void> {
      const deadline = Date.now() + emptyWithin
      for (;;) {
        const left = await asked(unfinished)
        take()
        if (left === null || Date.now() > deadline) return
        await asked(() => retryDeferred(db, {}, new Date()))
        await sleep(500)
      }
    },

    async count(): Promise<Counts> {
      take()
      const problems: string[] = []
      const { rows } = await sql<{ number: number; state: string; reason: string | null; n: number }>`
        select (vars->>'number')::int as number, min(state) as state, min(reason) as reason, count(*)::int as n
        from message where campaign_id is null group by 1`.execute(db)
      const triggered = new Map(rows.map((row) => [row.number, row]))
      let [lost, doubtful] = [0, 0]
      for (const [number, sendId] of sends) {
        const row = triggered.get(number)
        const ids = new Set(arrivals.get(number))
        if (ids.size === 1 && ids.has(sendId)) continue
        if (ids.size === 0 && row?.reason === 'in_doubt') doubtful += 1
        else {
          lost += 1
          problems.push(`send ${number}: ${row?.state ?? 'no message'} (${row?.reason}), arrived as ${[...ids]}`)
        }
      }
      const campaigns = await campaignRows()
      const known = new Set(campaigns.map((row) => row.id))
      for (const id of acknowledgedCampaigns) if (!known.has(id)) problems.push(`campaign ${id} is gone`)
      lost += acknowledgedCampaigns.size - [...acknowledgedCampaigns].filter((id) => known.has(id)).length
      let [recipients, reached, inDoubt] = [0, 0, 0]
      for (const { id, number, status, messages } of campaigns) {
        if (status !== 'sent') problems.push(`campaign ${id} is ${status}`)
        if (messages.length !== people) problems.push(`campaign ${id} has ${messages.length} of ${people} rows`)
        lost += (status === 'sent' ? 0 : 1) + Math.abs(people - messages.length)
        for (const [address, state] of messages) {
          if (state === 'suppressed') continue
          recipients += 1
          if (state === 'in_doubt') inDoubt += 1
          if (copies.has(`${number} ${address}`)) reached += 1
          else if (state !== 'in_doubt') {
            lost += 1
            problems.push(`campaign ${id}: ${address} is ${state} and has nothing`)
          }
        }
      }
      const doubled = [...copies].filter(([, count]) => count > 1)
      problems.push(...doubled.map(([key, count]) => `campaign ${key} came ${count} times`))
      const orphaned = putBackByWatch(fairlead.output()) + (await orphansIn(db))
      const arrivedAll = [...arrivals.values()].reduce((sum, ids) => sum + ids.length, 0)
      return {
        deaths,
        acknowledged: sends.size,
        arrived: arrivals.size,
        again: arrivedAll - arrivals.size,
        doubtful,
        campaigns: campaigns.length,
        recipients,
        reached,
        inDoubt,
        doubled: doubled.length,
        orphaned,
        lost,
        refused,
        problems: problems.slice(0, 10),
      }
    },
  }

  /** Campaigns with the number in their name, and who is to get them. */
  async function campaignRows() {
    const { rows } = await sql<{ id: number; number: string; status: string; messages: Array<[string, string]> }>`
      select c.id, split_part(c.name, ' ', 2) as number, c.status,
        coalesce((select json_agg(json_build_array(m.address, m.state)) from message m where m.campaign_id = c.id), '[]')
          as messages
      from campaign c order by c.id`.execute(db)
    return rows
  }
}

const newsletter = (number: number) => ({
  name: `News ${number}`,
  list: LIST,
  subject: `News ${number}`,
  from_name: 'The Shop',
  from_email: 'shop@example.org',
  content_html: '<p>News. <a href="{optout_confirm_url}">Stop</a></p>',
  content_text: 'News. Stop: {optout_confirm_url}',
  schedule_time: 'now',
})

async function must(call: ReturnType<Sailthru['post']>): Promise<void> {
  const { error, body } = await call
  if (error !== null) throw new Error(JSON.stringify(body))
}

/** A server process that works for a connection, and not one of the database's own. */
function isBackend(pid: number): boolean {
  try {
    return /^postgres: (\S+: )?fairlead fairlead /.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
  } catch {
    return false
  }
}

function killed(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    // Its parent's death may have ended it first.
    return false
  }
}

/** What the log says of messages that the watch found. */
function putBackByWatch(log: string): number {
  const lines = log.split('\n').filter((line) => line.includes('that no worker held were put back'))
  return lines.reduce((sum, line) => sum + Number(/"messages":(\d+)/.exec(line)?.[1] ?? 1), 0)
}

/** What must not be. */
export const isBroken = ({ lost, orphaned, doubled }: Counts) => lost + orphaned + doubled > 0

/** The counts in a few lines. */
export function report(counts: Counts): string {
  const { deaths, refused, problems } = counts
  const list = (numbers: Record<string, number>) =>
    Object.entries(numbers)
      .map(([name, n]) => `${n} ${name}`)
      .join(', ') || 'none'
  return [
    `deaths: ${list(deaths)}; calls that failed, by error: ${list(refused)}`,
    `triggered: ${counts.acknowledged} acknowledged, ${counts.arrived} arrived, ${counts.again} came again under the ` +
      `same Message-ID, ${counts.doubtful} in doubt`,
    `campaigns: ${counts.campaigns} to ${counts.recipients} recipients, ${counts.reached} arrived, ` +
      `${counts.doubled} doubled, ${counts.inDoubt} in doubt`,
    `orphaned: ${counts.orphaned}; lost: ${counts.lost}`,
    ...problems.map((problem) => `  ${problem}`),
  ].join('\n')
}
