import type { Config } from '../config.ts'
import { systemClock } from '../platform/clock.ts'
import { type ConnectionSettings, openDatabase } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import { createListener } from '../platform/wake.ts'
import { createServices, type Services } from '../services.ts'
import type { Role } from './orders.ts'
import { type RunningRole, startWeb } from './web.ts'
import { startWorker, workerLoops } from './worker.ts'

/** Connections that each role holds at most. */
const POOL: Record<Role, number> = { web: 12, worker: 10 }

/** Runs one role in this process. `address` is null for a role that listens nowhere. */
export async function runRole(
  role: Role,
  config: Config,
  connection: ConnectionSettings,
  log: Log,
): Promise<RunningRole & { address: string | null }> {
  const db = openDatabase(connection, POOL[role])
  try {
    const services = await createServices({ config, db, clock: systemClock, log })
    const running = role === 'web' ? await startWeb(services) : { ...(await work(services, connection)), address: null }
    return {
      address: running.address,
      async close() {
        await running.close()
        await db.destroy()
      },
    }
  } catch (error) {
    await db.destroy()
    throw error
  }
}

function work(services: Services, connection: ConnectionSettings): Promise<RunningRole> {
  const listener = createListener(connection, services.log)
  return startWorker(services, workerLoops(services, listener))
}
