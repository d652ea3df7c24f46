import { sql } from 'kysely'
import { decide, type MessageKind, type Recipient, type RefusalReason } from '../consent/decide.ts'
import { loadRecipients } from '../consent/recipients.ts'
import type { WishesOf } from '../consent/refusals.ts'
import type { Queryable } from '../platform/database.ts'
import type { JsonObject } from '../platform/json.ts'
import { shardOfId } from '../platform/shard.ts'
import type { Settings } from '../settings/settings.ts'
import type { LoadedTemplate } from '../templates/templates.ts'
import { decideCopies, type RefusedCopy } from './copies.ts'
import { applyLimits, type SendLimit } from './limit.ts'
import type { MessageOrigin, SendOptions } from './message-table.ts'
import { countConfirmations } from './optin-throttle.ts'

/** One message that somebody asks for. */
export interface EnqueueRequest {
  profileId: number
  /** As the caller spelled it. */
  address: string
  template: LoadedTemplate
  /** A receipt of a completed purchase: reaches everybody but those who left this template or cannot be reached. */
  force?: 'receipt'
  vars: JsonObject
  options: SendOptions
  scheduledFor?: Date
  origin: MessageOrigin
  /** What caused it, for templates and for the record: `purchase`, `event`, a flow's run. */
  context?: JsonObject
  /** A second request with the same key for the same person is the same message. */
  dedupeKey?: string
  limit?: SendLimit
}

export type EnqueueRefusal = RefusalReason | 'limit' | 'template_disabled'

export type EnqueueOutcome =
  /** `duplicate`: the dedupe key was used before, or a waiting message took the new content (`limit` update). */
  | {
      ok: true
      messageId: number
      duplicate: boolean
      /** Copies that were left out; absent: none. */
      refusedCopies?: readonly RefusedCopy[]
    }
  | { ok: false; code: number; reason: EnqueueRefusal }

export interface EnqueueEnv {
  now: Date
  settings: Settings
  /** For requests that name copies, which only callers of the API can. */
  wishesOf?: WishesOf
}

/** Lower goes first. */
export const PRIORITY = { confirmation: 0, triggered: 1, campaign: 2 } as const

/**
 * Decides about each request and queues those that are allowed, in few statements however many they are. Once the
 * caller's transaction is committed the messages will be sent; wake the topic `delivery` for it to happen at once.
 *
 * @param q a transaction, or the plain handle when no request has a limit or is for `Opt-in Confirm`
 * @returns in the order of the requests
 */
export async function enqueue(
  q: Queryable,
  asked: readonly EnqueueRequest[],
  env: EnqueueEnv,
): Promise<EnqueueOutcome[]> {
  if (asked.length === 0) return []
  const outcomes: Array<EnqueueOutcome | null> = asked.map(() => null)
  const recipients = await loadRecipients(
    q,
    asked.map(({ profileId, address, template }) => ({ profileId, address, templateId: template.id })),
  )
  const verdicts = asked.map((request, index) => judge(request, recipients[index] ?? null, env.settings))
  await throttleConfirmations(q, asked, verdicts, env)
  for (const [index, verdict] of verdicts.entries()) if ('ok' in verdict) outcomes[index] = verdict
  const copies = await decideCopies(
    q,
    env.wishesOf ?? noCopiesHere,
    asked.map((request, index) => {
      const verdict = verdicts[index]!
      return request.options.headers && 'kind' in verdict ? { ...request, kind: verdict.kind } : null
    }),
  )
  const requests = asked.map((request, index) => {
    const options = copies[index]?.options ?? request.options
    return options === request.options ? request : { ...request, options }
  })
  await applyLimits(q, requests, outcomes, env.now)

  const open = requests.flatMap((request, index) => {
    const verdict = verdicts[index]!
    return outcomes[index] === null && 'kind' in verdict ? [{ request, kind: verdict.kind, index }] : []
  })
  const ids = await insertMessages(q, open, env)
  for (const [n, { index }] of open.entries()) outcomes[index] = { ok: true, ...ids[n]! }
  return (outcomes as EnqueueOutcome[]).map((outcome, index) => {
    const { refused = [] } = copies[index] ?? {}
    return outcome.ok && refused.length > 0 ? { ...outcome, refusedCopies: refused } : outcome
  })
}

const noCopiesHere: WishesOf = () => Promise.reject(new Error('a message that is queued here names no copies'))

/** `throttled`: allowed only as an opt-in confirmation, of which one address gets so many a day. */
type Verdict = { kind: MessageKind; throttled?: EnqueueOutcome } | Extract<EnqueueOutcome, { ok: false }>

function judge(request: EnqueueRequest, recipient: Recipient | null, settings: Settings): Verdict {
  const { template } = request
  if (template.isDisabled) return { ok: false, code: 99, reason: 'template_disabled' }
  // The person was erased a moment ago: nobody is left to write to.
  if (!recipient) return { ok: false, code: 32, reason: 'optout_all' }
  const ordinary: MessageKind = template.isBasic ? 'basic' : 'triggered'
  const kind = request.force === 'receipt' && settings.force_receipts ? 'receipt' : ordinary
  const decision = decide(recipient, kind)
  if (decision.allowed) return { kind }
  const refusal = { ok: false, code: decision.code, reason: decision.reason } as const
  if (template.isOptinConfirm && decide(recipient, 'optin').allowed) return { kind: 'optin', throttled: refusal }
  return refusal
}

