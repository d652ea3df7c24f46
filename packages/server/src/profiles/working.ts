import type { AddressHash } from '../account/pepper.ts'
import type { LedgerEntry } from '../consent/ledger.ts'
import type { Lists } from '../lists/lists.ts'
import { shardOfId } from '../platform/shard.ts'
import type { Settings } from '../settings/settings.ts'
import type { NewSignal } from '../signals/emit.ts'
import type { Belongings } from './belongings.ts'
import type { ChangeOutcome, KeyKind, ProfileChange, ProfileState } from './change.ts'
import { idInside } from './ids.ts'
import { type Moved, survivorOf } from './moved.ts'
import { keyText, type StoredKey, storedKey } from './read.ts'
import type { Memory } from './remember.ts'
import { NO_WISHES } from './wishes.ts'
import type { Written } from './write.ts'

/** What applying changes needs besides the transaction. */
export interface ApplyContext {
  now: Date
  settings: Settings
  lists: Pick<Lists, 'byIds'>
  hash: AddressHash
  /** What every subject does with its rows about people who are merged or erased. */
  belongings: readonly Belongings[]
}

/** Thrown when another writer was faster in a way that a fresh attempt settles; `profiles.change` retries by itself. */
export class WriteConflict extends Error {}

/** A change with its keys read. */
export interface Plan {
  change: ProfileChange
  /** The stored form of the key that names the person; null for ids. */
  key: StoredKey | null
  /** The person's number, where they are named by one: who was merged is the survivor. Null: nobody, or named by key. */
  id: number | null
  /** The name stands for somebody who was merged away: it was checked against them. */
  isRedirected: boolean
  /** Keys to give to the person. */
  keys: Array<StoredKey & { display: string }>
  problem: ChangeOutcome | null
}

/** A person while changes are folded into them. */
export interface Working extends Written {
  ledger: LedgerEntry[]
  signals: NewSignal[]
  isNew: boolean
  /** Erased or merged away: nothing is written back. */
  isGone: boolean
  /** What was remembered of their address. */
  recalled: Memory | null
}

export type People = Map<number, Working>

/** Reads the keys of a change. */
export function planOf(change: ProfileChange): Plan {
  const { person } = change
  const plan: Plan = { change, key: null, id: idIn(change), isRedirected: false, keys: [], problem: null }
  const invalid = (email: string): Plan => ({ ...plan, problem: { ok: false, problem: 'invalid_email', email } })
  if (person.kind !== 'id' && person.kind !== 'sid' && person.kind !== 'cookie') {
    plan.key = storedKey(person.kind, person.value)
    if (!plan.key) return invalid(person.value)
  }
  for (const [kind, value] of Object.entries(change.keys ?? {})) {
    const key = storedKey(kind as KeyKind, value)
    if (!key) return invalid(value)
    plan.keys.push({ ...key, display: value.trim() })
  }
  return plan
}

/** Every key that plans speak of, once. */
export function keysWanted(plans: readonly Plan[]): StoredKey[] {
  const wanted = new Map<string, StoredKey>()
  for (const { key, keys, problem } of plans) {
    if (problem) continue
    if (key) wanted.set(keyText(key), key)
    for (const other of keys) wanted.set(keyText(other), other)
  }
  return [...wanted.values()]
}

/** A person ready to be changed. */
export function working(state: ProfileState, isNew: boolean): Working {
  const written = { before: isNew ? null : state, after: state }
  return { ...written, ledger: [], signals: [], isNew, isGone: false, recalled: null }
}

/**
 * A person who comes to be by a change.
 *
 * @param salt eight random bytes
 */
export function newState(id: number, { change, key }: Plan, now: Date, salt: Buffer): ProfileState {
  const { person } = change
  const text = String(person.value).trim()
  return {
    shard: shardOfId(id),
    id,
    email: key?.kind === 'email' ? text : null,
    keys: key && key.kind !== 'email' ? { [key.kind]: text } : {},
    ...NO_WISHES,
    vars: {},
    createdAt: now,
    signupAt: null,
    loginAt: null,
    optoutAt: null,
    lists: new Map(),
    ledgerHead: null,
    salt,
  }
}

/** The number inside a reference, unchecked. */
function idIn({ person }: ProfileChange): number | null {
  if (person.kind === 'id') return person.value
  return person.kind === 'sid' || person.kind === 'cookie' ? idInside(person.kind, person.value) : null
}

/** Has plans that name people who were merged speak of the survivors. */
export function redirect(plans: readonly Plan[], moved: ReadonlyMap<number, Moved>): void {
  for (const plan of plans) {
    if (plan.id === null || !moved.has(plan.id)) continue
    plan.id = survivorOf(moved, plan.change.person, plan.id)
    plan.isRedirected = true
  }
}

/** The id a plan speaks of, as far as its name tells. */
export function personId({ id, key }: Plan, owners: ReadonlyMap<string, number>): number | null {
  return id ?? (key ? (owners.get(keyText(key)) ?? null) : null)
}

/** A ledger entry about a profile as a whole. */
export function entryOf(
  state: ProfileState,
  subject: string,
  event: LedgerEntry['event'],
  change: ProfileChange,
  addressHmac: Buffer | null,
  now: Date,
): LedgerEntry {
  const { act } = change
  return { profileId: state.id, addressHmac, at: now, recordedAt: now, subject, from: null, to: null, event, act }
}

/** The keyed hash of a person's address. */
export function hmacOf(state: ProfileState, { hash }: ApplyContext): Buffer | null {
  const key = state.email === null ? null : storedKey('email', state.email)
  return key && hash(key.value)
}
