import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { afterAll, expect, test } from 'vitest'
import { type ListenerBounds, usualBounds } from '../../src/roles/listener-bounds.ts'
import { type House, key, openHouseOn } from '../endpoints/support.ts'
import { freshDatabase } from '../support/database.ts'
import { startFairlead } from '../support/fairlead.ts'
import { until } from '../support/until.ts'

/* Callers who are slow, many or large leave room for the others. */

const houses: House[] = []
async function houseWith(bounds: Partial<ListenerBounds>): Promise<House> {
  const house = await openHouseOn(await freshDatabase(), {}, { bounds: { ...usualBounds, ...bounds } })
  houses.push(house)
  return house
}
afterAll(async () => {
  await Promise.all(houses.map((house) => house.close()))
})

const HEAD = (path: string, length: number) =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${length}\r\n\r\n`

async function open(port: number): Promise<{ socket: Socket; heard: () => string; closed: Promise<unknown> }> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  const closed = once(socket, 'close').catch(() => {})
  await once(socket, 'connect')
  return { socket, heard: () => text, closed }
}

const health = async (house: House) => (await fetch(`${house.url}/healthz`)).status

test('a request that does not arrive in time is closed, its body as its headers', async () => {
  const house = await houseWith({ requestWithin: 1_500, headersWithin: 1_000, checkEvery: 100 })
  const slow = await Promise.all(Array.from({ length: 300 }, () => open(house.port)))
  for (const [n, { socket }] of slow.entries())
    socket.write(n % 3 === 0 ? 'GET /user HTTP/1.1\r\nHost:' : HEAD('/user', 100))
  const drip = setInterval(() => {
    for (const { socket } of slow) if (socket.writable) socket.write('a')
  }, 300)
  expect(await health(house)).toBe(200)
  await Promise.all(slow.map(({ closed }) => closed))
  clearInterval(drip)
  for (const { heard } of slow) expect(heard()).toMatch(/^(HTTP\/1\.1 408 |$)/)
  expect(slow.filter(({ heard }) => heard().startsWith('HTTP/1.1 408')).length).toBeGreaterThan(250)
})

test('when connections run out, those that receive a request for longest are closed first', async () => {
  const house = await houseWith({ connections: 20 })
  const slow = []
  for (let n = 0; n < 20; n++) {
    const one = await open(house.port)
    one.socket.write(HEAD('/user', 1_000))
    slow.push(one)
  }
  const closed: number[] = []
  for (const [n, { socket }] of slow.entries()) socket.once('close', () => closed.push(n))
  // They are slow once they have been at it for a second.
  await until('a slow one made room', async () => (await health(house).catch(() => 0)) === 200 && closed.length >= 1)
  for (let n = 0; n < 5; n++) {
    const { status } = await house.post('user', { id: `ada${n}@example.com` })
    expect(status).toBe(200)
  }
  expect(closed).toEqual(closed.toSorted((a, b) => a - b))
  expect(closed.length).toBeLessThan(20)
  for (const { socket } of slow) socket.destroy()
})

const MB = 1024 * 1024
const codeOf = async (response: Response) => ((await response.json()) as { error: number }).error
const large = (bytes: number, key = '') => `${key}vars=${'x'.repeat(bytes)}`

test('large bodies beyond the room are answered 503 in the form of the API, and ordinary calls get through', async () => {
  const house = await houseWith({ bodyBytes: 4 * MB, strangerBytes: 4 * MB })
  const held = await open(house.port)
  // Three megabytes that wait for their end.
  held.socket.write(HEAD('/user', 3.5 * MB))
  held.socket.write('x'.repeat(3 * MB))
  const heldBytes = () =>
    house.services.metrics.snapshot().find(({ name }) => name === 'fairlead_http_body_bytes')?.samples[0]?.value ?? 0
  await until('three megabytes are held', () => heldBytes() > 2.9 * MB)
  const response = await fetch(`${house.url}/user?format=json`, { method: 'POST', body: large(2 * MB) })
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5'])
  expect(await response.json()).toEqual({ error: 9, errormsg: expect.stringContaining('try again') })
  const xml = await fetch(`${house.url}/user?format=xml`, { method: 'POST', body: large(2 * MB) })
  expect([xml.status, await xml.text()]).toEqual([503, expect.stringContaining('<error>9</error>')])
  const form = new FormData()
  form.append('vars', 'x'.repeat(2 * MB))
  const multipart = await fetch(`${house.url}/user`, { method: 'POST', body: form })
  expect([multipart.status, await codeOf(multipart)]).toEqual([503, 9])
  expect((await house.post('user', { id: 'small@example.com', vars: { a: 'x'.repeat(30_000) } })).status).toBe(200)
  expect(await health(house)).toBe(200)
  held.socket.destroy()
  await until('nothing is held', () => heldBytes() === 0)
  const again = await fetch(`${house.url}/user`, { method: 'POST', body: large(2 * MB, 'api_key=nobody&') })
  expect([again.status, await codeOf(again)]).toEqual([401, 3])
  await until('nothing is held', () => heldBytes() === 0)
})

test('what strangers send does not take the room of callers with a key', async () => {
  const house = await houseWith({ bodyBytes: 8 * MB, strangerBytes: MB })
  const stranger = await fetch(`${house.url}/user`, { method: 'POST', body: large(2 * MB) })
  expect(stranger.status).toBe(503)
  const guessed = await fetch(`${house.url}/user`, { method: 'POST', body: large(2 * MB, 'api_key=guessed&') })
  expect(guessed.status).toBe(503)
  const text = 'x'.repeat(2 * MB)
  // The vars of one person are not that large; somebody read them to find out.
  expect(await house.post('user', { id: 'large@example.com', vars: { text } })).toMatchObject({ status: 413 })
  const form = new FormData()
  form.append('api_key', key)
  form.append('format', 'json')
  form.append('vars', text)
  const multipart = await fetch(`${house.url}/user`, { method: 'POST', body: form })
  expect([multipart.status, await codeOf(multipart)]).toEqual([400, 2])
})

test('a large body that stalls gives its room to one that arrives', async () => {
  const house = await houseWith({ bodyBytes: 4 * MB, strangerBytes: 4 * MB })
  const stalled = await open(house.port)
  stalled.socket.write(HEAD('/user', 4 * MB))
  stalled.socket.write('x'.repeat(3 * MB))
  const arrives = async () => (await fetch(`${house.url}/user`, { method: 'POST', body: large(2 * MB) })).status
  const isTurnedAway = () => stalled.heard().startsWith('HTTP/1.1 503')
  await until('the stalled one is turned away', async () => (await arrives()) !== 503 && isTurnedAway())
  stalled.socket.destroy()
})

test('forty large bodies of strangers at once cost little memory, and health is told meanwhile', async () => {
  const fairlead = await startFairlead()
  try {
    const { web } = fairlead.pids()
    const memory = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${web}/status`, 'utf8'))![1]) / 1024
    const before = memory()
    const body = Buffer.from(large(10 * MB))
    let most = 0
    const healths: number[] = []
    let isOver = false
    const watch = async () => {
      while (!isOver) {
        const response = await fetch(`${fairlead.url}/healthz`)
        await response.body?.cancel()
        healths.push(response.status)
        most = Math.max(most, memory() - before)
      }
    }
    const send = async () => {
      const { socket, heard, closed } = await open(fairlead.port)
      socket.write(HEAD('/user', body.length))
      socket.write(body)
      await Promise.race([once(socket, 'data'), closed])
      socket.destroy()
      return Number(heard().slice(9, 12))
    }
    const watching = watch()
    const statuses = await Promise.all(Array.from({ length: 40 }, send))
    isOver = true
    await watching
    expect(statuses).toContain(503)
    expect(statuses.filter((status) => status !== 503 && status !== 400)).toEqual([])
    // 400 MB were sent. 16 of them are held at most, beside what the collector has not got at yet.
    expect(most).toBeLessThan(200)
    expect(new Set(healths)).toEqual(new Set([200]))
    expect(healths.length).toBeGreaterThan(1)
  } finally {
    await fairlead.remove()
  }
})
