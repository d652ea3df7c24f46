import type { Config } from './config.ts'
import { lockDataFolder } from './platform/data-folder.ts'
import type { ConnectionSettings } from './platform/database.ts'
import type { Log } from './platform/log.ts'
import { type EmbeddedOptions, keepEmbedded } from './platform/postgres/index.ts'
import { type KeptRole, keepRole } from './roles/keep.ts'
import type { Account } from './roles/orders.ts'

/** A Fairlead that is up. */
export interface RunningFairlead {
  /** Where the public listener is. */
  address: string
  /** The key pair, and whether this start created it: the only time that its secret is shown unasked. */
  account: Account
  dataDir: string
  stop(): Promise<void>
}

/** Of the ten seconds that a stop may take, these belong to the roles, the rest to the database. */
const ROLES_FINISH_WITHIN = 6_500

/**
 * Starts everything: the lock on the data folder, the database, its migrations, the account, and a process for the web
 * and for each worker. This process itself does no work after that; it only watches over the others.
 *
 * @param stopWanted aborts a start that is still under way
 * @throws OperatorError when something stands in the way; whatever was started is stopped again
 */
export async function startFairlead(config: Config, log: Log, stopWanted: AbortSignal): Promise<RunningFairlead> {
  const undo: Array<() => Promise<void>> = []
  const stop = async () => {
    for (let step = undo.pop(); step; step = undo.pop()) await step()
  }
  try {
    const folder = await lockDataFolder(config.dataDir)
    undo.push(folder.release)

    // Forked first: the processes load their code while the database starts.
    const web = keepRole('web', 'web', log)
    const workers = connectionShares(config).map((connections, index) => {
      const name = index === 0 ? 'worker' : `worker-${index + 1}`
      const kept = keepRole('worker', name, log, (families) => web.pass({ type: 'figures', process: name, families }))
      return { kept, config: { ...config, smtpConnections: connections } }
    })
    const roles = [web, ...workers.map(({ kept }) => kept)]
    const stopRoles = async () => {
      await Promise.all(roles.map((role) => role.stop(ROLES_FINISH_WITHIN)))
    }
    undo.push(stopRoles)
    const connection =
      externalDatabase(config) ??
      (await startDatabase({ dataDir: folder.path, log, signal: stopWanted }, roles, (step) =>
        undo.splice(-1, 0, step),
      ))
    stopWanted.throwIfAborted()

    const { account, migrated } = await workers[0]!.kept.prepare({ type: 'prepare', config, connection })
    stopWanted.throwIfAborted()

    const [address] = await Promise.all([
      web.begin({ config, connection }),
      ...workers.map(({ kept, config }) => kept.begin({ config, connection })),
    ])
    // Only now: a start that fails says one line, which is why it failed.
    if (migrated.length > 0) log.info({ migrated }, 'migrated the database')
    return { address: address ?? config.publicUrl, account, dataDir: folder.path, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Connections of each worker process: no more of them than connections, and not more together than was allowed. */
export function connectionShares({ workers, smtpConnections }: Config): number[] {
  const count = Math.min(workers, smtpConnections)
  return Array.from({ length: count }, (_, index) => Math.floor((smtpConnections + index) / count)).reverse()
}

function externalDatabase({ databaseUrl }: Config): ConnectionSettings | null {
  return databaseUrl ? { connectionString: databaseUrl } : null
}

/** @param undoBeforeRoles takes what is to be undone after the roles, which still write while they finish */
async function startDatabase(
  options: EmbeddedOptions,
  roles: readonly KeptRole[],
  undoBeforeRoles: (step: () => Promise<void>) => void,
): Promise<ConnectionSettings> {
  const server = await keepEmbedded(options, (pid) => {
    for (const role of roles) role.tell({ type: 'database-server', pid, dataDir: options.dataDir })
  })
  undoBeforeRoles(server.stop)
  return server.connection
}
