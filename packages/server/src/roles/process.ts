/**
 * The program that the supervisor forks for each role. It loads everything at once and waits for its order, so that
 * loading overlaps with the start of the database.
 *
 * When the supervisor dies, however suddenly, the IPC channel closes; then the process gives its port free, ends the
 * database server, whose supervisor died too, and goes.
 */
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../platform/clock.ts'
import { createLog } from '../platform/log.ts'
import { OperatorError, oneLine } from '../platform/operator-error.ts'
import { signalServer } from '../platform/postgres/index.ts'
import { prepareDatabase } from '../prepare.ts'
import { REPORT_EVERY } from './figures.ts'
import type { Order, Report } from './orders.ts'
import { runRole } from './run.ts'

type Running = Awaited<ReturnType<typeof runRole>>

/** Longest that an orphaned role goes on with what it holds, in ms. */
const ORPHAN_PATIENCE = 1_000

let starting: Promise<Running | null> = Promise.resolve(null)
let server: { pid: number; data: string } | null = null
let ending = false

process.on('message', (order: Order) => {
  if (order.type === 'prepare') prepare(order)
  if (order.type === 'start') starting = start(order)
  if (order.type === 'database-server') server = { pid: order.pid, data: realpathSync(join(order.dataDir, 'postgres')) }
  if (order.type === 'figures') starting.then((running) => running?.hear(order.process, order.families))
  if (order.type === 'stop') end(0)
})
process.on('SIGTERM', () => end(0))
// Ctrl-C and a closed terminal reach the whole group of processes; the supervisor decides what follows.
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
process.on('disconnect', async () => {
  await Promise.race([end(null), sleep(ORPHAN_PATIENCE)])
  if (server) signalServer(server.data, server.pid, 'SIGINT')
  process.exit(1)
})

async function start({ role, name, config, connection }: Order & { type: 'start' }): Promise<Running | null> {
  process.title = `fairlead ${name}`
  const log = createLog(name)
  try {
    const running = await runRole(role, config, connection, log, role === 'web')
    report({ type: 'ready', address: running.address })
    // The web process has the listener that shows them.
    if (role !== 'web')
      setInterval(() => report({ type: 'figures', families: running.figures() }), REPORT_EVERY).unref()
    return running
  } catch (error) {
    if (!(error instanceof OperatorError)) log.error({ err: error }, `the ${name} process does not start`)
    report({ type: 'failed', problem: oneLine(error) })
    return null
  }
}

async function prepare({ config, connection }: Order & { type: 'prepare' }): Promise<void> {
  try {
    const { migrated, ...account } = await prepareDatabase(connection, config, systemClock)
    report({ type: 'prepared', account, migrated })
  } catch (error) {
    if (!(error instanceof OperatorError)) createLog('prepare').error({ err: error }, 'the database cannot be prepared')
    report({ type: 'failed', problem: oneLine(error) })
  }
}

/** Closes the role once; `code` null leaves the process to its caller. */
async function end(code: number | null): Promise<void> {
  if (ending) return
  ending = true
  await (await starting)?.close()
  if (code !== null) process.exit(code)
}

function report(message: Report): void {
  if (process.connected) process.send?.(message)
}
