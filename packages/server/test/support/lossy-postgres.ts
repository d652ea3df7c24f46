import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { EmbeddedConnection } from '../../src/platform/postgres/index.ts'

/** A statement whose answer is to be lost. */
export interface Loss {
  /** Part of its text. */
  statement: RegExp
  /** Whether the server carries it out before the connection breaks. */
  when: 'before' | 'after'
  /** The commit of the transaction that ran the statement is meant, not the statement itself. */
  commit?: boolean
}

/** A way to the database on which connections break at chosen statements. */
export interface LossyPostgres {
  connection: EmbeddedConnection
  /** Breaks the connection at the next such statement; the returned function says whether it has. */
  lose(loss: Loss): () => boolean
  close(): Promise<void>
}

const [PARSE, BIND, QUERY, SYNC, READY] = ['P', 'B', 'Q', 'S', 'Z'].map((letter) => letter.charCodeAt(0))

/** Stands before a real server, reads along (PostgreSQL protocol 3, §55.7), and hangs up when told to. */
export async function startLossyPostgres(behind: EmbeddedConnection): Promise<LossyPostgres> {
  const losses = new Set<Loss>()
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(`${behind.host}/.s.PGSQL.${behind.port}`)
    const prepared = new Map<string, string>()
    /** Statements since the transaction began. */
    let before: string[] = []
    let isStarted = false
    /** Answers that end with "ready": asked for, and come. The first is the one to the sign-in. */
    let [asked, ready] = [1, 0]
    /** With this one the connection breaks. */
    let last = Infinity
    const hangUp = () => {
      for (const socket of [client, upstream]) {
        sockets.delete(socket)
        socket.destroy()
      }
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', hangUp)
    }

    function meant(text: string): Loss | undefined {
      const isCommit = /^commit/i.test(text)
      const found = [...losses].find(({ statement, commit }) =>
        commit ? isCommit && before.some((one) => statement.test(one)) : statement.test(text),
      )
      before = isCommit || /^(begin|rollback|start)/i.test(text) ? [] : [...before, text]
      if (found) losses.delete(found)
      return found
    }

    client.on(
      'data',
      eachMessage(
        () => isStarted,
        (message, type, content) => {
          if (!isStarted) isStarted = true
          else {
            const [first = '', second = ''] = content.toString('latin1').split('\0')
            if (type === PARSE) prepared.set(first, second)
            const text = type === QUERY ? first : type === BIND ? (prepared.get(second) ?? '') : null
            const loss = text === null ? undefined : meant(text)
            if (loss?.when === 'before') return hangUp()
            if (loss) last = asked + 1
            if (type === QUERY || type === SYNC) asked += 1
          }
          upstream.write(message)
        },
      ),
    )
    upstream.on(
      'data',
      eachMessage(
        () => true,
        (message, type) => {
          if (type === READY) ready += 1
          // Of its answer nothing arrives; that it is complete says that the statement has been carried out.
          if (ready >= last) return hangUp()
          if (ready < last - 1 || type === READY) client.write(message)
        },
      ),
    )
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    connection: { ...behind, host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    lose(loss) {
      losses.add(loss)
      return () => !losses.has(loss)
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Cuts a stream into messages: a letter, a length and the content; the very first of a client has no letter. */
function eachMessage(hasType: () => boolean, take: (message: Buffer, type: number, content: Buffer) => void) {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    for (;;) {
      const start = hasType() ? 1 : 0
      if (rest.length < start + 4) return
      const end = start + rest.readUInt32BE(start)
      if (rest.length < end) return
      const message = rest.subarray(0, end)
      rest = rest.subarray(end)
      take(message, hasType() ? message[0]! : 0, message.subarray(start + 4))
    }
  }
}
