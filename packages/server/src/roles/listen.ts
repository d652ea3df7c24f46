import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { OperatorError } from '../platform/operator-error.ts'

/** The port of a Fairlead that was killed is free again within a second; a port in use stays in use. */
const PORT_PATIENCE = 2_000
/** Requests still unanswered this long after the close began are cut off, in ms. */
const FINISH_WITHIN = 4_000

/**
 * @param variable names the port to whoever has to change it
 * @returns where it listens: `http://127.0.0.1:8080`
 * @throws OperatorError when it cannot
 */
export async function listen(app: FastifyInstance, host: string, port: number, variable: string): Promise<string> {
  const deadline = Date.now() + PORT_PATIENCE
  for (;;) {
    try {
      return await app.listen({ host, port })
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EADDRINUSE' && Date.now() < deadline) await sleep(100)
      else throw problemWith(host, port, variable, code) ?? error
    }
  }
}

/** Takes no more requests and finishes those under way. */
export async function closeListener(app: FastifyInstance): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), FINISH_WITHIN)
  await app.close()
  clearTimeout(cut)
}

function problemWith(host: string, port: number, variable: string, code: string | undefined): OperatorError | null {
  const where = `${host}:${port}`
  if (code === 'EADDRINUSE') {
    return new OperatorError(
      `port ${port} on ${host} is in use by another program: stop it, or choose another ${variable}`,
    )
  }
  if (code === 'EACCES') return new OperatorError(`not allowed to listen on ${where}: choose a ${variable} above 1023`)
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return new OperatorError(`${host} (FAIRLEAD_HOST) is not an address of this machine`)
  }
  return null
}
