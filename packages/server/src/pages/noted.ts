import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { type Level, readLevel } from '../consent/levels.ts'
import type { Refusing } from '../consent/refusals.ts'
import type { Json } from '../platform/json.ts'
import { openDiskSpool } from './disk-spool.ts'
import type { PageParts } from './parts.ts'

/** A refusal that could not be recorded because the database was away. Names, since ids have to be looked up. */
export interface Refusal {
  via: 'one_click' | 'hosted_page'
  profileId: number
  messageId: number | null
  ip: string
  userAgent: string | null
  /** For the record: no hash, no address. */
  place: string
  /** `oneclick`: the level that the setting names. */
  level: Level | 'oneclick' | null
  lists: string[]
  templates: string[]
  sms: boolean
}

/** Notes refusals on disk while the database is away, and records them when it is back. */
export interface NotedRefusals {
  /** False: it could not be noted either. */
  note(refusal: Refusal): boolean
  start(): void
  stop(): Promise<void>
}

/** Between two looks for the database, in ms: mail that waits must not leave before the refusal counts. */
const EVERY = 250
/** A refusal that the database, being there, does not take is set aside after this many attempts. */
const MOST_FAILURES = 5

type Noted = Refusal & { at: number }

export function createNotedRefusals(parts: PageParts): NotedRefusals {
  const { config, db, log } = parts
  const spool = openDiskSpool(join(config.dataDir, 'noted-optouts'))
  const setAside = openDiskSpool(join(config.dataDir, 'noted-optouts', 'set-aside'))
  let failures = 0
  let running: Promise<void> | null = null
  let stopping = false

  async function record(line: Json): Promise<void> {
    const noted = line as unknown as Noted
    try {
      const { profileId, messageId } = noted
      const { heard } = await parts.refusals.refuse({ profileId, messageId }, await refusingOf(parts, noted))
      if (!heard) log.warn({ profile: profileId }, 'a noted opt-out is about nobody whom we know any more')
      failures = 0
    } catch (error) {
      await sql`select 1`.execute(db)
      // The database is there, so it is this refusal that it does not take.
      failures += 1
      if (failures < MOST_FAILURES || !setAside.note(line)) throw error
      failures = 0
      log.error({ err: error, profile: noted.profileId }, 'a noted opt-out cannot be recorded and was set aside')
    }
  }

  async function work(): Promise<void> {
    while (!stopping && !spool.isEmpty()) {
      try {
        await sql`select 1`.execute(db)
        const count = await spool.drain(record)
        if (count > 0) log.info({ count }, 'noted opt-outs are recorded')
      } catch {
        await sleep(EVERY)
      }
    }
  }

  function start(): void {
    if (stopping || running || spool.isEmpty()) return
    running = work().finally(() => {
      running = null
      // One may have been noted between the last look and now.
      start()
    })
  }

  return {
    start,
    note(refusal) {
      const wasEmpty = spool.isEmpty()
      if (!spool.note({ ...refusal, at: parts.clock.now().getTime() })) {
        log.error('an opt-out can neither be recorded nor noted on disk')
        return false
      }
      if (wasEmpty) log.warn('opt-outs are noted on disk until the database answers')
      start()
      return true
    },
    async stop() {
      stopping = true
      await Promise.race([running, sleep(2_000, undefined, { ref: false })])
      spool.close()
      setAside.close()
    },
  }
}

/** It counts as made now: nobody knows what was decided while the database was away, and doubts go to the refusal. */
async function refusingOf(parts: PageParts, noted: Noted): Promise<Refusing> {
  const { lists, templates, settings } = parts
  const level = noted.level === 'oneclick' ? (await settings.get()).oneclick_level : readLevel(noted.level ?? '')
  const [listIds, left] = await Promise.all([lists.find(noted.lists), templates.byNames(noted.templates)])
  const leaving = [...listIds.values()]
  return {
    act: {
      via: noted.via,
      evidence: 2,
      ...(noted.via === 'one_click' ? { reason: 'Unsubscribe-email' } : { listSource: 'hosted_page' as const }),
      ip: noted.ip,
      ...(noted.userAgent === null ? {} : { userAgent: noted.userAgent }),
      url: noted.place,
      ...(noted.messageId === null ? {} : { messageId: noted.messageId }),
      decidedAt: new Date(noted.at),
    },
    ...(level && level !== 'none' ? { level: { to: level, mode: 'tighten' } } : {}),
    ...(leaving.length > 0 ? { lists: new Map(leaving.map((id) => [id, false])) } : {}),
    ...(left.size > 0
      ? { templates: new Map([...left.values()].map(({ id, publicName }) => [id, { out: true, name: publicName }])) }
      : {}),
    ...(noted.sms ? { sms: { marketing: 'opt-out' } } : {}),
  }
}
