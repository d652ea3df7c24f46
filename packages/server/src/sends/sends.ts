import { sql } from 'kysely'
import type { Refusals } from '../consent/refusals.ts'
import type { Clock } from '../platform/clock.ts'
import { coalesce } from '../platform/coalesce.ts'
import type { Database, Queryable, Tx } from '../platform/database.ts'
import type { JsonObject } from '../platform/json.ts'
import { shardOfId } from '../platform/shard.ts'
import { parseAddress } from '../profiles/address.ts'
import type { Act } from '../profiles/change.ts'
import type { Profiles } from '../profiles/door.ts'
import { findIds } from '../profiles/read.ts'
import type { SettingsCache } from '../settings/settings.ts'
import type { LoadedTemplate, Templates } from '../templates/templates.ts'
import { type DecidedCopies, decideCopies, type RefusedCopy } from './copies.ts'
import { type EnqueueOutcome, type EnqueueRefusal, type EnqueueRequest, enqueue } from './enqueue.ts'
import { kindNow } from './kind.ts'
import type { SendLimit } from './limit.ts'
import type { MessageOrigin, SendOptions } from './message-table.ts'
import { type CancelOutcome, cancelSend, readSend, type SendRecord } from './read.ts'
import type { SendIds } from './send-id.ts'

/** A triggered message to one or more people. */
export interface SendRequest {
  /** Name. */
  template: string
  emails: string[]
  vars: JsonObject
  /** Address as given in `emails` → vars that replace those of the call. */
  evars: { [email: string]: JsonObject }
  options: SendOptions
  scheduledFor?: Date
  limit?: SendLimit
  origin: MessageOrigin
  act: Act
}

export type SendRefusal = EnqueueRefusal | 'key_conflict'

/** What became of one address. */
export type SentOne =
  /** `refusedCopies`: copies that were left out; absent: none. */
  | { ok: true; email: string; messageId: number; sendId: string; refusedCopies?: readonly RefusedCopy[] }
  | { ok: false; email: string; code: number; reason: SendRefusal }

export type SendOutcome = { ok: true; template: string; sends: SentOne[] } | { ok: false; code: 14; reason: 'template' }

export type UpdateOutcome =
  | { ok: true; record: SendRecord; refusedCopies: readonly RefusedCopy[] }
  | { ok: false; reason: 'unknown' | 'too_late' }

export interface Sends {
  /**
   * Queues a message to each address; unknown people get a profile. Calls that arrive together share statements, and
   * are taken apart when one of them fails.
   */
  send(request: SendRequest): Promise<SendOutcome>
  /** Null for an unknown id, or one older than 90 days. */
  get(sendId: string): Promise<SendRecord | null>
  /** Takes back a scheduled message. `too_late` when it left already or was never scheduled. */
  cancel(sendId: string): Promise<CancelOutcome>
  /** Changes a scheduled message that has not left yet; what is not given stays. */
  update(sendId: string, change: SendChange): Promise<UpdateOutcome>
  sendIdOf(messageId: number): string
  messageIdOf(sendId: string): number | null
}

export interface SendChange {
  vars?: JsonObject
  options?: SendOptions
  scheduledFor?: Date
}

/** Batches in the database at the same time: one, so that those who arrive meanwhile share the next one and its sync. */
const AT_ONCE = 1

