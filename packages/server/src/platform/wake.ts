import { sql } from 'kysely'
import pg from 'pg'
import { onBehalfOf } from './callers.ts'
import type { ConnectionSettings, Database } from './database.ts'
import type { Log } from './log.ts'

/**
 * Tells loops in any process that there is something to do. Only a hint: loops look by themselves too, so a
 * notification that is lost costs a moment and nothing else.
 */
export interface Waker {
  /** Call after the commit. Calls close together become one notification. */
  wake(topic: string): void
}

/** The channel of all topics; a topic is the payload. */
export const CHANNEL = 'fairlead'
/** At most one notification a topic in this time, in ms. */
const SPACING = 100

export function createWaker(db: Database): Waker {
  const pending = new Map<string, { again: boolean }>()

  const notify = (topic: string) => {
    const state = { again: false }
    pending.set(topic, state)
    onBehalfOf([], () => sql`select pg_notify(${CHANNEL}, ${topic})`.execute(db)).catch(() => {})
    setTimeout(() => {
      pending.delete(topic)
      if (state.again) notify(topic)
    }, SPACING).unref()
  }

  return {
    wake(topic) {
      const state = pending.get(topic)
      if (state) state.again = true
      else notify(topic)
    },
  }
}

/** Hears what wakers in all processes say, on a connection of its own that is made again when it breaks. */
export interface Listener {
  /** Calls back after every notification of this topic, and after a new connection, as some may have been missed. */
  on(topic: string, hear: () => void): void
  start(): void
  stop(): Promise<void>
}

const RECONNECT_AFTER = 1_000

export function createListener(settings: ConnectionSettings, log: Log): Listener {
  const ears = new Map<string, Array<() => void>>()
  let client: pg.Client | null = null
  let timer: NodeJS.Timeout | null = null
  let stopped = false

  const hear = (topic: string) => {
    for (const ear of ears.get(topic) ?? []) ear()
  }

  function retry(): void {
    if (stopped || timer) return
    timer = setTimeout(() => {
      timer = null
      void connect()
    }, RECONNECT_AFTER)
  }

  async function connect(): Promise<void> {
    const fresh = new pg.Client({ ...settings, application_name: 'fairlead listener', keepAlive: true })
    const lost = () => {
      if (client === fresh) client = null
      retry()
    }
    fresh.on('error', lost)
    fresh.on('end', lost)
    fresh.on('notification', ({ payload }) => hear(payload ?? ''))
    try {
      await fresh.connect()
      await fresh.query(`listen ${CHANNEL}`)
      if (stopped) return void (await fresh.end())
      client = fresh
      for (const topic of ears.keys()) hear(topic)
    } catch (error) {
      log.debug({ err: error }, 'not listening for notifications; the loops look by themselves meanwhile')
      fresh.end().catch(() => {})
      retry()
    }
  }

  return {
    on(topic, ear) {
      ears.set(topic, [...(ears.get(topic) ?? []), ear])
    },
    start: () => void connect(),
    async stop() {
      stopped = true
      if (timer) clearTimeout(timer)
      const open = client
      client = null
      await open?.end()
    },
  }
}
