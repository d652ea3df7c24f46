import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTransport } from 'nodemailer'
import { openDatabase } from '../packages/server/src/platform/database.ts'
import { locateEmbedded } from '../packages/server/src/platform/postgres/index.ts'
import { addPeople } from './fill.ts'
import { type BenchOptions, type Measure, median } from './measure.ts'
import { cpuSeconds, memory } from './processes.ts'
import { rawSmtpClient } from './raw-smtp.ts'
import { call } from './sailthru.ts'
import { startMeasured } from './servers.ts'
import { type Sink, startSink } from './sink.ts'

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
}

const SETTINGS: Setting[] = [
  { connections: 1, latency: 0, dkim: false },
  { connections: 10, latency: 0, dkim: false },
  { connections: 50, latency: 0, dkim: false },
  { connections: 10, latency: 20, dkim: false },
  { connections: 50, latency: 20, dkim: false },
  { connections: 10, latency: 0, dkim: true },
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
  const { connections, latency, dkim } = setting
  const sink = await startSink(latency)
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-bench-dkim-'))
  const key = join(folder, 'key.pem')
  writeFileSync(key, rsaKey())
  const fairlead = await startMeasured(options, {
    FAIRLEAD_SMTP_URL: `smtp://127.0.0.1:${sink.port}`,
    FAIRLEAD_SMTP_CONNECTIONS: String(connections),
    FAIRLEAD_FROM: 'The Shop <shop@example.org>',
    ...(dkim && { FAIRLEAD_DKIM: `bench@example.org=${key}` }),
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
      await pause(WARM_UP)
      const before = cpuSeconds(fairlead)
      const seen = await watch(sink)
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
    const under = `${connections} connections, ${latency} ms${dkim ? ', RSA DKIM' : ''}`
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

/** A page of 20 KB with ten links and a few things that are different for everybody. */
export function content(): string {
  const filler = 'Thank you for reading to the end of a line that is here to be as long as such lines are.'
  const item = (n: number) =>
    `<tr><td><a href="https://shop.example.org/item/${n}?from=mail">Item ${n} for {first_name}</a></td>` +
    `<td>{if city == "Lisbon"}Collect it today{else}Delivered to {city}{/if}</td></tr>\n<tr><td>${`${filler}\n`.repeat(20)}</td></tr>\n`
  const items = Array.from({ length: 10 }, (_, n) => item(n)).join('')
  return `<!DOCTYPE html><html><body><h1>Hello {first_name}</h1><table>\n${items}</table>
<p><a href="{optout_confirm_url}">Stop these messages</a></p></body></html>`
}

async function startCampaign(fairlead: { url: string; key: string; secret: string }, name: string): Promise<unknown> {
  const { blast_id } = await call(fairlead, 'POST', 'blast', {
    name,
    list: 'List 1',
    subject: 'News for {first_name}',
    from_name: 'The Shop',
    from_email: 'shop@example.org',
    content_html: content(),
    content_text: 'News for {first_name}: https://shop.example.org/ Stop: {optout_confirm_url}',
    is_link_tracking: 1,
    schedule_time: 'now',
  })
  return blast_id
}

interface Seen {
  rate: number
  messages: number
  /** Of a message. */
  bytes: number
}

async function watch(sink: Sink): Promise<Seen> {
  const before = await sink.count()
  const began = performance.now()
  await pause(WATCH)
  const after = await sink.count()
  const messages = after.messages - before.messages
  const rate = (messages * 1_000) / (performance.now() - began)
  return { rate, messages, bytes: Math.round((after.bytes - before.bytes) / Math.max(1, messages)) }
}

async function untilQuiet(sink: Sink): Promise<void> {
  for (let last = -1; ; ) {
    const { messages } = await sink.count()
    if (messages === last) return
    last = messages
    await pause(500)
  }
}

/** The rate of senders that send until they are stopped. */
async function rateOf(sink: Sink, senders: Promise<{ stop(): void }>): Promise<number> {
  const sending = await senders
  await pause(500)
  const { rate } = await watch(sink)
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

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
