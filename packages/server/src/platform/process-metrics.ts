import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { PoolUse } from './database.ts'
import type { Metrics } from './metrics.ts'

/** Delays are those of about so long ago at most, in ms. */
const WINDOW = 10_000

/**
 * How this process feels: memory, processor, event loop, database connections. Names are those that dashboards for
 * Node.js expect where there is one.
 *
 * @param pool null: the process has none
 */
export function watchProcess(metrics: Metrics, pool: PoolUse | null): void {
  const one = (value: number) => [[[], value] as const]
  const started = Date.now() / 1_000 - process.uptime()
  metrics.gauge('process_start_time_seconds', 'When the process started, as Unix time', [], () => one(started))
  const cpu = () => {
    const { user, system } = process.cpuUsage()
    return one((user + system) / 1_000_000)
  }
  metrics.gauge('process_cpu_seconds_total', 'Processor time used', [], cpu, 'counter')
  metrics.gauge('process_resident_memory_bytes', 'Memory held', [], () => one(process.memoryUsage.rss()))
  metrics.gauge('nodejs_heap_size_used_bytes', 'Memory that objects use', [], () => one(process.memoryUsage().heapUsed))
  metrics.gauge('nodejs_external_memory_bytes', 'Memory of buffers outside the heap', [], () =>
    one(process.memoryUsage().external),
  )
  const busy = () => one(performance.eventLoopUtilization().active / 1_000)
  metrics.gauge(
    'nodejs_eventloop_busy_seconds_total',
    'Time in which the event loop had something to do',
    [],
    busy,
    'counter',
  )
  watchDelay(metrics)
  if (pool) watchPool(metrics, pool)
}

/** How late the event loop is, over the last moments: a total since the start would hide what happens now. */
function watchDelay(metrics: Metrics): void {
  const resolution = 10
  const delay = monitorEventLoopDelay({ resolution })
  delay.enable()
  let last = [0, 0, 0]
  let since = performance.now()
  metrics.gauge('nodejs_eventloop_lag_seconds', 'Delay of the event loop in the last ten seconds', ['quantile'], () => {
    // The timer that measures is part of what it measures.
    const seconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - resolution / 1_000)
    if (delay.count > 0) last = [delay.percentile(50), delay.percentile(99), delay.max].map(seconds)
    if (performance.now() - since > WINDOW) {
      delay.reset()
      since = performance.now()
    }
    return ['0.5', '0.99', '1'].map((quantile, index) => [[quantile], last[index]!] as const)
  })
}

function watchPool(metrics: Metrics, pool: PoolUse): void {
  metrics.gauge('fairlead_database_connections', 'Connections of the pool', ['state'], () => [
    [['used'], pool.totalCount - pool.idleCount],
    [['idle'], pool.idleCount],
    [['allowed'], pool.options.max ?? 0],
  ])
  metrics.gauge('fairlead_database_waiting', 'Statements and transactions that wait for a connection', [], () => [
    [[], pool.waitingCount],
  ])
}
