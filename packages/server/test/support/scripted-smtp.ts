import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSecureContext, TLSSocket } from 'node:tls'

/** Where a script can say something else than usual. `content`: after its end; `inside`: when its first bytes come. */
export type Place =
  | 'greeting'
  | 'EHLO'
  | 'HELO'
  | 'STARTTLS'
  | 'AUTH'
  | 'MAIL'
  | 'RCPT'
  | 'DATA'
  | 'RSET'
  | 'QUIT'
  | 'inside'
  | 'content'

/**
 * What the server does at a place. A text is a reply, several lines apart by "\n", without the last line end; an empty
 * text says nothing and goes on.
 */
export type Act =
  | string
  | {
      say?: string
      /** When it says that: after the client has hung up. */
      after?: 'it was given up'
      /** Bytes of `say` a write; unset: all at once. */
      piece?: number
      /** `hang`: stays connected and never says anything more. `close`: hangs up. `reset`: by RST. */
      finally?: 'hang' | 'close' | 'reset'
    }

export interface Script {
  /** Acts of a place are used up one by one, over all connections; then the usual answer comes. */
  acts?: { [place in Place]?: Act | Act[] }
  /** Lines of the answer to EHLO, after the first. */
  offers?: string[]
  /** For STARTTLS, and with `secure` from the first byte. */
  certificate?: { key: string; cert: string }
  secure?: boolean
  /** Where it listens: an address of this machine, and a port; unset: a free one. */
  address?: string
  port?: number
}

/** A mail server that does what it is told, however wrong that is. */
export interface ScriptedSmtp {
  port: number
  /** Whether an act of that place is still to come that leaves the client without an answer. */
  willHang(place: Place): boolean
  /** Lines that came, over all connections. */
  commands: string[]
  /** The same, those that arrived together in one text. */
  arrivals: string[]
  /** Contents that ended, as they came over the wire, with their end. */
  contents: string[]
  /** Those of them that were not refused: the server has these messages, whether it said so or not. */
  taken: string[]
  connections: number
  /** Writes to all who are connected. */
  interject(bytes: string): void
  close(): Promise<void>
}

const USUAL: { [place in Place]: Act } = {
  greeting: '220 relay.example.com ready',
  EHLO: '',
  HELO: '250 relay.example.com',
  STARTTLS: '220 2.0.0 go ahead',
  AUTH: '235 2.7.0 welcome',
  MAIL: '250 2.1.0 sender ok',
  RCPT: '250 2.1.5 recipient ok',
  DATA: '354 go ahead',
  RSET: '250 2.0.0 forgotten',
  QUIT: { say: '221 2.0.0 bye', finally: 'close' },
  inside: '',
  content: '250 2.0.0 taken as 42',
}

/** Starts on a free port of this machine. */
export async function startScriptedSmtp(script: Script = {}): Promise<ScriptedSmtp> {
  const { offers = ['PIPELINING', '8BITMIME', 'SIZE 1000000', 'ENHANCEDSTATUSCODES'], certificate } = script
  const left = new Map<string, Act[]>()
  for (const [place, acts] of Object.entries(script.acts ?? {}))
    left.set(place, Array.isArray(acts) ? [...acts] : [acts])
  const sockets = new Set<Socket>()
  const usual = { ...USUAL, EHLO: ['250-relay.example.com', ...offers.map((line) => `250-${line}`)].join('\n') }
  usual.EHLO = usual.EHLO.replace(/250-([^\n]*)$/, '250 $1')

  const server = createServer((socket) => {
    smtp.connections += 1
    void serve(script.secure ? encrypted(socket) : socket)
  })
  const smtp: ScriptedSmtp = {
    port: 0,
    commands: [],
    arrivals: [],
    contents: [],
    taken: [],
    connections: 0,
    willHang: (place) =>
      (left.get(place) ?? []).some((act) => typeof act !== 'string' && (act.finally === 'hang' || Boolean(act.after))),
    interject(bytes) {
      for (const socket of sockets) socket.write(bytes)
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }

  function encrypted(socket: Socket): TLSSocket {
    return new TLSSocket(socket, { isServer: true, secureContext: createSecureContext(certificate) })
  }

  async function serve(first: Socket): Promise<void> {
    let socket = first
    let input = ''
    let isHanging = false
    let place: 'command' | 'content' | 'AUTH' = 'command'
    let wake: (() => void) | null = null
    /** Of a content: what was searched for its end already. */
    let searched: string[] = []

    function listen(to: Socket): void {
      socket = to
      sockets.add(to)
      to.on('error', () => {})
      to.on('close', () => {
        sockets.delete(to)
        isHanging = true
        wake?.()
      })
      to.on('data', (chunk: Buffer) => {
        if (place === 'command') smtp.arrivals.push(chunk.toString('latin1'))
        input += chunk.toString('latin1')
        wake?.()
      })
    }

    /** @returns what was said */
    async function act(at: Place): Promise<string> {
      const what = left.get(at)?.shift() ?? usual[at]
      const { say = '', after, piece, finally: ending } = typeof what === 'string' ? { say: what } : what
      if (after) {
        await new Promise<void>((resolve) => {
          if (socket.closed) resolve()
          socket.once('close', () => resolve())
        })
      }
      const bytes = Buffer.from(say === '' ? '' : `${say.replaceAll('\n', '\r\n')}\r\n`)
      for (let from = 0; from < bytes.length; from += piece ?? bytes.length) {
        socket.write(bytes.subarray(from, from + (piece ?? bytes.length)))
        if (piece) await sleep(1)
      }
      if (ending) isHanging = true
      if (ending === 'close') socket.end()
      if (ending === 'reset') socket.resetAndDestroy()
      return say
    }

    listen(first)
    await act('greeting')
    let wasInside = false
    while (!isHanging) {
      if (place === 'content') {
        if (input !== '' && !wasInside) {
          wasInside = true
          await act('inside')
          continue
        }
        const isEmpty = searched.length === 0 && input.startsWith('.\r\n')
        const end = isEmpty ? 3 : input.indexOf('\r\n.\r\n') + 5
        if (end > 4 || isEmpty) {
          const content = searched.join('') + input.slice(0, end)
          smtp.contents.push(content)
          searched = []
          input = input.slice(end)
          place = 'command'
          wasInside = false
          if (!/^[45]/.test(await act('content'))) smtp.taken.push(content)
          continue
        }
        // Searched once only: contents of many megabytes come in hundreds of pieces.
        if (input.length > 4) {
          searched.push(input.slice(0, -4))
          input = input.slice(-4)
        }
      } else if (input.includes('\r\n')) {
        const line = input.slice(0, input.indexOf('\r\n'))
        input = input.slice(line.length + 2)
        smtp.commands.push(line)
        const verb = place === 'AUTH' ? 'AUTH' : ((line.split(' ')[0] ?? '').toUpperCase() as Place)
        const said = await act(verb)
        place = 'command'
        if (verb === 'DATA' && said.startsWith('3')) place = 'content'
        if (verb === 'AUTH' && said.startsWith('334')) place = 'AUTH'
        if (verb === 'STARTTLS' && said.startsWith('2') && !isHanging) {
          socket.removeAllListeners('data')
          input = ''
          listen(encrypted(socket))
        }
        continue
      }
      await new Promise<void>((resolve) => {
        wake = resolve
      })
      wake = null
    }
  }

  server.listen(script.port ?? 0, script.address ?? '127.0.0.1')
  await once(server, 'listening')
  smtp.port = (server.address() as AddressInfo).port
  return smtp
}
