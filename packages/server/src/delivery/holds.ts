import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { type Author, writeAudit } from '../account/audit.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database, Queryable } from '../platform/database.ts'
import { parseAddress } from '../profiles/address.ts'
import type { ClaimedMessage, Settlement } from './queue.ts'
import { releaseHeld } from './requeue.ts'

declare module '../platform/database.ts' {
  interface Schema {
    delivery_hold: { kind: string; value: string; reason: string | null; at: Date }
  }
}

/** What an operator keeps back in an emergency. */
export type HoldTarget =
  | { kind: 'everything' }
  /** Lower case, as A-labels. */
  | { kind: 'domain'; domain: string }
  | { kind: 'template'; templateId: number }

export interface Hold {
  kind: HoldTarget['kind']
  /** The domain, the template's id, or empty. */
  value: string
  reason: string | null
  at: Date
}

/** What is held, ready to be asked about each message. */
export interface Holds {
  everything: Hold | null
  domains: ReadonlyMap<string, Hold>
  templates: ReadonlyMap<number, Hold>
}

/** The reason of a message that is held: it is deferred, and no attempt was made. */
export const HELD = 'held' as const

/** A held message is looked at again after this long at first, in ms … */
const SHORTEST = 60_000
/** … and after this long at most. A release does not wait for it. */
const LONGEST = 15 * 60_000
/** Workers know of a change after this long, in ms. */
const STALE_AFTER = 2_000
/** What a worker that did not know yet has held is written by then, in ms. */
const SETTLED_AFTER = STALE_AFTER + 500

/** Holds as every claim wants to know them. */
export function cacheHolds(db: Queryable): () => Promise<Holds> {
  let cached: { at: number; holds: Promise<Holds> } | null = null
  return () => {
    if (!cached || performance.now() - cached.at > STALE_AFTER) {
      const holds = listHolds(db).then(arrange)
      holds.catch(() => {
        cached = null
      })
      cached = { at: performance.now(), holds }
    }
    return cached.holds
  }
}

function arrange(holds: readonly Hold[]): Holds {
  const of = (kind: Hold['kind']) => holds.filter((hold) => hold.kind === kind)
  return {
    everything: of('everything')[0] ?? null,
    domains: new Map(of('domain').map((hold) => [hold.value, hold])),
    templates: new Map(of('template').map((hold) => [Number(hold.value), hold])),
  }
}

/**
 * Tells held messages from the others.
 *
 * @returns those that may go on, and what to write for each of those that may not
 */
export function holdBack(
  messages: readonly ClaimedMessage[],
  { everything, domains, templates }: Holds,
  now: Date,
): { free: readonly ClaimedMessage[]; kept: Array<{ message: ClaimedMessage; settlement: Settlement }> } {
  if (!everything && domains.size === 0 && templates.size === 0) return { free: messages, kept: [] }
  const holdOn = ({ address, template_id }: ClaimedMessage) =>
    everything ??
    (template_id === null ? undefined : templates.get(template_id)) ??
    (domains.size === 0 ? undefined : domains.get(asciiDomain(address)))
  const free: ClaimedMessage[] = []
  const kept: Array<{ message: ClaimedMessage; settlement: Settlement }> = []
  for (const message of messages) {
    const hold = holdOn(message)
    if (hold) kept.push({ message, settlement: waitFor(hold, message, now) })
    else free.push(message)
  }
  return { free, kept }
}

/** The longer a hold stands, the longer it will: a million held messages must not be written anew every minute. */
function waitFor(hold: Hold, message: ClaimedMessage, now: Date): Settlement {
  const wait = Math.min(LONGEST, Math.max(SHORTEST, (now.getTime() - hold.at.getTime()) / 4))
  return {
    id: message.id,
    state: 'deferred',
    reason: HELD,
    reply: hold.reason ? `held by an operator: ${hold.reason}` : 'held by an operator',
    dueAt: new Date(now.getTime() + wait),
    revisionId: message.revision_id,
  }
}

/** The domain of an address as a hold names it: each spelling of a mailbox is one. */
function asciiDomain(address: string): string {
  const domain = address.slice(address.lastIndexOf('@') + 1).toLowerCase()
  return parseAddress(`x@${domain}`)?.lookup.slice(2) ?? domain
}

/** All holds, newest first. */
export async function listHolds(q: Queryable): Promise<Hold[]> {
  const rows = await q.selectFrom('delivery_hold').selectAll().orderBy('at', 'desc').execute()
  return rows.map((row) => ({ ...row, kind: row.kind as Hold['kind'] }))
}

/** Keeps messages back, those that wait already included. One that stands gets the new reason. */
export async function hold(
  db: Database,
  clock: Clock,
  target: HoldTarget,
  reason: string,
  author: Author,
): Promise<void> {
  const at = clock.now()
  const value = holdValue(target)
  await db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ isNew: boolean }>`
      insert into delivery_hold (kind, value, reason, at) values (${target.kind}, ${value}, ${reason}, ${at})
      on conflict (kind, value) do update set reason = excluded.reason
      returning xmax = 0 as "isNew"`.execute(tx)
    const from = rows[0]?.isNew ? null : HELD
    await writeAudit(tx, { ...author, at, action: 'delivery_hold', subject: subjectOf(target), from, to: HELD, reason })
  })
}

/**
 * Lets go what was held; it is sent at once, except what another hold keeps back. Takes a moment: until all workers
 * know, they go on holding.
 *
 * @returns how many messages go on; null: there was no such hold
 */
export async function release(
  db: Database,
  clock: Clock,
  target: HoldTarget,
  reason: string | null,
  author: Author,
): Promise<number | null> {
  const at = clock.now()
  const stood = await db.transaction().execute(async (tx) => {
    const { numDeletedRows } = await tx
      .deleteFrom('delivery_hold')
      .where('kind', '=', target.kind)
      .where('value', '=', holdValue(target))
      .executeTakeFirst()
    if (numDeletedRows === 0n) return false
    const entry = { at, action: 'delivery_hold', subject: subjectOf(target), from: HELD, to: null, reason } as const
    await writeAudit(tx, { ...author, ...entry })
    return true
  })
  if (stood) await sleep(SETTLED_AFTER)
  // Also where no hold stands: a release that was broken off left some waiting.
  const released = await releaseHeld(db, selectionOf(target), clock.now())
  return stood || released > 0 ? released : null
}

function holdValue(target: HoldTarget): string {
  if (target.kind === 'domain') return target.domain
  return target.kind === 'template' ? String(target.templateId) : ''
}

function subjectOf(target: HoldTarget): string {
  return target.kind === 'everything' ? 'everything' : `${target.kind} ${holdValue(target)}`
}

function selectionOf(target: HoldTarget) {
  if (target.kind === 'domain') return { domain: target.domain }
  return target.kind === 'template' ? { templateId: target.templateId } : {}
}
