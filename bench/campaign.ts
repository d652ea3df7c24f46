import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTransport } from 'nodemailer'
import { openDatabase } from '../packages/server/src/platform/database.ts'
import { locateEmbedded } from '../packages/server/src/platform/postgres/index.ts'
import { content, startCampaign } from './campaign-content.ts'
import { addPeople } from './fill.ts'
import { type BenchOptions, type Measure, median } from './measure.ts'
import { cpuSeconds, memory } from './processes.ts'
import { rawSmtpClient } from './raw-smtp.ts'
import { call } from './sailthru.ts'
import { startSending } from './servers.ts'
import { type Sink, startSink } from './sink.ts'
import { untilQuiet, watch } from './watch.ts'

/** How long each way of sending is watched, in ms, after it has come up to speed. */
const WATCH = 4_000
const WARM_UP = 2_500
const ROUNDS = 3
/** More than is sent while anybody watches. */
const MANY = 200_000

interface Setting {
  connections: number
  /** Milliseconds that the server takes for each answer. */
  latency: number
  dkim: boolean
  /** Worker processes; unset: as many as a start takes by itself. */
  workers?: number
}

const SETTINGS: Setting[] = [
  { connections: 1, latency: 0, dkim: false },
  { connections: 10, latency: 0, dkim: false },
  { connections: 50, latency: 0, dkim: false },
  { connections: 10, latency: 20, dkim: false },
  { connections: 50, latency: 20, dkim: false },
  { connections: 10, latency: 0, dkim: true },
  { connections: 10, latency: 0, dkim: false, workers: 2 },
]

/**
 * Campaigns from end to end: audience, decision, Zephyr, tracked links, unsubscribe headers, MIME, SMTP to a sink on this
 * machine, status rows. Beside it a socket loop that sends messages of the same size, and nodemailer's pool, which
 * sends equal messages and has no database to ask or to tell.
 */
export async function run(options: BenchOptions = { profile: null }): Promise<Measure[]> {
  const measures: Measure[] = []
  for (const setting of SETTINGS) measures.push(...(await compare(setting, options)))
  return measures
}

async function compare(setting: Setting, options: BenchOptions): Promise<Measure[]> {
  const { connections, latency, dkim, workers } = setting
  const sink = await startSink(latency)
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-bench-dkim-'))
  const key = join(folder, 'key.pem')
  writeFileSync(key, rsaKey())
  const fairlead = await startSending(options, sink, connections, {
    ...(dkim && { FAIRLEAD_DKIM: `bench@example.org=${key}` }),
    ...(workers && { FAIRLEAD_WORKERS: String(workers) }),
  })
  const db = openDatabase(locateEmbedded(fairlead.dataDir)!, 2)
  try {
    await addPeople(db, MANY, 1)
    const ours: number[] = []
    const theirs: { raw: number[]; nodemailer: number[] } = { raw: [], nodemailer: [] }
    const cpu = new Map<string, number>()
    let sent = 0
    for (let round = 0; round < ROUNDS; round++) {
      const id = await startCampaign(fairlead, `Round ${round}`)
      await sleep(WARM_UP)
      const before = cpuSeconds(fairlead)
      const seen = await watch(sink, WATCH)
      for (const [part, seconds] of cpuSeconds(fairlead)) {
        cpu.set(part, (cpu.get(part) ?? 0) + seconds - (before.get(part) ?? 0))
      }
      ours.push(seen.rate)
      sent += seen.messages
      await call(fairlead, 'POST', 'blast', { blast_id: id, status: 'sent' })
      await untilQuiet(sink)
      theirs.raw.push(await rateOf(sink, rawClients(sink, connections, seen.bytes)))
      theirs.nodemailer.push(await rateOf(sink, pooled(sink, connections, seen.bytes)))
    }
    const under = `${connections} connections, ${latency} ms${dkim ? ', RSA DKIM' : ''}${workers ? `, ${workers} workers` : ''}`
    const beside = (others: number[], of: string) => ({
      ratio: median(ours.map((rate, round) => rate / others[round]!)),
      of: `${of}, ${under}`,
    })
    const unit = 'messages/s'
    const isPlain = latency === 0 && !dkim
    return [
      { name: `socket loop, ${under}`, value: median(theirs.raw), unit },
      { name: `nodemailer's pool, ${under}`, value: median(theirs.nodemailer), unit },
      {
        name: `campaign, ${under}`,
        value: median(ours),
        unit,
        ...beside(theirs.raw, 'socket loop'),
        ...(isPlain && { bar: { atLeast: 0.3 } }),
      },
      {
        name: `campaign, ${under}`,
        value: median(ours),
        unit,
        ...beside(theirs.nodemailer, "nodemailer's pool"),
        ...(isPlain && { bar: { atLeast: 5 } }),
      },
      ...(isPlain
        ? [{ name: `campaign, ${under}, by itself`, value: median(ours), unit, bar: { atLeast: 3_000 } }]
        : []),
      ...Array.from(cpu, ([part, seconds]) => ({
        name: `campaign, ${under}: CPU of ${part}`,
        value: (seconds * 1e6) / sent,
        unit: 'µs/message',
      })),
      ...memory(fairlead, `campaign, ${under}`),
    ]
  } finally {
    await db.destroy()
    await fairlead.remove()
    sink.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The rate of senders that send until they are stopped. */
async function rateOf(sink: Sink, senders: Promise<{ stop(): void }>): Promise<number> {
  const sending = await senders
  await sleep(500)
  const { rate } = await watch(sink, WATCH)
  sending.stop()
  await untilQuiet(sink)
  return rate
}

async function rawClients({ port }: Sink, count: number, bytes: number): Promise<{ stop(): void }> {
  const line = `${'0123456789 '.repeat(7)}\r\n`
  const message = Buffer.from(`${line.repeat(Math.ceil(bytes / line.length)).slice(0, bytes - 2)}\r\n`)
  const clients = await Promise.all(Array.from({ length: count }, () => rawSmtpClient(port, message)))
  let isStopped = false
  for (const client of clients)
    void (async () => {
      while (!isStopped) await client.send()
    })()
  return {
    stop() {
      isStopped = true
    },
  }
}

/** Equal messages: the same size of HTML, a text, the same headers; made anew for everybody, as a pool has to. */
async function pooled({ port }: Sink, count: number, bytes: number): Promise<{ stop(): void }> {
  const transport = createTransport({
    pool: true,
    host: '127.0.0.1',
    port,
    maxConnections: count,
    maxMessages: 1e9,
    ignoreTLS: true,
  })
  const html = content()
    .repeat(2)
    .slice(0, Math.max(1_000, bytes - 1_500))
  let isStopped = false
  let n = 0
  const send = async () => {
    while (!isStopped) {
      n += 1
      await transport.sendMail({
        from: 'The Shop <shop@example.org>',
        to: `person${n}@example.com`,
        subject: `News for ${n}`,
        html,
        text: `News for ${n}: https://shop.example.org/`,
        headers: {
          'List-Unsubscribe': `<https://mail.example.org/u/${n}>`,
          'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
        },
      })
    }
  }
  for (let lane = 0; lane < count * 2; lane++) void send().catch(() => {})
  return {
    stop() {
      isStopped = true
      setTimeout(() => transport.close(), 1_000)
    },
  }
}

function rsaKey(): string {
  return generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  }).privateKey
}
