import { fork } from 'node:child_process'
import { once } from 'node:events'

/** A mail server in a process of its own that takes everything, and counts. */
export interface Sink {
  port: number
  count(): Promise<Count>
  stop(): void
}

/** What came so far. */
export interface Count {
  messages: number
  /** Of their content. */
  bytes: number
  /** When the last message came, in ms since 1970; 0: none did. */
  lastAt: number
}

/** @param latency milliseconds that it takes for each answer */
export async function startSink(latency = 0): Promise<Sink> {
  const child = fork(new URL('smtp-sink.ts', import.meta.url), [String(latency)], { execArgv: [] })
  const [{ port }] = (await once(child, 'message')) as [{ port: number }]
  return {
    port,
    async count() {
      child.send('count')
      const [counts] = (await once(child, 'message')) as [Count]
      return counts
    },
    stop: () => child.disconnect(),
  }
}
