import { InvalidArgumentError } from 'commander'
import type { Config } from '../config.ts'
import { createLog, type Log } from '../platform/log.ts'
import { OperatorError } from '../platform/operator-error.ts'
import { ROLES, type Role } from '../roles/orders.ts'
import { startFairlead } from '../supervisor.ts'
import { findRunning, requireConfig } from './connect.ts'
import type { CliCommand, Terminal } from './terminal.ts'
import { welcome } from './welcome.ts'

/** A stop that hangs is cut short before the ten seconds that scripts may count on. */
const STOP_WITHIN = 9_500

/** `fairlead start`: all roles with their database, or one role beside a database that runs already. */
export const command: CliCommand = {
  register(program, terminal, fail) {
    program
      .command('start')
      .description('start everything, or one role')
      .option('--role <role>', 'only this role: web or worker', (value: string): Role => {
        const role = ROLES.find((name) => name === value)
        if (!role) throw new InvalidArgumentError('It is web or worker.')
        return role
      })
      .addHelpText('after', '\nExamples:\n  npx fairlead start\n  FAIRLEAD_PORT=9000 npx fairlead start --role web')
      .action(async (options: { role?: Role }) => {
        const config = requireConfig(terminal.env)
        fail(await (options.role ? startOneRole(options.role, config) : startAll(config, terminal)))
      })
  },
}

async function startAll(config: Config, terminal: Terminal): Promise<number> {
  const log = createLog('supervisor')
  const stopWanted = stopSignal(log)
  const running = await startFairlead(config, log, stopWanted).catch((error) => {
    if (stopWanted.aborted) return null
    throw error
  })
  if (running) {
    terminal.print(welcome(config, running))
    await aborted(stopWanted)
    await running.stop()
  }
  log.info('stopped')
  return 0
}

async function startOneRole(role: Role, config: Config): Promise<number> {
  const log = createLog(role)
  const connection = findRunning(config)
  if (!connection) {
    throw new OperatorError(
      `no Fairlead runs on the data folder ${config.dataDir}: start one there, or set FAIRLEAD_DATABASE_URL for a role by itself`,
    )
  }
  const stopWanted = stopSignal(log)
  // Loaded here, so that the supervisor of all roles stays light.
  const [{ systemClock }, { prepareDatabase }, { runRole }] = await Promise.all([
    import('../platform/clock.ts'),
    import('../prepare.ts'),
    import('../roles/run.ts'),
  ])
  await prepareDatabase(connection, config, systemClock)
  const running = await runRole(role, config, connection, log, true)
  log.info({ address: running.address ?? undefined }, `the ${role} role is ready`)
  await aborted(stopWanted)
  await running.close()
  log.info('stopped')
  return 0
}

/** Aborts at the first SIGTERM, SIGINT or SIGHUP; later ones change nothing, as terminals and npm like to send two. */
function stopSignal(log: Log): AbortSignal {
  const wanted = new AbortController()
  const stop = (signal: NodeJS.Signals) => {
    if (wanted.signal.aborted) return
    log.info({ signal }, 'stopping')
    setTimeout(() => {
      log.warn('stopped before everything was finished; what was left goes on at the next start')
      process.exit(0)
    }, STOP_WITHIN).unref()
    wanted.abort()
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, stop)
  return wanted.signal
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
