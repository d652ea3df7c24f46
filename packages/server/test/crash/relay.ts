import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A way to a mail server on which connections can be cut at any moment. */
export interface CutRelay {
  port: number
  /** Cuts connections that are open. @param share of them; picks by `pick`, from 0 to below 1 */
  cut(share: number, pick: () => number): void
  close(): Promise<void>
}

export async function startCutRelay(behind: number): Promise<CutRelay> {
  const ways = new Set<() => void>()
  const server = createServer((client) => {
    const upstream: Socket = connect(behind, '127.0.0.1')
    const cut = () => {
      ways.delete(cut)
      client.destroy()
      upstream.destroy()
    }
    ways.add(cut)
    client.pipe(upstream).pipe(client)
    for (const socket of [client, upstream]) socket.on('error', () => {}).on('close', cut)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    cut(share, pick) {
      for (const cut of [...ways]) if (pick() < share) cut()
    },
    async close() {
      for (const cut of [...ways]) cut()
      server.close()
      await once(server, 'close')
    },
  }
}