export function createSends(parts: {
  db: Database
  clock: Clock
  settings: SettingsCache
  templates: Templates
  profiles: Profiles
  refusals: Pick<Refusals, 'wishesOf'>
  ids: SendIds
  /** Called when messages are queued and committed. */
  wake: () => void
}): Sends {
  const { db, clock, settings, templates, profiles, refusals, ids, wake } = parts

  async function sendAll(requests: SendRequest[]): Promise<SendOutcome[]> {
    const known = await templates.byNames([...new Set(requests.map((request) => request.template))])
    const calls = requests.map((request) => {
      const template = known.get(request.template)
      return template ? request.emails.map((email) => newParcel(request, template, email)) : null
    })
    await queueAll(calls.flatMap((call) => call ?? []))
    return calls.map((call, index): SendOutcome => {
      if (!call) return { ok: false, code: 14, reason: 'template' }
      return { ok: true, template: requests[index]!.template, sends: call.map((parcel) => parcel.result!) }
    })
  }

  async function queueAll(parcels: readonly Parcel[]): Promise<void> {
    const open = parcels.filter((parcel) => parcel.result === null)
    if (open.length === 0) return
    const found = await findIds(
      db,
      open.map(({ address }) => ({ kind: 'email' as const, value: address })),
    )
    for (const [index, parcel] of open.entries()) parcel.profileId = found[index] ?? null
    // Strangers come to be together with their messages. What has to be counted is counted under a lock that only a
    // transaction can hold. The ordinary message needs one statement to be written, which is durable by itself.
    const isOrdinary = open.every(
      ({ profileId, request: { limit }, template }) => profileId !== null && !limit && !template.isOptinConfirm,
    )
    if (isOrdinary) await queue(db, open)
    else {
      await db.transaction().execute(async (tx) => {
        await makePeople(tx, open)
        await queue(
          tx,
          open.filter((parcel) => parcel.result === null),
        )
      })
    }
    wake()
  }

  /** Creates the people whom nobody knew. */
  async function makePeople(tx: Tx, parcels: readonly Parcel[]): Promise<void> {
    const strangers = parcels.filter(({ profileId }) => profileId === null)
    if (strangers.length === 0) return
    const made = await profiles.changeIn(
      tx,
      strangers.map(({ address, request }) => ({ person: { kind: 'email', value: address }, act: request.act })),
    )
    for (const [index, parcel] of strangers.entries()) {
      const outcome = made[index]!
      if (outcome.ok) parcel.profileId = outcome.profileId
      else if (outcome.problem === 'invalid_email') parcel.result = refusal(parcel, 11, 'invalid_email')
      else parcel.result = refusal(parcel, 99, 'key_conflict')
    }
  }

  async function queue(q: Queryable, open: readonly Parcel[]): Promise<void> {
    const env = { now: clock.now(), settings: await settings.get(q), wishesOf: refusals.wishesOf }
    const outcomes = await enqueue(q, open.map(enqueueRequest), env)
    for (const [index, parcel] of open.entries()) parcel.result = resultOf(parcel, outcomes[index]!)
  }

  function resultOf(parcel: Parcel, outcome: EnqueueOutcome): SentOne {
    if (!outcome.ok) return refusal(parcel, outcome.code, outcome.reason)
    const { messageId, refusedCopies } = outcome
    const sent = { ok: true as const, email: parcel.email, messageId, sendId: ids.sendIdOf(messageId) }
    return refusedCopies ? { ...sent, refusedCopies } : sent
  }

  /** Decides about the copies that a message waiting for its time is given; undefined where there are none. */
  async function copiesOf(messageId: number, options: SendOptions): Promise<DecidedCopies | undefined> {
    if (!options.headers) return undefined
    const message = await db
      .selectFrom('message')
      .select(['address', 'kind', 'template_id'])
      .where('shard', '=', shardOfId(messageId))
      .where('id', '=', messageId)
      .executeTakeFirst()
    const templateId = message?.template_id ?? 0
    const template = (await templates.byIds([templateId])).get(templateId)
    if (!message || !template) return undefined
    const { address, kind } = message
    const [copies] = await decideCopies(db, refusals.wishesOf, [
      { address, kind: kindNow(kind, template), template, options },
    ])
    return copies
  }

  return {
    send: coalesce(sendAll, { atOnce: AT_ONCE }),

    async get(sendId) {
      const messageId = ids.messageIdOf(sendId)
      return messageId === null ? null : readSend(db, messageId, clock.now())
    },

    async cancel(sendId) {
      const messageId = ids.messageIdOf(sendId)
      return messageId === null ? 'unknown' : cancelSend(db, clock, messageId)
    },

    async update(sendId, { vars, options, scheduledFor }) {
      const messageId = ids.messageIdOf(sendId)
      if (messageId === null) return { ok: false, reason: 'unknown' }
      const now = clock.now()
      const copies = options && (await copiesOf(messageId, options))
      const { numAffectedRows } = await sql`
        update message set
          vars = coalesce(${vars ? JSON.stringify(vars) : null}::json, vars),
          options = coalesce(${options ? JSON.stringify(copies?.options ?? options) : null}::json, options),
          scheduled_for = coalesce(${scheduledFor ?? null}::timestamptz, scheduled_for),
          due_at = coalesce(${scheduledFor ?? null}::timestamptz, due_at)
        where shard = ${shardOfId(messageId)} and id = ${messageId}
          and state = 'queued' and scheduled_for > ${now}`.execute(db)
      const record = await readSend(db, messageId, now)
      if (!record) return { ok: false, reason: 'unknown' }
      return numAffectedRows === 1n
        ? { ok: true, record, refusedCopies: copies?.refused ?? [] }
        : { ok: false, reason: 'too_late' }
    },

    sendIdOf: ids.sendIdOf,
    messageIdOf: ids.messageIdOf,
  }
}

/** One address of one call, on its way through the batch. */
interface Parcel {
  request: SendRequest
  template: LoadedTemplate
  /** As given. */
  email: string
  /** As it is written on the envelope. */
  address: string
  profileId: number | null
  result: SentOne | null
}

function newParcel(request: SendRequest, template: LoadedTemplate, email: string): Parcel {
  const address = parseAddress(email)
  const parcel: Parcel = {
    request,
    template,
    email,
    address: address?.display ?? '',
    profileId: null,
    result: null,
  }
  if (!address) parcel.result = refusal(parcel, 11, 'invalid_email')
  else if (template.isDisabled) parcel.result = refusal(parcel, 99, 'template_disabled')
  return parcel
}

function refusal({ email }: Parcel, code: number, reason: SendRefusal): SentOne {
  return { ok: false, email, code, reason }
}

function enqueueRequest({ request, template, email, address, profileId }: Parcel): EnqueueRequest {
  const { vars, evars, options, scheduledFor, limit, origin } = request
  // What one recipient is given replaces what all are given, name by name, as templates look it up.
  const own = Object.hasOwn(evars, email) ? evars[email]! : null
  return {
    profileId: profileId!,
    address,
    template,
    vars: own ? { ...vars, ...own } : vars,
    options,
    scheduledFor,
    limit,
    origin,
  }
}
