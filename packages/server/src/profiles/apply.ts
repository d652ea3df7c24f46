import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import type { AddressHash } from '../account/pepper.ts'
import { chain, ledgerInsert, writeLedger } from '../consent/ledger.ts'
import type { Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import { asOneStatement, inOneTrip } from '../platform/together.ts'
import { signalInsert } from '../signals/emit.ts'
import type { ChangeOutcome, ProfileChange } from './change.ts'
import { applyDeliverability } from './deliverability.ts'
import { inherit } from './inherit.ts'
import { answers, findOwners, keyText, loadStates, type StoredKey } from './read.ts'
import { erase, type Remembered, readRemembered, recall, remember } from './remember.ts'
import { fold } from './rule.ts'
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
  const owners = await findOwners(tx, keysWanted(plans))
  const { fresh, remembered } = await createMissing(tx, plans, owners, context)
  const people = await loadPeople(tx, plans, owners, fresh, context)
  await inherit(tx, plans, people, owners, remembered, context)
  await applyDeliverability(tx, plans, people, owners, context)
  const names = await context.lists.byIds(
    [...new Set(changes.flatMap((change) => [...(change.lists?.keys() ?? [])]))],
    tx,
  )
  const outcomes: ChangeOutcome[] = []
  for (const plan of plans) outcomes.push(await applyOne(tx, plan, people, owners, names, context))
  await writePeople(tx, people, context)
  return outcomes
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

/** Makes profiles for names that nobody holds; `owners` learns of them. */
async function createMissing(
  tx: Tx,
  plans: readonly Plan[],
  owners: Map<string, number>,
  { hash }: ApplyContext,
): Promise<{ fresh: Set<number>; remembered: Map<string, Remembered> }> {
  const missing = new Map<string, StoredKey>()
  for (const { change, key, keys, problem } of plans) {
    if (problem || !key || owners.has(keyText(key)) || change.create === false || change.erase) continue
    const holder = keys.find((other) => owners.has(keyText(other)))
    // A new name for somebody who is known by another: merging is just giving them the name.
    if (holder && change.keysConflict === 'merge') owners.set(keyText(key), owners.get(keyText(holder))!)
    else if (!holder) missing.set(keyText(key), key)
  }
  if (missing.size === 0) return { fresh: new Set(), remembered: new Map() }
  const keys = [...missing.values()]
  const hmacs = keys.filter((key) => key.kind === 'email').map((key) => hash(key.value))
  const [claimed, recalled] = await inOneTrip(
    tx,
    claimKeys(keys.map((key) => ({ key, profileId: null }))),
    recall(hmacs),
  )
  if (claimed.rows.length < keys.length) throw new WriteConflict('another writer created the same people')
  for (const { kind, value, profile_id } of claimed.rows) owners.set(keyText({ kind, value }), profile_id)
  return { fresh: new Set(claimed.rows.map((row) => row.profile_id)), remembered: readRemembered(recalled.rows) }
}

async function loadPeople(
  tx: Tx,
  plans: readonly Plan[],
  owners: ReadonlyMap<string, number>,
  fresh: ReadonlySet<number>,
  { now }: ApplyContext,
): Promise<People> {
  const ids = new Set<number>()
  for (const plan of plans) {
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

async function applyOne(
  tx: Tx,
  plan: Plan,
  people: People,
  owners: Map<string, number>,
  names: ReadonlyMap<number, { name: string }>,
  context: ApplyContext,
): Promise<ChangeOutcome> {
  if (plan.problem) return plan.problem
  const { change } = plan
  const id = personId(plan, owners)
  const person = id === null ? undefined : people.get(id)
  if (!person || person.isGone || !answers(person.after, change.person)) {
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
  person.act = change.act
  if (change.erase) {
    const addressHmac = hmacOf(person.after, context)
    person.ledger.push(entryOf(person.after, 'profile', 'erased', change, addressHmac, context.now))
    await writeLedger(tx, chain(person.after.ledgerHead, person.ledger))
    person.isGone = true
    await erase(tx, person.after, addressHmac, context.now)
    return { ok: true, profileId: person.after.id, created: false, level: person.after.level, ...NOTHING }
  }
  for (const [template, wish] of change.templates ?? []) person.templateNames.set(template, wish.name)
  const { now, settings } = context
  const rule = {
    now,
    settings,
    addressHmac: () => hmacOf(person.after, context),
    listName: (list: number) => names.get(list)?.name ?? String(list),
  }
  const folded = fold(person.after, change, rule)
  person.after = folded.state
  person.ledger.push(...folded.ledger)
  person.signals.push(...folded.signals)
  person.isNew = false
  const { levelOutcome, joined, left } = folded
  return { ok: true, profileId: person.after.id, created, level: person.after.level, levelOutcome, joined, left }
}

/** A person made for a change that was then refused was never there. */
async function forget(
  tx: Tx,
  { key }: Plan,
  { after, recalled }: Working,
  owners: Map<string, number>,
  { now }: ApplyContext,
): Promise<void> {
  if (!key) return
  owners.delete(keyText(key))
  await releaseKeys(tx, [key])
  if (recalled) await remember(tx, key.value, after, recalled.addressHmac, now)
}

const NOTHING = { levelOutcome: null, joined: [], left: [] }

async function writePeople(tx: Tx, people: People, { now }: ApplyContext): Promise<void> {
  const kept = [...people.values()].filter((person) => !person.isGone)
  const entries = kept.flatMap((person) => {
    const chained = chain(person.after.ledgerHead, person.ledger)
    const last = chained.at(-1)
    if (last) person.after = { ...person.after, ledgerHead: last.hash }
    return chained
  })
  const signals = kept.flatMap((person) => person.signals)
  const writes = profileWrites(kept, now)
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
