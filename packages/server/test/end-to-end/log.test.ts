import { once } from 'node:events'
import { connect } from 'node:net'
import { Writable } from 'node:stream'
import { sql } from 'kysely'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sign } from '../../src/account/signature.ts'
import { describeError } from '../../src/platform/log.ts'
import { type House, key, openHouseOn, secret } from '../endpoints/support.ts'
import { freshDatabase } from '../support/database.ts'

/* Whoever reads the log can neither make a call nor open a page: no keys, secrets, signatures, tokens. */

const lines: string[] = []
let house: House
beforeAll(async () => {
  const stream = new Writable({
    write(line, _encoding, done) {
      lines.push(String(line))
      done()
    },
  })
  // All that the house and its libraries have to say, down to what no level of ours shows.
  const log = pino({ level: 'trace', serializers: { err: describeError } }, stream)
  house = await openHouseOn(await freshDatabase(), { answerWithin: 1 }, { log })
})
afterAll(() => house.close())

const wrong = '0123456789abcdef'.repeat(2)
const token = 'tokenTOKENtokenTOKENtoken'
const right = sign([key, 'json', '{"id":"ada@example.com"}'], secret)
const query = (sig: string) =>
  new URLSearchParams({ api_key: key, format: 'json', json: '{"id":"ada@example.com"}', sig }).toString()

async function raw(text: string): Promise<void> {
  const socket = connect(house.port, '127.0.0.1')
  socket.on('error', () => {})
  socket.resume()
  socket.write(text)
  await once(socket, 'close')
}

function expectSilence(): void {
  const secrets = [key, secret, right, wrong, token, key.toUpperCase()]
  const leaks = lines.flatMap((line) =>
    secrets.filter((one) => line.includes(one)).map((one) => [one, line.slice(0, 300)]),
  )
  expect(leaks.slice(0, 3)).toEqual([])
}

const form = { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' } }

async function everyKindOfCall(): Promise<void> {
  for (const sig of [right, wrong]) {
    for (const path of ['user', 'send', 'nowhere', `${key}/${sig}`, `%zz${key}`]) {
      await fetch(`${house.url}/${path}?${query(sig)}`).then((response) => response.text())
      await fetch(`${house.url}/${path}`, { ...form, body: query(sig) }).then((response) => response.text())
      await fetch(`${house.url}/${path}?${query(sig)}`, { method: 'DELETE' }).then((response) => response.text())
      await fetch(`${house.url}/${path}?${query(sig)}`, { method: 'PUT' }).then((response) => response.text())
    }
    await raw(`GET /user?${query(sig)} HTTP/9.9\r\n\r\n`)
    await raw(`GET /user?${query(sig)} NONSENSE\r\n\r\n`)
    await raw(`POST /user?${query(sig)} HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`)
    await raw(`POST /user HTTP/1.1\r\nHost: x\r\nContent-Length: nan\r\n\r\n${query(sig)}`)
    await raw(`POST /user HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n${query(sig)}`)
    const data = new FormData()
    for (const [name, value] of new URLSearchParams(query(sig))) data.append(name, value)
    await fetch(`${house.url}/user`, { method: 'POST', body: data }).then((response) => response.text())
    await fetch(`${house.url}/user?${query(sig)}`, {
      ...form,
      headers: { 'content-type': 'multipart/form-data' },
      body: query(sig),
    }).then((response) => response.text())
  }
  for (const page of ['oc', 'u', 'manage', 'c', 's', 'o', 'v', 'a', 'confirm', 'signup']) {
    for (const method of ['GET', 'POST', 'PUT']) {
      const body = method === 'GET' ? null : `token=${token}`
      await fetch(`${house.url}/${page}/${token}?hash=${token}`, { ...form, method, body }).then((r) => r.text())
    }
  }
}

test('not of calls that succeed or are refused', async () => {
  await everyKindOfCall()
  expectSilence()
})

test('not while the database hangs', async () => {
  await house.post('template', { template: 'Plain', subject: 'x', content_text: 'x' })
  await house.db.transaction().execute(async (tx) => {
    await sql`lock table profile, profile_key`.execute(tx)
    const response = await fetch(`${house.url}/user?${query(right)}`)
    expect(response.status).toBe(500)
  })
  expect(lines.join()).toContain('API call was not answered in time')
  expectSilence()
})

test('not while the database is away', async () => {
  await sql`alter table api_key rename to no_key`.execute(house.db)
  await sql`alter table profile_key rename to away`.execute(house.db)
  await sql`alter table message rename to away_too`.execute(house.db)
  // Keys are remembered for two seconds; after that the calls fail before they are authenticated.
  const isForgotten = () => lines.some((line) => /api_key\W+does not exist/.test(line))
  while (!isForgotten()) await fetch(`${house.url}/user?${query(right)}`).then((response) => response.text())
  await everyKindOfCall()
  expect(lines.join()).toContain('API call failed')
  expectSilence()
})
