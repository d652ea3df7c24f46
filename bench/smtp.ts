import { fork } from 'node:child_process'
import { once } from 'node:events'
import SMTPConnection from 'nodemailer/lib/smtp-connection'
import { openConnection, type Traits } from '../packages/server/src/delivery/transport.ts'
import { type Measure, median } from './measure.ts'
import { rawSmtpClient, type SmtpClient } from './raw-smtp.ts'

/** Many short rounds: whatever else the machine does, some of them are spared, and the others meet all ways alike. */
const ROUNDS = 25
const MILLISECONDS = 200
const CONNECTIONS = [1, 10, 50]
const BYTES = 20 * 1024

/** What is measured: how to make a client, by name. */
type Ways = Record<string, (port: number) => Promise<SmtpClient>>

interface Result {
  rate: number
  /** Of this process, per message. */
  microseconds: number
}

const ENVELOPE = { from: 'shop@example.org', to: ['ada@example.com'] }
const CONTENT = message()

const OURS = 'our writer'
const RAW = 'pipelining socket loop'
const NODEMAILER = "nodemailer's connection"
const TOLD = `${OURS}, told of dots`
const WAYS: Ways = {
  [RAW]: (port) => rawSmtpClient(port, CONTENT),
  [OURS]: (port) => ourClient(port),
  [TOLD]: (port) => ourClient(port, { eightBit: false, smtpUtf8: false, leadingDot: false }),
  [NODEMAILER]: nodemailerClient,
}

/** Ready messages of 20 KB to a sink on this machine: what our writer costs beside a loop that sends the same bytes. */
export async function run(): Promise<Measure[]> {
  const sink = fork(new URL('smtp-sink.ts', import.meta.url))
  const [{ port }] = (await once(sink, 'message')) as [{ port: number }]
  const measures: Measure[] = []
  try {
    for (const connections of CONNECTIONS) measures.push(...(await compare(port, connections)))
  } finally {
    sink.disconnect()
  }
  return measures
}

/** All ways in turns, after one round that only warms them up; medians over the rounds. */
async function compare(port: number, connections: number): Promise<Measure[]> {
  const results = new Map<string, Result[]>(Object.keys(WAYS).map((name) => [name, []]))
  const opened = new Map<string, SmtpClient[]>()
  for (const [name, make] of Object.entries(WAYS)) {
    opened.set(name, await Promise.all(Array.from({ length: connections }, () => make(port))))
  }
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, clients] of opened) {
      const result = await measure(clients)
      if (round > 0) results.get(name)!.push(result)
    }
  }
  for (const client of [...opened.values()].flat()) client.close()
  const over = (name: string) => `${name}, ${connections} connection${connections > 1 ? 's' : ''}`
  const rates = (name: string) => results.get(name)!.map(({ rate }) => rate)
  const ratio = (name: string, of: string) => ({
    ratio: median(rates(name).map((rate, round) => rate / rates(of)[round]!)),
    of: over(of),
  })
  const unit = 'messages/s'
  return [
    { name: over(RAW), value: median(rates(RAW)), unit },
    { name: over(OURS), value: median(rates(OURS)), unit, ...ratio(OURS, RAW), bar: { atLeast: 0.8 } },
    { name: over(TOLD), value: median(rates(TOLD)), unit, ...ratio(TOLD, RAW), bar: { atLeast: 0.8 } },
    { name: over(NODEMAILER), value: median(rates(NODEMAILER)), unit, ...ratio(NODEMAILER, RAW) },
    ...Array.from(results, ([name, all]) => ({
      name: `${over(name)}: CPU of the client`,
      value: median(all.map(({ microseconds }) => microseconds)),
      unit: 'µs/message',
    })),
  ]
}

async function measure(clients: readonly SmtpClient[]): Promise<Result> {
  const used = process.cpuUsage()
  const began = performance.now()
  const deadline = began + MILLISECONDS
  let sent = 0
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() < deadline) {
        await client.send()
        sent += 1
      }
    }),
  )
  const seconds = (performance.now() - began) / 1_000
  const { user, system } = process.cpuUsage(used)
  return { rate: sent / seconds, microseconds: (user + system) / sent }
}

async function ourClient(port: number, traits?: Traits): Promise<SmtpClient> {
  const connection = await openConnection({ host: '127.0.0.1', port, secure: false, user: null, password: null })
  return {
    async send() {
      const outcome = await connection.transmit({ envelope: ENVELOPE, raw: CONTENT, traits })
      if (outcome.kind !== 'accepted') throw new Error(JSON.stringify(outcome))
    },
    close: connection.close,
  }
}

async function nodemailerClient(port: number): Promise<SmtpClient> {
  const smtp = new SMTPConnection({ host: '127.0.0.1', port, ignoreTLS: true })
  await new Promise<void>((resolve, reject) => smtp.connect((error) => (error ? reject(error) : resolve())))
  return {
    send: () =>
      new Promise((resolve, reject) =>
        // It writes its notes into the envelope, so each message needs its own.
        smtp.send({ ...ENVELOPE }, CONTENT, (error) => (error ? reject(error) : resolve())),
      ),
    close: () => smtp.close(),
  }
}

/** Text like that of a mail: lines of 76 characters, a dot here and there, none at the beginning of a line. */
function message(): Buffer {
  const head = 'From: shop@example.org\r\nTo: ada@example.com\r\nSubject: On its way\r\nMIME-Version: 1.0\r\n\r\n'
  const line = `<td style=3D"padding: 4px 8.5px">Your order is on its way. Thank you very mu=\r\n`
  return Buffer.from(`${(head + line.repeat(BYTES / line.length)).slice(0, BYTES - 2)}\r\n`)
}
