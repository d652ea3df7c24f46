/**
 * A mail server that takes everything and understands next to nothing: it counts commands that want an answer and looks
 * for the end of the content. Runs as a child process, so that it stands for a relay and not for our own work.
 */
import { type AddressInfo, createServer, type Socket } from 'node:net'

const EHLO = Buffer.from('250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n')
const OK = Buffer.from('250 2.0.0 ok\r\n')
const ENVELOPE_OK = Buffer.from('250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go ahead\r\n')
const GO = Buffer.from('354 go ahead\r\n')
const END = Buffer.from('\r\n.\r\n')
/** What stands before the content, so that a dot alone ends an empty one. */
const LINE_END: Buffer = END.subarray(0, 2)
const [D, E, M, Q, LF] = ['D', 'E', 'M', 'Q', '\n'].map((letter) => letter.charCodeAt(0)) as [
  number,
  number,
  number,
  number,
  number,
]

/** Milliseconds that every answer takes. */
const latency = Number(process.argv[2] ?? 0)
let messages = 0
let bytes = 0
/** When the last message came, in ms since 1970. */
let lastAt = 0

function answer(socket: Socket, text: Buffer | string): void {
  if (latency === 0) socket.write(text)
  else setTimeout(() => socket.writable && socket.write(text), latency)
}

const server = createServer({ noDelay: true }, (socket) => {
  let inContent = false
  /** The last bytes of the content so far, for an end that is cut. */
  let tail = LINE_END
  socket.write('220 sink\r\n')
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    if (inContent) {
      bytes += chunk.length
      const ended =
        chunk.length >= END.length
          ? chunk.subarray(-END.length).equals(END)
          : Buffer.concat([tail, chunk]).subarray(-END.length).equals(END)
      if (!ended) {
        tail = Buffer.concat([tail, chunk.subarray(-END.length)]).subarray(-END.length)
        return
      }
      inContent = false
      tail = LINE_END
      messages += 1
      lastAt = Date.now()
      answer(socket, OK)
      return
    }
    // A command or a whole envelope comes in one piece: all clients that are measured here write it so.
    const isEnvelope = chunk[0] === M && chunk.lastIndexOf(LF, -2) !== -1
    if (isEnvelope || chunk[0] === D) {
      inContent = true
      answer(socket, isEnvelope ? ENVELOPE_OK : GO)
    } else if (chunk[0] === E) answer(socket, EHLO)
    else if (chunk[0] === Q) socket.end('221 bye\r\n')
    else answer(socket, OK)
  })
})
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('message', () => process.send?.({ messages, bytes, lastAt }))
process.on('disconnect', () => process.exit(0))
