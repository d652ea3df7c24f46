import type { Socket } from 'node:net'
import { oneLine } from '../../platform/operator-error.ts'
import { CLOSING, createReplyReader, isPositive, type Reply, textOf } from './reply.ts'
import { createWatch, type Step, type Timeouts } from './timeouts.ts'

/**
 * A socket that speaks in questions and answers. One exchange at a time; nothing is thrown: an exchange that the end of
 * the connection cut short has fewer replies than commands, and `ended` says why.
 */
export interface Wire {
  /** Waits until the socket is connected. @returns false when the connection ended instead */
  connected(): Promise<boolean>
  /**
   * Goes on over TLS; what the server said before is forgotten (RFC 3207 §4.2).
   * @param upgrade puts TLS on the socket
   * @returns the encrypted socket; null when the connection ended instead
   */
  secure<Secure extends Socket>(upgrade: (plain: Socket) => Secure): Promise<Secure | null>
  /**
   * Sends commands in one write and waits for one reply to each.
   * @param commands with their line ends; empty: only listens
   * @param steps one for each command
   * @returns the replies that came; the last one may be a 421, which ends the connection
   */
  ask(commands: string, steps: readonly Step[]): Promise<readonly Reply[]>
  /** Sends a content and what ends it, and waits for the reply to it. */
  sendContent(content: Buffer, end: Buffer): Promise<ContentSent>
  /** Why nothing more goes over it; null while it works. */
  ended(): string | null
  socket(): Socket
  /** Says goodbye; cuts off an exchange that is under way. */
  quit(): void
  /** Ends at once. */
  cut(reason: string): void
}

export interface ContentSent {
  /** Null when the connection ended before one came. */
  reply: Reply | null
  /** Whether everything up to the last byte left this process: from then on the server may have taken the message. */
  isWhole: boolean
}

interface Exchange {
  steps: readonly Step[]
  replies: Reply[]
  done(replies: readonly Reply[]): void
  /** False while the content of this exchange is still on its way out. */
  isSent: boolean
}

/** A content is written in pieces of this size, so that one that moves slowly is told from one that is stuck. */
const BLOCK = 256 * 1024
/** How long the server may take to hang up after QUIT, in ms. */
const GOODBYE = 2_000

/** @param plain a socket that connects or is connected */
export function createWire(plain: Socket, timeouts: Timeouts): Wire {
  let socket = plain
  let ended: string | null = null
  let exchange: Exchange | null = null
  /** A positive reply that came before the content had left: not to be believed before that. */
  let early: Reply | null = null
  let wake: (() => void) | null = null
  const watch = createWatch(timeouts, cut)
  const reader = createReplyReader(hear)
  const onData = (chunk: Buffer) => {
    if (ended !== null) return
    const problem = reader.push(chunk)
    if (problem) cut(problem)
  }
  const onDrain = () => wake?.()
  const onError = (error: Error) => cut(oneLine(error))
  const onEnd = () => cut('the connection was closed by the server')
  const onClose = () => cut('the connection was closed')
  listen(plain)

  function listen(to: Socket): void {
    // Commands are small and each is waited for: none may be held back to travel with the next (RFC 896).
    to.setNoDelay(true)
    to.on('data', onData).on('drain', onDrain).on('error', onError).on('end', onEnd).on('close', onClose)
  }

  function cut(reason: string): void {
    if (ended !== null) return
    ended = reason
    watch.stop()
    socket.destroy()
    finish()
    wake?.()
  }

  function finish(): void {
    if (exchange === null) return
    const { done, replies } = exchange
    exchange = null
    watch.rest()
    done(replies)
  }

  function hear(reply: Reply): void {
    if (ended !== null) return
    if (exchange === null) {
      // To go on would be to take the answer to one command for the answer to another.
      cut(reply.code === CLOSING ? textOf(reply) : `an answer to nothing: ${textOf(reply)}`)
    } else if (!exchange.isSent && isPositive(reply)) early = reply
    else {
      const { replies, steps } = exchange
      replies.push(reply)
      if (reply.code === CLOSING) cut(textOf(reply))
      else if (replies.length < steps.length) watch.expect(steps[replies.length]!)
      else {
        finish()
        // The rest of a content that was refused halfway need not be written.
        wake?.()
      }
    }
  }

  function begin(steps: readonly Step[], isSent: boolean, done: Exchange['done']): Exchange {
    if (exchange !== null) throw new Error('one exchange at a time')
    watch.expect(steps[0]!)
    exchange = { steps, replies: [], done, isSent }
    return exchange
  }

  function until(event: string, step: Step): Promise<boolean> {
    if (ended !== null) return Promise.resolve(false)
    watch.expect(step)
    return new Promise((resolve) => {
      wake = () => {
        wake = null
        watch.rest()
        resolve(ended === null)
      }
      socket.once(event, wake)
    })
  }

  /** @returns false when the exchange ended before everything was written */
  async function writeBlocks(content: Buffer, mine: Exchange): Promise<boolean> {
    for (let at = 0; at < content.length; at += BLOCK) {
      if (exchange !== mine) return false
      watch.expect('block')
      if (socket.write(content.subarray(at, at + BLOCK))) continue
      await new Promise<void>((resolve) => {
        wake = resolve
      })
      wake = null
    }
    return exchange === mine
  }

  return {
    connected: () => until('connect', 'connect'),
    async secure(upgrade) {
      if (ended !== null) return null
      // Its errors and its end still count, its bytes are no longer for us.
      plain.off('data', onData).off('drain', onDrain).off('end', onEnd)
      reader.reset()
      const secure = upgrade(plain)
      socket = secure
      listen(secure)
      return (await until('secureConnect', 'tls')) ? secure : null
    },
    ask(commands, steps) {
      if (ended !== null) return Promise.resolve([])
      return new Promise((resolve) => {
        begin(steps, true, resolve)
        if (commands !== '') socket.write(commands)
      })
    },
    sendContent(content, end) {
      if (ended !== null) return Promise.resolve({ reply: null, isWhole: false })
      return new Promise((resolve) => {
        let isWhole = false
        const mine = begin(['block'], false, ([reply = null]) => resolve({ reply, isWhole }))
        const left = (error?: Error | null) => {
          if (error) return
          isWhole = true
          if (exchange !== mine) return
          mine.isSent = true
          watch.expect('final')
          const reply = early
          early = null
          if (reply) hear(reply)
        }
        if (content.length > BLOCK) {
          void writeBlocks(content, mine).then((all) => {
            if (all) socket.write(end, left)
          })
          return
        }
        socket.cork()
        socket.write(content)
        socket.write(end, left)
        socket.uncork()
      })
    },
    ended: () => ended,
    socket: () => socket,
    quit() {
      if (ended !== null) return
      if (exchange !== null) return cut('the connection was cut off here')
      ended = 'the connection was closed here'
      watch.stop()
      socket.end('QUIT\r\n')
      setTimeout(() => socket.destroy(), GOODBYE).unref()
    },
    cut,
  }
}
