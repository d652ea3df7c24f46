import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/**
 * A load on one server of this machine: keep-alive connections, each sending its next request when the last is
 * answered. It writes ready-made bytes and reads no more of an answer than it must, because on two cores every cycle
 * that the measuring takes is missing from what is measured.
 */
export interface Load {
  port: number
  connections: number
  /** Whole HTTP/1.1 requests, for keep-alive connections. */
  requests: readonly Buffer[]
  /** Begin again after the last request; else the load ends with it. */
  repeat?: boolean
  /** When the load ends at the latest, in ms. */
  milliseconds: number
}

export interface LoadResult extends Latency {
  answers: number
  /** Answers a second. */
  rate: number
}

export interface Latency {
  /** Milliseconds within which half, and 99 of 100, of the answers came. */
  p50: number
  p99: number
}

/** @throws when an answer is anything but 200 */
export async function load({ port, connections, requests, repeat = false, milliseconds }: Load): Promise<LoadResult> {
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)))
  const times: number[] = []
  let next = 0
  const began = performance.now()
  const deadline = began + milliseconds
  let ended = began

  const drive = async (socket: Socket) => {
    const ask = asking(socket)
    for (;;) {
      const sent = performance.now()
      if (sent >= deadline) return
      if (next === requests.length) {
        if (!repeat) return
        next = 0
      }
      await ask(requests[next++]!)
      ended = performance.now()
      times.push(ended - sent)
    }
  }

  try {
    await Promise.all(sockets.map(drive))
  } finally {
    for (const socket of sockets) socket.destroy()
  }
  return { answers: times.length, rate: (times.length * 1000) / (ended - began), ...latency(times) }
}

/** @param times of answers, in ms */
export function latency(times: readonly number[]): Latency {
  const sorted = times.toSorted((a, b) => a - b)
  return { p50: sorted[Math.floor(times.length * 0.5)] ?? 0, p99: sorted[Math.floor(times.length * 0.99)] ?? 0 }
}

/** A connection to a server of this machine. */
export async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  return socket
}

/** Sends one request and waits for the whole answer. @throws when it is anything but 200 */
export function asking(socket: Socket): (request: Buffer) => Promise<void> {
  let received: Buffer | null = null
  let settle: { resolve(): void; reject(error: Error): void } | null = null
  const fail = (error: Error) => {
    settle?.reject(error)
    settle = null
  }
  socket.on('data', (chunk: Buffer) => {
    received = received === null ? chunk : Buffer.concat([received, chunk])
    const outcome = readAnswer(received)
    if (outcome === 'incomplete') return
    received = null
    if (outcome instanceof Error) return fail(outcome)
    settle?.resolve()
    settle = null
  })
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('the server closed the connection')))
  return (request) =>
    new Promise((resolve, reject) => {
      settle = { resolve, reject }
      socket.write(request)
    })
}

function readAnswer(bytes: Buffer): 'complete' | 'incomplete' | Error {
  const end = bytes.indexOf('\r\n\r\n')
  if (end === -1) return 'incomplete'
  const head = bytes.toString('latin1', 0, end)
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1]
  if (length === undefined) return new Error(`an answer without Content-Length: ${head}`)
  const whole = end + 4 + Number(length)
  if (bytes.length < whole) return 'incomplete'
  if (bytes.length > whole) return new Error('more than one answer to a request')
  return head.startsWith('HTTP/1.1 200 ') ? 'complete' : new Error(bytes.toString())
}

/** The bytes of a GET. */
export function getRequest(path: string): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
}

/** The bytes of a form's POST. */
export function formRequest(path: string, form: string): Buffer {
  const type = 'application/x-www-form-urlencoded'
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(form)}\r\n\r\n${form}`,
  )
}
