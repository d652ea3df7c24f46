import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config.ts'
import type { ConnectionSettings } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import type { Family } from '../platform/metrics.ts'
import { OperatorError } from '../platform/operator-error.ts'
import { restartDelay, STEADY_AFTER } from '../platform/restart-delay.ts'
import type { Account, Answer, Order, Report, Role } from './orders.ts'

/** A role in a process of its own, started again whenever it dies. */
export interface KeptRole {
  /** Has the process bring the database up to date; before `begin`. */
  prepare(order: Order & { type: 'prepare' }): Promise<{ account: Account; migrated: string[] }>
  /** Gives the process its order. Resolves with its address when it is ready; rejects when it cannot start. */
  begin(order: { config: Config; connection: ConnectionSettings }): Promise<string | null>
  /** Passes on something that the process, and each later one in its place, needs to know. */
  tell(order: Order & { type: 'database-server' }): void
  /** Passes on something that only the process of the moment wants to know. */
  pass(order: Order & { type: 'figures' }): void
  /** Asks it to finish; by force after so many ms. */
  stop(patience: number): Promise<void>
}

/**
 * Forks the process at once; it waits for `begin`.
 *
 * @param name of the process: of one role there may be several
 * @param onFigures hears how the process stands, from time to time
 */
export function keepRole(
  role: Role,
  name: string,
  log: Log,
  onFigures: (families: Family[]) => void = () => {},
): KeptRole {
  const forked = () => {
    const process = forkRole()
    process.on('message', (report: Report) => {
      if (report.type === 'figures') onFigures(report.families)
    })
    return process
  }
  let child = forked()
  let order: (Order & { type: 'start' }) | null = null
  let note: Order | null = null
  let since = Date.now()
  let failures = 0
  const over = new AbortController()

  const send = (message: Order) => {
    if (child.connected) child.send(message)
  }

  const ask = async <T extends Answer['type']>(question: Order, wanted: T): Promise<Answer & { type: T }> => {
    const next = nextAnswer(child)
    send(question)
    const answer = await next
    if (answer.type === 'failed') throw new OperatorError(answer.problem)
    if (answer.type !== wanted) throw new Error(`the ${name} process answered ${answer.type} instead of ${wanted}`)
    return answer as Answer & { type: T }
  }

  const begin = async (): Promise<string | null> => {
    since = Date.now()
    if (note) send(note)
    return (await ask(order!, 'ready')).address
  }

  const keep = async () => {
    for (;;) {
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      if (over.signal.aborted) return
      if (Date.now() - since > STEADY_AFTER) failures = 0
      failures += 1
      const reason = child.signalCode ?? `code ${child.exitCode}`
      log.error({ role, pid: child.pid, reason }, `the ${name} process ended; starting it again`)
      await sleep(restartDelay(failures), null, { signal: over.signal }).catch(() => {})
      if (over.signal.aborted) return
      child = forked()
      begin().then(
        () => log.info({ role, pid: child.pid }, `the ${name} process is back`),
        (error) => {
          log.error({ role, reason: error.message }, `the ${name} process does not start; trying again`)
          child.kill('SIGKILL')
        },
      )
    }
  }

  return {
    prepare: (question) => ask(question, 'prepared'),
    async begin(first) {
      order = { type: 'start', role, name, ...first }
      const address = await begin()
      keep()
      return address
    },
    tell(order) {
      note = order
      send(order)
    },
    pass: send,
    async stop(patience) {
      over.abort()
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      send({ type: 'stop' })
      const force = setTimeout(() => {
        log.warn({ role, pid: child.pid }, `the ${name} process did not finish in time and is ended by force`)
        child.kill('SIGKILL')
      }, patience)
      await ended
      clearTimeout(force)
    },
  }
}

/**
 * On a machine with much memory V8 lets its nursery grow to a hundred megabytes before it looks for garbage. Within this
 * limit, in MB, throughput is the same, and a busy process is half as large.
 */
const NURSERY = 16

function forkRole(): ChildProcess {
  const child = fork(new URL('./process.ts', import.meta.url), [], {
    serialization: 'advanced',
    execArgv: [`--max-semi-space-size=${NURSERY}`],
  })
  // A message to a process that has just died is lost, and its end is dealt with where it is waited for.
  child.on('error', () => {})
  return child
}

/** What the process answers next; its death counts as a failure. */
function nextAnswer(child: ChildProcess): Promise<Answer> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve(deathOf(child))
    const done = (answer: Answer) => {
      child.off('message', heard)
      child.off('exit', died)
      resolve(answer)
    }
    const heard = (report: Report) => {
      if (report.type !== 'figures') done(report)
    }
    const died = () => done(deathOf(child))
    child.on('message', heard)
    child.once('exit', died)
  })
}

function deathOf(child: ChildProcess): Answer {
  const reason = child.signalCode ?? `code ${child.exitCode}`
  return { type: 'failed', problem: `the process ended with ${reason} before it was ready` }
}
