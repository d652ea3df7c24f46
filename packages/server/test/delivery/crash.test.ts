import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { markAttempting } from '../../src/delivery/batches.ts'
import { claim } from '../../src/delivery/queue.ts'
import { addWorker, LEASE } from '../../src/delivery/workers.ts'
import { orphansIn } from '../support/orphans.ts'
import { startSmtpSink } from '../support/smtp.ts'
import { type MailHouse, mailHouse, sendOf } from './support.ts'

let house: MailHouse

beforeEach(async () => {
  house = await mailHouse()
  await house.templates.save('Hello', { subject: 'Hello', content_text: 'Hello' })
})
afterEach(async () => {
  expect(await orphansIn(house.db)).toBe(0)
  await house.end()
})

const counted = () => {
  const counts = new Map<string, number>()
  for (const { to } of house.sink.messages) counts.set(to[0]!, (counts.get(to[0]!) ?? 0) + 1)
  return counts
}

test('two workers share a queue, and every message arrives once', async () => {
  const emails = Array.from({ length: 500 }, (_, n) => `p${n}@example.com`)
  await house.sends.send(sendOf('Hello', emails))
  house.deliver()
  house.deliver()
  await house.sink.waitFor(500)
  await expect.poll(async () => (await states()).sent).toBe(500)
  expect(counted().size).toBe(500)
  expect(house.sink.messages).toHaveLength(500)
})

test('a worker that stops gives back what it holds, and the next one sends the rest once', async () => {
  const emails = Array.from({ length: 300 }, (_, n) => `p${n}@example.com`)
  await house.sends.send(sendOf('Hello', emails))
  const first = house.deliver({ connections: 2 })
  await house.sink.waitFor(20)
  await first.stop()
  expect(await states()).toEqual({ sent: house.sink.messages.length, queued: 300 - house.sink.messages.length })
  house.deliver()
  await house.sink.waitFor(300)
  expect(counted().size).toBe(300)
  expect(house.sink.messages).toHaveLength(300)
})

test('what a dead worker held is taken over; what it attempted is tried again under the same Message-ID', async () => {
  const leased = await house.send('Hello', 'leased@example.com')
  const attempting = await house.send('Hello', 'attempting@example.com')
  const worker = await addWorker(house.db, house.clock.now())
  const taken = await claim(house.db, worker, house.clock.now(), 10)
  expect(taken?.batch.messageIds).toEqual([leased, attempting])
  await markAttempting(house.db, worker, [attempting])
  house.clock.advance(LEASE + 1)
  house.deliver()
  expect(await house.reaches(leased, 'sent')).toMatchObject({ attempts: 1 })
  expect(await house.reaches(attempting, 'sent')).toMatchObject({ attempts: 2 })
  const again = house.sink.messages.find((message) => message.to[0] === 'attempting@example.com')
  expect(again?.raw).toContain(`Message-ID: <${house.sends.sendIdOf(attempting)}@example.org>`)
})

test('the lease of a living worker is respected', async () => {
  const id = await house.send('Hello', 'held@example.com')
  const worker = await addWorker(house.db, house.clock.now())
  await claim(house.db, worker, house.clock.now(), 10)
  house.clock.advance(LEASE - 1)
  const delivery = house.deliver()
  await house.reaches(await house.send('Hello', 'other@example.com'), 'sent')
  await delivery.stop()
  expect(await house.row(id)).toMatchObject({ state: 'leased', worker_id: worker })
})

test('while the relay is down mail waits, and goes out when it is back', async () => {
  const { port } = house.sink
  await house.sink.close()
  const said: string[] = []
  const warn = (_: object, line: string) => said.push(line)
  house.deliver({ log: Object.assign(Object.create(house.parts.log), { warn }) })
  const ids = await Promise.all(['a', 'b', 'c'].map((name) => house.send('Hello', `${name}@example.com`)))
  await expect.poll(() => said.filter((line) => line.startsWith('the relay is still down')).length).toBeGreaterThan(1)
  expect((await Promise.all(ids.map((id) => house.row(id)))).map((row) => [row.state, row.attempts])).toEqual(
    ids.map(() => ['queued', 0]),
  )
  const sink = await startSmtpSink({ port })
  await sink.waitFor(3)
  await Promise.all(ids.map((id) => house.reaches(id, 'sent')))
  expect(sink.messages).toHaveLength(3)
  await sink.close()
})

test('a relay that greets with a refusal is down', async () => {
  house.sink.refuse({ phase: 'connect', code: 421, text: 'too busy', times: 3 })
  house.deliver()
  expect(await house.reaches(await house.send('Hello', 'a@example.com'), 'sent')).toMatchObject({ attempts: 1 })
})

test.each(['MAIL', 'RCPT', 'DATA', 'content'])('a connection that drops at %s: tried again', async (at) => {
  const relay = await startDroppingRelay(at, house.sink.port)
  house.deliver({ relays: [{ host: '127.0.0.1', port: relay.port, secure: false, user: null, password: null }] })
  const id = await house.send('Hello', 'a@example.com')
  expect(await house.reaches(id, 'deferred')).toMatchObject({ attempts: 1, reason: null })
  expect(house.sink.messages).toHaveLength(0)
  house.clock.advance(31_000)
  expect(await house.reaches(id, 'sent')).toMatchObject({ attempts: 2 })
  expect(house.sink.messages).toHaveLength(1)
  relay.close()
})

async function states(): Promise<Record<string, number>> {
  const { rows } = await sql<{ state: string; n: number }>`
    select state, count(*)::int as n from message group by 1`.execute(house.db)
  return Object.fromEntries(rows.map((row) => [row.state, row.n]))
}

/** Stands before the sink and cuts the first connection off when it sees that command, or the end of the content. */
async function startDroppingRelay(at: string, behind: number) {
  const { connect } = await import('node:net')
  const sockets = new Set<Socket>()
  let dropped = false
  const server = createServer((client) => {
    const upstream = connect(behind, '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
    }
    client.on('data', (chunk: Buffer) => {
      const text = chunk.toString('latin1')
      const hits = at === 'content' ? text.includes('Message-ID') : text.includes(at)
      if (!dropped && hits) {
        dropped = true
        client.destroy()
        upstream.destroy()
      } else upstream.write(chunk)
    })
    upstream.on('data', (chunk) => client.write(chunk))
    client.on('close', () => upstream.end())
    upstream.on('close', () => client.end())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}
