import { createHash, hash } from 'node:crypto'
import { type RawBuilder, sql } from 'kysely'
import type { Queryable, Tx } from '../platform/database.ts'
import type { JsonObject } from '../platform/json.ts'
import { shardOfId } from '../platform/shard.ts'
import type { Act } from '../profiles/change.ts'

declare module '../platform/database.ts' {
  interface Schema {
    consent_ledger: LedgerTable
    wording: { id: string; content: string; at: Date }
    used_token: { shard: number; id: string; profile_id: number; purpose: string; used_at: Date }
  }
}

interface LedgerTable {
  shard: number
  id: number
  profile_id: number
  address_hmac: Buffer | null
  at: Date
  recorded_at: Date
  subject: string
  from_state: string | null
  to_state: string | null
  event: string
  via: string
  actor: string | null
  evidence: number | null
  context: JsonObject
  prev_hash: Buffer | null
  hash: Buffer
}

/** What the ledger says of one decision, before it is chained. */
export interface LedgerEntry {
  profileId: number
  addressHmac: Buffer | null
  /** When the person decided; earlier than the recording for attested decisions. */
  at: Date
  recordedAt: Date
  /** `level`, `list:42`, `template:7`, `deliverability`, `profile`. */
  subject: string
  from: string | null
  to: string | null
  event: LedgerEvent
  act: Act
  /** The outcome of an attempt that changed nothing. */
  note?: string
}

export type LedgerEvent =
  | 'opted_out'
  | 'opted_in'
  | 'joined'
  | 'left'
  | 'complained'
  | 'bounced'
  | 'revalidated'
  | 'merged'
  | 'erased'
  | 'inherited'
  | 'forced'
  | 'requested'
  | 'skipped'

/** A row with its place in the person's chain: each hash covers the row and the hash before it. */
export interface ChainedEntry extends LedgerEntry {
  context: JsonObject
  prevHash: Buffer | null
  hash: Buffer
}

/**
 * Puts entries behind the head of a person's chain. The chain is one per person, not one per account: a chain over
 * everybody would make every writer wait for every other (docs/decisions/0002-ledger-chain-per-person.md).
 */
export function chain(head: Buffer | null, entries: readonly LedgerEntry[]): ChainedEntry[] {
  let previous = head
  return entries.map((entry) => {
    const context = contextOf(entry)
    const chained = { ...entry, context, prevHash: previous, hash: hashOf(previous, entry, context) }
    previous = chained.hash
    return chained
  })
}

function hashOf(previous: Buffer | null, entry: LedgerEntry, context: JsonObject): Buffer {
  const { profileId, addressHmac, at, recordedAt, subject, from, to, event, act } = entry
  const fields = [profileId, addressHmac?.toString('hex') ?? null, at.toISOString(), recordedAt.toISOString()]
  const told = [subject, from, to, event, act.via, act.actor ?? null, act.evidence, context]
  const row = Buffer.from(JSON.stringify([...fields, ...told]))
  return hash('sha256', previous ? Buffer.concat([previous, row]) : row, 'buffer')
}

function contextOf({ act, note }: LedgerEntry): JsonObject {
  const context: JsonObject = {}
  if (act.listSource) context.source = act.listSource
  if (act.ip) context.ip = act.ip
  if (act.userAgent) context.user_agent = act.userAgent
  if (act.url) context.url = act.url
  if (act.wordingId) context.wording_id = act.wordingId
  if (act.messageId) context.message_id = act.messageId
  if (act.tokenId) context.token_id = act.tokenId
  if (act.reason) context.reason = act.reason
  if (note) context.note = note
  return context
}

/** Writes entries; the rows can never be changed or removed again. */
export async function writeLedger(tx: Tx, entries: readonly ChainedEntry[]): Promise<void> {
  if (entries.length > 0) await ledgerInsert(entries).execute(tx)
}

/** The statement that writes entries, of which there is at least one. */
export function ledgerInsert(entries: readonly ChainedEntry[]): RawBuilder<unknown> {
  const column = <T>(read: (entry: ChainedEntry) => T) => entries.map(read)
  return sql`
    insert into consent_ledger (shard, id, profile_id, address_hmac, at, recorded_at, subject, from_state, to_state,
      event, via, actor, evidence, context, prev_hash, hash)
    select shard, nextval('ledger_number') * 64 + shard, profile_id, address_hmac, at, recorded_at, subject, from_state,
      to_state, event, via, actor, evidence, context, prev_hash, hash
    from unnest(
      ${column((e) => shardOfId(e.profileId))}::smallint[], ${column((e) => e.profileId)}::bigint[],
      ${column((e) => e.addressHmac)}::bytea[], ${column((e) => e.at)}::timestamptz[],
      ${column((e) => e.recordedAt)}::timestamptz[], ${column((e) => e.subject)}::text[],
      ${column((e) => e.from)}::text[], ${column((e) => e.to)}::text[], ${column((e) => e.event)}::text[],
      ${column((e) => e.act.via)}::text[], ${column((e) => e.act.actor ?? null)}::text[],
      ${column((e) => e.act.evidence)}::smallint[], ${column((e) => JSON.stringify(e.context))}::json[],
      ${column((e) => e.prevHash)}::bytea[], ${column((e) => e.hash)}::bytea[])
      with ordinality as e(shard, profile_id, address_hmac, at, recorded_at, subject, from_state, to_state, event, via,
        actor, evidence, context, prev_hash, hash, n)
    order by n`
}

/** A person's ledger, oldest first. */
export async function readLedger(q: Queryable, profileId: number): Promise<LedgerTable[]> {
  return q
    .selectFrom('consent_ledger')
    .selectAll()
    .where('shard', '=', shardOfId(profileId))
    .where('profile_id', '=', profileId)
    .orderBy('id')
    .execute()
}

/**
 * Checks a person's chain: every hash follows from its row and the one before, and the last is the profile's head.
 *
 * @returns the id of the first row that does not fit, 0 when the end is missing, or null when all is well
 */
export function findBreak(rows: readonly LedgerTable[], head: Buffer | null): number | null {
  let previous: Buffer | null = null
  for (const row of rows) {
    const expected = hashOf(
      previous,
      {
        profileId: row.profile_id,
        addressHmac: row.address_hmac,
        at: row.at,
        recordedAt: row.recorded_at,
        subject: row.subject,
        from: row.from_state,
        to: row.to_state,
        event: row.event as LedgerEvent,
        act: {
          via: row.via as Act['via'],
          evidence: (row.evidence ?? 0) as Act['evidence'],
          actor: row.actor ?? undefined,
        },
      },
      row.context,
    )
    if (!expected.equals(row.hash)) return row.id
    previous = row.hash
  }
  return previous === head || (previous && head && previous.equals(head)) ? null : 0
}

/** Keeps the exact text somebody agreed to, under the hash of its content. */
export async function keepWording(q: Queryable, content: string, at: Date): Promise<string> {
  const id = createHash('sha256').update(content).digest('hex').slice(0, 32)
  await sql`insert into wording (id, content, at) values (${id}, ${content}, ${at}) on conflict do nothing`.execute(q)
  return id
}