async function throttleConfirmations(
  q: Queryable,
  requests: readonly EnqueueRequest[],
  verdicts: Verdict[],
  { now, settings }: EnqueueEnv,
): Promise<void> {
  const addresses = requests.flatMap(({ address }, index) => {
    const verdict = verdicts[index]!
    return 'throttled' in verdict ? [address] : []
  })
  if (addresses.length === 0) return
  const counts = await countConfirmations(q, addresses, now)
  for (const [index, verdict] of verdicts.entries()) {
    if (!('throttled' in verdict) || !verdict.throttled) continue
    const address = requests[index]!.address.toLowerCase()
    const count = counts.get(address) ?? 0
    if (count >= settings.optin_confirm_limit) verdicts[index] = verdict.throttled as Verdict
    else counts.set(address, count + 1)
  }
}

interface OpenRequest {
  request: EnqueueRequest
  kind: MessageKind
}

async function insertMessages(
  q: Queryable,
  open: readonly OpenRequest[],
  { now }: EnqueueEnv,
): Promise<Array<{ messageId: number; duplicate: boolean }>> {
  if (open.length === 0) return []
  const column = <T>(read: (one: OpenRequest) => T) => open.map(read)
  const { rows } = await sql<{ id: number; existing: number | null; inserted: boolean }>`
    with wanted as materialized (
      select w.*, nextval('message_number') * 64 + w.shard as id
      from unnest(
        ${column(({ request }) => shardOfId(request.profileId))}::smallint[],
        ${column(({ request }) => request.profileId)}::bigint[],
        ${column(({ request }) => request.template.id)}::int[],
        ${column(({ request }) => (request.scheduledFor ? null : request.template.revisionId))}::int[],
        ${column(({ kind }) => kind)}::text[],
        ${column(({ request }) => request.origin)}::text[],
        ${column(({ request }) => request.address)}::text[],
        ${column(({ request }) => JSON.stringify(request.vars))}::json[],
        ${column(({ request }) => JSON.stringify(request.options))}::json[],
        ${column(({ request }) => JSON.stringify(request.context ?? {}))}::json[],
        ${column((one) => priorityOf(one))}::smallint[],
        ${column(({ request }) => request.scheduledFor ?? null)}::timestamptz[],
        ${column(({ request }) => request.limit?.name ?? null)}::text[],
        ${column(({ request }) => request.dedupeKey ?? null)}::text[]
      ) with ordinality as w(shard, profile_id, template_id, revision_id, kind, origin, address, vars, options, context,
        priority, scheduled_for, limit_name, dedupe_key, n)
    ), inserted as (
      insert into message (shard, id, profile_id, template_id, revision_id, kind, origin, address, vars, options,
        context, priority, state, scheduled_for, due_at, created_at, limit_name, dedupe_key)
      select shard, id, profile_id, template_id, revision_id, kind, origin, address, vars, options, context, priority,
        'queued', scheduled_for, coalesce(scheduled_for, ${now}::timestamptz), ${now}::timestamptz, limit_name, dedupe_key
      from wanted order by n
      on conflict (shard, profile_id, dedupe_key) where dedupe_key is not null do nothing
      returning id)
    select wanted.id, present.id as existing, inserted.id is not null as inserted
    from wanted
    left join inserted on inserted.id = wanted.id
    left join message present on wanted.dedupe_key is not null
      and present.shard = wanted.shard and present.profile_id = wanted.profile_id
      and present.dedupe_key = wanted.dedupe_key
    order by wanted.n`.execute(q)
  // A duplicate within this very batch is not visible to the statement that wrote its first.
  const late = rows.some((row) => !row.inserted && row.existing === null)
  const known = late ? await idsByDedupeKey(q, open) : null
  return rows.map((row, n) => {
    if (row.inserted) return { messageId: row.id, duplicate: false }
    const { profileId, dedupeKey } = open[n]!.request
    return { messageId: row.existing ?? known!.get(`${profileId}:${dedupeKey}`)!, duplicate: true }
  })
}

async function idsByDedupeKey(q: Queryable, open: readonly OpenRequest[]): Promise<Map<string, number>> {
  const keyed = open.filter(({ request }) => request.dedupeKey !== undefined)
  const { rows } = await sql<{ profile_id: number; dedupe_key: string; id: number }>`
    select m.profile_id, m.dedupe_key, m.id
    from unnest(${keyed.map(({ request }) => shardOfId(request.profileId))}::smallint[],
      ${keyed.map(({ request }) => request.profileId)}::bigint[], ${keyed.map(({ request }) => request.dedupeKey)}::text[])
      as w(shard, profile_id, dedupe_key)
    join message m using (shard, profile_id, dedupe_key)`.execute(q)
  return new Map(rows.map((row) => [`${row.profile_id}:${row.dedupe_key}`, row.id]))
}

function priorityOf({ request, kind }: OpenRequest): number {
  const isAwaited = kind === 'optin' || kind === 'receipt' || request.template.isOptinConfirm
  return isAwaited ? PRIORITY.confirmation : PRIORITY.triggered
}
