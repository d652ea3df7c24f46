import type { Config } from '../config.ts'
import { createDepthGauge } from '../delivery/depth.ts'
import { systemClock } from '../platform/clock.ts'
import { type ConnectionSettings, openDatabase } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import { createMetrics, type Family } from '../platform/metrics.ts'
import { OperatorError, oneLine } from '../platform/operator-error.ts'
import { watchProcess } from '../platform/process-metrics.ts'
import { createListener } from '../platform/wake.ts'
import { createServices, type Services } from '../services.ts'
import { buildConsole } from './console.ts'
import { createFigures, type Figures } from './figures.ts'
import { closeListener, listen } from './listen.ts'
import type { Role } from './orders.ts'
import { type RunningRole, startWeb } from './web.ts'
import { startWorker, workerLoops } from './worker.ts'

/** Connections that each role holds at most. */
const POOL: Record<Role, number> = { web: 12, worker: 10 }

/** A role at work in this process, and how it stands. */
export interface ObservedRole extends RunningRole {
  /** Of the public listener; null for a role that has none. */
  address: string | null
  figures(): Family[]
  /** Another process said how it stands. */
  hear(process: string, families: Family[]): void
}

/**
 * Runs one role in this process.
 *
 * @param isObserved whether the operators' listener is here, rather than in a process that this one reports to
 */
export async function runRole(
  role: Role,
  config: Config,
  connection: ConnectionSettings,
  log: Log,
  isObserved: boolean,
): Promise<ObservedRole> {
  const metrics = createMetrics()
  const db = openDatabase(connection, POOL[role], (pool) => watchProcess(metrics, pool))
  const undo: Array<() => Promise<void>> = [() => db.destroy()]
  const close = async () => {
    for (let step = undo.pop(); step; step = undo.pop()) await step()
  }
  try {
    const services = await createServices({ config, db, clock: systemClock, log, metrics })
    const figures = createFigures(role, metrics, createDepthGauge(db, systemClock))
    const watched = isObserved ? await observe(role, services, figures) : null
    if (watched) undo.push(watched)
    const running = role === 'web' ? await startWeb(services) : { ...(await work(services, connection)), address: null }
    undo.push(running.close)
    return { address: running.address, close, figures: metrics.snapshot, hear: figures.hear }
  } catch (error) {
    await close()
    throw error
  }
}

/** Starts the operators' listener. @returns what closes it; null when there is none */
async function observe(role: Role, services: Services, figures: Figures): Promise<(() => Promise<void>) | null> {
  const { config, log } = services
  const app = buildConsole(services, figures)
  try {
    await listen(app, config.host, config.consolePort, 'FAIRLEAD_CONSOLE_PORT')
    return () => closeListener(app)
  } catch (error) {
    await app.close()
    // Several workers may live on one machine without anybody having thought of ports, and mail matters more.
    if (role === 'web' || !(error instanceof OperatorError)) throw error
    log.warn({ reason: oneLine(error) }, 'nobody can look at the figures of this process')
    return null
  }
}

function work(services: Services, connection: ConnectionSettings): Promise<RunningRole> {
  const listener = createListener(connection, services.log)
  return startWorker(services, workerLoops(services, listener))
}
