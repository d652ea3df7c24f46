import { describe, expect, test } from 'vitest'
import { createMetrics } from '../../src/platform/metrics.ts'
import { writeMetrics } from '../../src/platform/metrics-text.ts'
import { watchProcess } from '../../src/platform/process-metrics.ts'
import { parseMetrics } from '../support/prometheus.ts'
import { until } from '../support/until.ts'

const pageOf = (...metrics: Array<ReturnType<typeof createMetrics>>) =>
  writeMetrics(metrics.map((one, index) => ({ labels: { process: `p${index}` }, families: one.snapshot() })))

describe('figures of a process', () => {
  test('a counter grows by what is added to its cells', () => {
    const metrics = createMetrics()
    const sent = metrics.counter('sent_total', 'Sent', ['kind', 'state'])
    const cell = sent.of('campaign', 'sent')
    cell.value += 2
    sent.of('campaign', 'sent').value += 1
    sent.of('triggered', 'sent').value += 1
    const page = parseMetrics(pageOf(metrics))
    expect(page.types.get('sent_total')).toBe('counter')
    expect(page.value('sent_total', { kind: 'campaign', state: 'sent' })).toBe(3)
    expect(page.value('sent_total', { kind: 'triggered' })).toBe(1)
  })

  test('a histogram counts each value in the first bucket that holds it and in all above', () => {
    const metrics = createMetrics()
    const seconds = metrics.histogram('seconds', 'Time', [0.1, 1])
    for (const value of [0.05, 0.1, 0.5, 30]) seconds.of().observe(value)
    const page = parseMetrics(pageOf(metrics))
    expect(page.samples('seconds_bucket').map(({ labels, value }) => [labels.le, value])).toEqual([
      ['0.1', 2],
      ['1', 3],
      ['+Inf', 4],
    ])
    expect(page.value('seconds_sum')).toBeCloseTo(30.65)
    expect(page.value('seconds_count')).toBe(4)
  })

  test('what nobody counted yet has no line, and a name asked for twice is one counter', () => {
    const metrics = createMetrics()
    metrics.counter('never_total', 'Never', ['kind'])
    const first = metrics.counter('twice_total', 'Twice')
    metrics.counter('twice_total', 'Twice').of().value += 1
    expect(first.of().value).toBe(1)
    expect(pageOf(metrics)).toBe('# HELP twice_total Twice\n# TYPE twice_total counter\ntwice_total{process="p0"} 1\n')
  })

  test('several processes stand side by side, each family once', () => {
    const [one, two] = [createMetrics(), createMetrics()]
    one.counter('sent_total', 'Sent').of().value = 1
    two.counter('sent_total', 'Sent').of().value = 2
    const page = parseMetrics(pageOf(one, two))
    expect(page.value('sent_total', { process: 'p0' })).toBe(1)
    expect(page.value('sent_total', { process: 'p1' })).toBe(2)
  })

  test('whatever is in a label comes out as it went in', () => {
    const metrics = createMetrics()
    const odd = 'a "quote", a \\ backslash,\na line and = {signs}'
    metrics.counter('odd_total', 'Odd \\ help\nof two lines', ['text']).of(odd).value += 1
    expect(parseMetrics(pageOf(metrics)).samples('odd_total')[0]?.labels.text).toBe(odd)
  })

  test('a process says what it uses and how late its event loop is', async () => {
    const metrics = createMetrics()
    watchProcess(metrics, { totalCount: 3, idleCount: 1, waitingCount: 4, options: { max: 10 } as never })
    pageOf(metrics)
    const page = await until('a page shows a late event loop', () => {
      const seen = parseMetrics(pageOf(metrics))
      if (seen.value('nodejs_eventloop_lag_seconds', { quantile: '1' }) > 0.1) return seen
      const busyUntil = performance.now() + 200
      while (performance.now() < busyUntil);
      return null
    })
    expect(page.value('process_resident_memory_bytes')).toBeGreaterThan(10_000_000)
    expect(page.value('process_cpu_seconds_total')).toBeGreaterThan(0.1)
    expect(page.value('process_start_time_seconds')).toBeLessThan(Date.now() / 1_000)
    expect(page.value('nodejs_eventloop_lag_seconds', { quantile: '1' })).toBeGreaterThan(0.1)
    expect(page.value('fairlead_database_connections', { state: 'used' })).toBe(2)
    expect(page.value('fairlead_database_connections', { state: 'allowed' })).toBe(10)
    expect(page.value('fairlead_database_waiting')).toBe(4)
  })
})
