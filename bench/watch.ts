import { setTimeout as sleep } from 'node:timers/promises'
import type { Sink } from './sink.ts'

export interface Seen {
  /** Messages a second. */
  rate: number
  messages: number
  /** Of a message. */
  bytes: number
}

/** What comes to a sink within so many ms. */
export async function watch(sink: Sink, milliseconds: number): Promise<Seen> {
  const before = await sink.count()
  const began = performance.now()
  await sleep(milliseconds)
  const after = await sink.count()
  const messages = after.messages - before.messages
  const rate = (messages * 1_000) / (performance.now() - began)
  return { rate, messages, bytes: Math.round((after.bytes - before.bytes) / Math.max(1, messages)) }
}

/** Waits until nothing came to a sink for so many ms. */
export async function untilQuiet(sink: Sink, milliseconds = 500): Promise<void> {
  for (let last = -1; ; ) {
    const { messages } = await sink.count()
    if (messages === last) return
    last = messages
    await sleep(milliseconds)
  }
}
