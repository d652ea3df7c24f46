import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import type { AddressHash } from '../account/pepper.ts'
import { chain, ledgerInsert, writeLedger } from '../consent/ledger.ts'
import type { Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import { asOneStatement, inOneTrip } from '../platform/together.ts'
import { signalInsert } from '../signals/emit.ts'
import type { ChangeOutcome, ProfileChange } from './change.ts'
import { drawDecisions } from './decisions.ts'
import { applyDeliverability } from './deliverability.ts'
import { eraseRows } from './erase.ts'
import { inherit } from './inherit.ts'
import { findMoved } from './moved.ts'
import { answers, findOwners, keyText, loadStates, type StoredKey } from './read.ts'
import { keysOf, lockAddresses, type Memory, noteReturned, readMemories, recall, remember } from './remember.ts'
import { fold, mayRefuse } from './rule.ts'
import './tables.ts'
import { takeKeys } from './take-keys.ts'
import {
  type ApplyContext,
  entryOf,
  hmacOf,
  keysWanted,
  newState,
  type People,
  type Plan,
  personId,
  planOf,
  redirect,
  type Working,
  WriteConflict,
  working,
} from './working.ts'
import { claimKeys, profileWrites, releaseKeys } from './write.ts'

/**
 * Applies changes inside the caller's transaction: locks the people, folds the changes in order, writes everything
 * back set by set. Outcomes come in the order of the changes; a refused change leaves no trace and stops no other.
 */
export async function applyChanges(
  tx: Tx,
  changes: readonly ProfileChange[],
  given: ApplyContext,
): Promise<ChangeOutcome[]> {
  const context = { ...given, hash: remembering(given.hash) }
  const plans = changes.map(planOf)
  await spendTokens(tx, plans, context.now)
  return applyPlans(tx, plans, context)
}

async function applyPlans(tx: Tx, plans: readonly Plan[], context: ApplyContext): Promise<ChangeOutcome[]> {
  const owners = await findOwners(tx, keysWanted(plans))
  redirect(plans, await findMoved(tx, idsIn(plans)))
  const { fresh, memories } = await createMissing(tx, plans, owners, context)
  const people = await loadPeople(tx, plans, owners, fresh, context)
  await inheritAll(tx, plans, people, owners, memories, context)
  await applyDeliverability(tx, plans, people, owners, context)
  const names = await context.lists.byIds(
    [...new Set(plans.flatMap(({ change }) => [...(change.lists?.keys() ?? [])]))],
    tx,
  )
  const numbers = await numbersFor(tx, plans)
  const meant = plans.map((plan) => personId(plan, owners))
  const outcomes: Array<ChangeOutcome | null> = []
  for (const [index, plan] of plans.entries()) {
    const id = personId(plan, owners)
    const hasVanished = meant[index] !== null && (id === null || people.get(id)?.isGone === true)
    const number = numbers[index]!
    outcomes.push(hasVanished ? null : await applyOne(tx, plan, number, people, owners, names, context))
  }
  await writePeople(tx, people)
  return completed(tx, plans, outcomes, context)
}

/** Changes whose person vanished by a change before them (null) are applied to what is there now. */
async function completed(
  tx: Tx,
  plans: readonly Plan[],
  outcomes: ReadonlyArray<ChangeOutcome | null>,
  context: ApplyContext,
): Promise<ChangeOutcome[]> {
  const left = plans.filter((_, index) => outcomes[index] === null)
  const later = left.length === 0 ? [] : await applyPlans(tx, left, context)
  let next = 0
  return outcomes.map((outcome) => outcome ?? later[next++]!)
}

/** Bytes of a person's salt. */
const SALT = 8

async function spendTokens(tx: Tx, plans: Plan[], now: Date): Promise<void> {
  const spending = plans.filter((plan) => plan.change.spend && !plan.problem)
  for (const plan of spending) {
    const { person, spend } = plan.change
    const id = person.kind === 'id' ? person.value : 0
    const { numAffectedRows } = await sql`
      insert into used_token (shard, id, profile_id, purpose, used_at)
      values (${shardOfId(id)}, ${spend!.id}, ${id}, ${spend!.purpose}, ${now}) on conflict do nothing`.execute(tx)
    if (numAffectedRows !== 1n) plan.problem = { ok: false, problem: 'token_used' }
  }
}

const idsIn = (plans: readonly Plan[]) => [...new Set(plans.flatMap(({ id }) => id ?? []))]

/** A number for each change; those that refuse nothing need none. */
async function numbersFor(tx: Tx, plans: readonly Plan[]): Promise<number[]> {
  const refusing = plans.filter(({ change }) => mayRefuse(change)).length
  if (refusing === 0) return plans.map(() => 0)
  const { rows } = await drawDecisions(refusing).execute(tx)
  const numbers = rows.map(({ number }) => number)[Symbol.iterator]()
  return plans.map(({ change }) => (mayRefuse(change) ? numbers.next().value! : 0))
}

/** Makes profiles for names that nobody holds; `owners` learns of them. */
async function createMissing(
  tx: Tx,
  plans: readonly Plan[],
  owners: Map<string, number>,
  { hash }: ApplyContext,
): Promise<{ fresh: Set<number>; memories: Map<string, Memory> }> {
  const missing = new Map<string, StoredKey>()
  for (const { change, key, keys, problem } of plans) {
    if (problem || !key || owners.has(keyText(key)) || change.create === false || change.erase) continue
    // A new name for somebody who is known by another: `takeKeys` gives it to them.
    if (keys.some((other) => owners.has(keyText(other)))) continue
    missing.set(keyText(key), key)
  }
  if (missing.size === 0) return { fresh: new Set(), memories: new Map() }
  const keys = [...missing.values()]
  const hmacs = keys.filter((key) => key.kind === 'email').map((key) => hash(key.value))
  const claim = claimKeys(keys.map((key) => ({ key, profileId: null })))
  const [, claimed, recalled] = await inOneTrip(tx, lockAddresses(hmacs), claim, recall(hmacs))
  if (claimed.rows.length < keys.length) throw new WriteConflict('another writer created the same people')
  for (const { kind, value, profile_id } of claimed.rows) owners.set(keyText({ kind, value }), profile_id)
  return { fresh: new Set(claimed.rows.map((row) => row.profile_id)), memories: readMemories(recalled.rows) }
}

async function loadPeople(
  tx: Tx,
  plans: readonly Plan[],
  owners: Map<string, number>,
  fresh: ReadonlySet<number>,
  { now }: ApplyContext,
): Promise<People> {
  const ids = new Set<number>()
  for (const plan of plans) {
    adopt(plan, owners)
    const id = personId(plan, owners)
    if (id !== null) ids.add(id)
    if (plan.change.keysConflict === 'merge') {
      for (const key of plan.keys) {
        const owner = owners.get(keyText(key))
        if (owner !== undefined) ids.add(owner)
      }
    }
  }
  const known = [...ids].filter((id) => !fresh.has(id))
  const people: People = new Map()
  for (const [id, state] of await loadStates(tx, known, true)) people.set(id, working(state, false))
  const salts = randomBytes(SALT * fresh.size)
  let made = 0
  for (const plan of plans) {
    const id = personId(plan, owners)
    if (id === null || !fresh.has(id) || people.has(id)) continue
    const salt = salts.subarray(SALT * made, SALT * (made + 1))
    people.set(id, working(newState(id, plan, now, salt), true))
    made += 1
  }
  return people
}

/** A person named by a key that nobody holds is whoever holds another key of the change, where merging is asked for. */
function adopt(plan: Plan, owners: ReadonlyMap<string, number>): void {
  const { change, key, keys } = plan
  if (!key || owners.has(keyText(key)) || change.keysConflict !== 'merge' || change.create === false) return
  const holder = keys.find((other) => owners.has(keyText(other)))
  if (holder) plan.id = owners.get(keyText(holder))!
}

/** People who come to be with an address that was somebody's before get back what was refused for it. */
async function inheritAll(
  tx: Tx,
  plans: readonly Plan[],
  people: People,
  owners: ReadonlyMap<string, number>,
  memories: ReadonlyMap<string, Memory>,
  { hash, now }: ApplyContext,
): Promise<void> {
  if (memories.size === 0) return
  const returned = new Map<number, { hmac: Buffer; profileId: number }>()
  for (const { key } of plans) {
    if (key?.kind !== 'email') continue
    const hmac = hash(key.value)
    const memory = memories.get(hmac.toString('hex'))
    const person = people.get(owners.get(keyText(key)) ?? 0)
    if (!memory || !person?.isNew || returned.has(person.after.id)) continue
    returned.set(person.after.id, { hmac, profileId: person.after.id })
    await inherit(tx, person, memory, { lookup: key.value, hmac }, new Map(), now)
  }
  await noteReturned(tx, [...returned.values()])
}

async function applyOne(
  tx: Tx,
  plan: Plan,
  number: number,
  people: People,
  owners: Map<string, number>,
  names: ReadonlyMap<number, { name: string }>,
  context: ApplyContext,
): Promise<ChangeOutcome> {
  if (plan.problem) return plan.problem
  const { change } = plan
  const id = personId(plan, owners)
  const person = id === null ? undefined : people.get(id)
  if (!person || !(plan.isRedirected || answers(person.after, change.person))) {
    const conflict = plan.key && plan.keys.find((key) => owners.has(keyText(key)))
    if (conflict && change.create !== false) return { ok: false, problem: 'key_conflict', kind: conflict.kind }
    return { ok: false, problem: 'not_found' }
  }
  const created = person.isNew
  const conflict = await takeKeys(tx, plan, person, people, owners, context)
  if (conflict) {
    if (created) {
      person.isGone = true
      await forget(tx, plan, person, owners, context)
    }
    return conflict
  }
  const levelBefore = person.after.level
  if (change.erase) {
    const addressHmac = hmacOf(person.after, context)
    person.ledger.push(entryOf(person.after, 'profile', 'erased', change, addressHmac, context.now))
    await writeLedger(tx, chain(person.after.ledgerHead, person.ledger))
    person.isGone = true
    await eraseRows(tx, person.after, addressHmac, context)
    for (const key of keysOf(person.after)) owners.delete(keyText(key))
    const { level, decided } = person.after
    return { ok: true, profileId: person.after.id, created: false, level, levelBefore, decided, ...NOTHING }
  }
  const { now, settings } = context
  const rule = {
    now,
    settings,
    number,
    addressHmac: () => hmacOf(person.after, context),
    listName: (list: number) => names.get(list)?.name ?? String(list),
  }
  const folded = fold(person.after, change, rule)
  person.after = folded.state
  person.ledger.push(...folded.ledger)
  person.signals.push(...folded.signals)
  person.isNew = false
  const { levelOutcome, joined, left, templates, stayed } = folded
  const { level, decided } = person.after
  const stands = { profileId: person.after.id, created, level, levelBefore, decided }
  return { ok: true, ...stands, levelOutcome, joined, left, templates, stayed }
}

/** A person made for a change that was then refused was never there. */
async function forget(
  tx: Tx,
  { key }: Plan,
  { recalled }: Working,
  owners: Map<string, number>,
  { hash, now }: ApplyContext,
): Promise<void> {
  if (!key) return
  owners.delete(keyText(key))
  await releaseKeys(tx, [key])
  if (recalled) await remember(tx, hash(key.value), recalled, now)
}

const NOTHING = {
  levelOutcome: null,
  joined: [],
  left: [],
  templates: new Map<number, boolean>(),
  stayed: { lists: [], templates: [] },
}

async function writePeople(tx: Tx, people: People): Promise<void> {
  const kept = [...people.values()].filter((person) => !person.isGone)
  const entries = kept.flatMap((person) => {
    const chained = chain(person.after.ledgerHead, person.ledger)
    const last = chained.at(-1)
    if (last) person.after = { ...person.after, ledgerHead: last.hash }
    return chained
  })
  const signals = kept.flatMap((person) => person.signals)
  const writes = profileWrites(kept)
  if (entries.length > 0) writes.push(ledgerInsert(entries))
  if (signals.length > 0) writes.push(signalInsert(signals))
  await asOneStatement(tx, writes)
}

/** Each address is hashed once in a batch, however often it is asked for. */
function remembering(hash: AddressHash): AddressHash {
  const known = new Map<string, Buffer>()
  return (address) => {
    const found = known.get(address) ?? hash(address)
    known.set(address, found)
    return found
  }
}
