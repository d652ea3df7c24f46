import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sign } from '../../src/account/signature.ts'
import {
  childrenOf,
  freePort,
  KEY,
  SECRET,
  type StartedFairlead,
  startFairlead,
  whenHealthy,
} from '../support/fairlead.ts'
import { parseMetrics, type Scrape } from '../support/prometheus.ts'
import { type SmtpSink, startSmtpSink } from '../support/smtp.ts'
import { until } from '../support/until.ts'

/** What the processes of a Fairlead show of themselves on the operators' listener, with real mail. */

async function scrape(url: string): Promise<Scrape> {
  const answer = await fetch(`${url}/metrics`)
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  return parseMetrics(await answer.text())
}

/** Looks until a figure is as it should be: a worker reports every two seconds, the queue is counted every five. */
function shows(url: string, isSo: (page: Scrape) => boolean): Promise<Scrape> {
  return until('the figures are as they should be', async () => {
    const page = await scrape(url)
    return isSo(page) && page
  })
}

const sum = (page: Scrape, name: string, labels: { [label: string]: string } = {}) =>
  page.samples(name, labels).reduce((all, { value }) => all + value, 0)

describe('GET /metrics', () => {
  let fairlead: StartedFairlead
  let sink: SmtpSink
  beforeAll(async () => {
    sink = await startSmtpSink()
    fairlead = await startFairlead({ env: { FAIRLEAD_SMTP_URL: sink.url } })
  })
  afterAll(async () => {
    await fairlead.remove()
    await sink.close()
  })

  const post = async (endpoint: string, fields: object) => {
    const json = JSON.stringify(fields)
    const body = new URLSearchParams({ api_key: KEY, format: 'json', json, sig: sign([KEY, 'json', json], SECRET) })
    return (await fetch(`${fairlead.url}/${endpoint}`, { method: 'POST', body })).status
  }

  test('is on the operators’ listener and not on the public one', async () => {
    expect((await fetch(`${fairlead.url}/metrics`)).status).not.toBe(200)
    expect((await fetch(`${fairlead.consoleUrl}/healthz`)).status).toBe(200)
    expect((await fetch(`${fairlead.consoleUrl}/user`)).status).toBe(404)
    await scrape(fairlead.consoleUrl)
  })

  test('shows both processes', async () => {
    const page = await shows(fairlead.consoleUrl, (page) => page.samples('process_start_time_seconds').length === 2)
    const processes = page.samples('process_start_time_seconds').map(({ labels }) => labels.process)
    expect(processes.sort()).toEqual(['web', 'worker'])
    for (const process of processes) {
      expect(page.value('process_resident_memory_bytes', { process: process! })).toBeGreaterThan(20_000_000)
    }
    expect(page.value('fairlead_database_up')).toBe(1)
  })

  test('counts API answers by endpoint, status and error, and not by what is in addresses', async () => {
    const before = await scrape(fairlead.consoleUrl)
    expect(await post('user', { id: 'ada@example.com' })).toBe(200)
    expect(await post('send', { template: 'There is none', email: 'ada@example.com' })).toBe(404)
    expect((await fetch(`${fairlead.url}//nowhere/ada@example.com?x=1`)).status).toBe(404)
    const page = await shows(
      fairlead.consoleUrl,
      (page) => sum(page, 'fairlead_http_requests_total') >= sum(before, 'fairlead_http_requests_total') + 3,
    )
    const answered = (route: string, status: string, error: string) =>
      page.value('fairlead_http_requests_total', { route, method: 'POST', status, error })
    expect(answered('/user', '200', '0')).toBe(1)
    expect(answered('/send', '404', '14')).toBe(1)
    expect(page.value('fairlead_http_request_seconds_count', { route: '/user' })).toBe(1)
    expect(page.value('fairlead_http_request_seconds_sum', { route: '/user' })).toBeGreaterThan(0.0005)
    const routes = page.samples('fairlead_http_requests_total').map(({ labels }) => labels.route)
    expect(routes).toContain('other')
    expect(routes.join(' ')).not.toContain('ada')
  })

  test('counts mail as it is sent, deferred and refused, and how long it took', async () => {
    expect(await post('template', { template: 'News', subject: 'News', content_html: '<p>Hello</p>' })).toBe(200)
    sink.refuse({ phase: 'rcpt', recipient: 'gone@example.com', code: 550, text: '5.1.1 no such user' })
    sink.refuse({ phase: 'rcpt', recipient: 'later@example.com', code: 451, text: '4.7.1 greylisted' })
    for (const name of ['ada', 'bob', 'gone', 'later']) {
      expect(await post('send', { template: 'News', email: `${name}@example.com` })).toBe(200)
    }
    const page = await shows(fairlead.consoleUrl, (page) => {
      return (
        sum(page, 'fairlead_messages_total') === 4 && sum(page, 'fairlead_queue_messages', { state: 'deferred' }) === 1
      )
    })
    const messages = (state: string) =>
      page.value('fairlead_messages_total', { process: 'worker', kind: 'triggered', state })
    expect([messages('sent'), messages('failed'), messages('deferred')]).toEqual([2, 1, 1])
    expect(page.value('fairlead_relay_errors_total', { class: 'user' })).toBe(1)
    expect(page.value('fairlead_relay_errors_total', { class: 'deferred_temporary' })).toBe(1)
    expect(page.value('fairlead_message_wait_seconds_count', { kind: 'triggered' })).toBe(2)
    expect(page.value('fairlead_smtp_transaction_seconds_count')).toBe(2)
    const waiting = { state: 'deferred', kind: 'triggered' }
    expect(page.value('fairlead_queue_messages', waiting)).toBe(1)
    expect(page.value('fairlead_queue_oldest_seconds', waiting)).toBeGreaterThan(0)
    expect(page.value('fairlead_queue_messages', { state: 'queued', kind: 'campaign' })).toBe(0)
  })

  test('while the database stands still it says so, and shows what it knows', async () => {
    const { postgres } = fairlead.pids()
    const frozen = [postgres!, ...childrenOf(postgres!)]
    for (const pid of frozen) process.kill(pid, 'SIGSTOP')
    try {
      const page = await scrape(fairlead.consoleUrl)
      expect(sum(page, 'fairlead_messages_total')).toBe(4)
      expect((await fetch(`${fairlead.consoleUrl}/healthz`)).status).toBe(503)
    } finally {
      for (const pid of frozen) process.kill(pid, 'SIGCONT')
    }
    await whenHealthy(fairlead.url)
  })

  test('a worker that was killed comes back with counters from nought', async () => {
    const before = (await scrape(fairlead.consoleUrl)).value('process_start_time_seconds', { process: 'worker' })
    process.kill(fairlead.pids().worker!, 'SIGKILL')
    const page = await shows(fairlead.consoleUrl, (page) =>
      page.samples('process_start_time_seconds', { process: 'worker' }).some(({ value }) => value > before + 1),
    )
    expect(sum(page, 'fairlead_messages_total', { state: 'sent' })).toBe(0)
  })

  describe('a worker by itself', () => {
    const children: ChildProcess[] = []
    const start = (env: Record<string, string>) => {
      const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
      const { PATH = '', HOME = '' } = process.env
      const child = spawn(process.execPath, [main, 'start', '--role', 'worker'], {
        env: { PATH, HOME, FAIRLEAD_DATA_DIR: fairlead.dataDir, FAIRLEAD_SMTP_URL: sink.url, ...env },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      children.push(child)
      let said = ''
      child.stderr!.on('data', (chunk) => (said += chunk))
      return () => said
    }
    afterAll(async () => {
      for (const child of children) {
        child.kill('SIGTERM')
        if (child.exitCode === null) await once(child, 'exit')
      }
    })

    test('has a listener of its own', async () => {
      const port = String(await freePort())
      start({ FAIRLEAD_CONSOLE_PORT: port })
      await whenHealthy(`http://127.0.0.1:${port}`)
      const page = await scrape(`http://127.0.0.1:${port}`)
      expect(page.samples('process_start_time_seconds').map(({ labels }) => labels.process)).toEqual(['worker'])
    })

    test('works without one where the port is taken, and says so', async () => {
      const taken: Server = createServer().listen(0, '127.0.0.1')
      await once(taken, 'listening')
      const { port } = taken.address() as { port: number }
      const said = start({ FAIRLEAD_CONSOLE_PORT: String(port) })
      await expect.poll(said).toContain('the worker role is ready')
      expect(said()).toContain('nobody can look at the figures of this process')
      expect(said()).toContain('choose another FAIRLEAD_CONSOLE_PORT')
      taken.close()
    })
  })
})
