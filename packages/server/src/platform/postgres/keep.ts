import { setTimeout as sleep } from 'node:timers/promises'
import { oneLine } from '../operator-error.ts'
import { restartDelay, STEADY_AFTER } from '../restart-delay.ts'
import { type EmbeddedOptions, type EmbeddedServer, startEmbedded } from './server.ts'

/** An embedded server that is started again whenever it ends by itself. Its connection settings stay the same. */
export interface KeptServer {
  connection: EmbeddedServer['connection']
  recovered: boolean
  stop(): Promise<void>
}

/** @param onStart told the server's process id at every start, the first included */
export async function keepEmbedded(options: EmbeddedOptions, onStart: (pid: number) => void): Promise<KeptServer> {
  const { log } = options
  const over = new AbortController()
  const again = { ...options, signal: over.signal }
  let failures = 0
  let current = await startEmbedded(options)
  let since = Date.now()
  let comeback: Promise<void> = Promise.resolve()

  const watch = () => {
    onStart(current.pid)
    current.onExit((reason) => {
      log.error({ reason }, 'the database server ended; starting it again')
      comeback = startAgain()
    })
  }
  const startAgain = async () => {
    if (Date.now() - since > STEADY_AFTER) failures = 0
    while (!over.signal.aborted) {
      failures += 1
      await sleep(restartDelay(failures), null, { signal: over.signal }).catch(() => {})
      if (over.signal.aborted) return
      try {
        current = await startEmbedded(again)
        since = Date.now()
        log.info('the database server is back')
        return watch()
      } catch (error) {
        if (over.signal.aborted) return
        log.error({ reason: oneLine(error) }, 'the database server does not start; trying again')
      }
    }
  }
  watch()

  return {
    connection: current.connection,
    recovered: current.recovered,
    async stop() {
      over.abort()
      await comeback
      await current.stop()
    },
  }
}
