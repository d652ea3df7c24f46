import { sql } from 'kysely'
import { chain, writeLedger } from '../consent/ledger.ts'
import type { Tx } from '../platform/database.ts'
import { shardOfId, shardOfKey } from '../platform/shard.ts'
import { emitSignals } from '../signals/emit.ts'
import type { ChangeOutcome, ProfileChange } from './change.ts'
import { applyDeliverability } from './deliverability.ts'
import { inherit } from './inherit.ts'
import { answers, findOwners, keyText, loadStates, type StoredKey } from './read.ts'
import { erase } from './remember.ts'
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
import { claimKeys, newIds, releaseKeys, writeProfiles } from './write.ts'

/**
 * Applies changes inside the caller's transaction: locks the people, folds the changes in order, writes everything
 * back set by set. Outcomes come in the order of the changes; a refused change leaves no trace and stops no other.
 */
export async function applyChanges(
  tx: Tx,
  changes: readonly ProfileChange[],
  context: ApplyContext,
): Promise<ChangeOutcome[]> {
  const plans = changes.map(planOf)
  await spendTokens(tx, plans, context.now)
  const owners = await findOwners(tx, keysWanted(plans))
  const fresh = await createMissing(tx, plans, owners)
  const people = await loadPeople(tx, plans, owners, fresh, context)
  await inherit(tx, plans, people, owners, context)
  await applyDeliverability(tx, plans, people, owners, context)
  const names = await listNames(tx, changes)
  const outcomes: ChangeOutcome[] = []
  for (const plan of plans) outcomes.push(await applyOne(tx, plan, people, owners, names, context))
  await writePeople(tx, people, context)
  return outcomes
}

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
async function createMissing(tx: Tx, plans: readonly Plan[], owners: Map<string, number>): Promise<Set<number>> {
  const created = new Set<number>()
  for (let attempt = 0; attempt < 5; attempt++) {
    const missing = new Map<string, StoredKey>()
    for (const { change, key, keys, problem } of plans) {
      if (problem || !key || owners.has(keyText(key)) || change.create === false || change.erase) continue
      const holder = keys.find((other) => owners.has(keyText(other)))
      // A new name for somebody who is known by another: merging is just giving them the name.
      if (holder && change.keysConflict === 'merge') owners.set(keyText(key), owners.get(keyText(holder))!)
      else if (!holder) missing.set(keyText(key), key)
    }
    if (missing.size === 0) return created
    const keys = [...missing.values()]
    const ids = await newIds(
      tx,
      keys.map((key) => shardOfKey(key.kind, key.value)),
    )
    const claims = keys.map((key, index) => ({ key, profileId: ids[index]! }))
    const taken = new Set((await claimKeys(tx, claims)).map((key) => keyText(key as StoredKey)))
    const lost: StoredKey[] = []
    for (const { key, profileId } of claims) {
      if (!taken.has(keyText(key))) lost.push(key)
      else {
        owners.set(keyText(key), profileId)
        created.add(profileId)
      }
    }
    if (lost.length === 0) return created
    for (const [text, id] of await findOwners(tx, lost)) owners.set(text, id)
  }
  throw new WriteConflict('other writers kept creating and removing the same people')
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
  for (const plan of plans) {
    const id = personId(plan, owners)
    if (id !== null && fresh.has(id) && !people.has(id)) people.set(id, working(newState(id, plan, now), true))
  }
  return people
}

async function listNames(tx: Tx, changes: readonly ProfileChange[]): Promise<Map<number, string>> {
  const ids = [...new Set(changes.flatMap((change) => [...(change.lists?.keys() ?? [])]))]
  if (ids.length === 0) return new Map()
  const { rows } = await sql<{
    id: number
    name: string
  }>`select id, name from list where id = any(${ids}::int[])`.execute(tx)
  return new Map(rows.map((row) => [row.id, row.name]))
}

async function applyOne(
  tx: Tx,
  plan: Plan,
  people: People,
  owners: Map<string, number>,
  names: ReadonlyMap<number, string>,
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
    if (created) await forget(tx, plan, person, owners)
    return conflict
  }
  person.act = change.act
  const addressHmac = hmacOf(person.after, context)
  if (change.erase) {
    person.ledger.push(entryOf(person.after, 'profile', 'erased', change, addressHmac, context.now))
    await writeLedger(tx, chain(person.after.ledgerHead, person.ledger))
    person.isGone = true
    await erase(tx, person.after, addressHmac, context.now)
    return { ok: true, profileId: person.after.id, created: false, level: person.after.level, ...NOTHING }
  }
  for (const [template, wish] of change.templates ?? []) person.templateNames.set(template, wish.name)
  const { now, settings } = context
  const rule = { now, settings, addressHmac, listName: (list: number) => names.get(list) ?? String(list) }
  const folded = fold(person.after, change, rule)
  person.after = folded.state
  person.ledger.push(...folded.ledger)
  person.signals.push(...folded.signals)
  person.isNew = false
  const { levelOutcome, joined, left } = folded
  return { ok: true, profileId: person.after.id, created, level: person.after.level, levelOutcome, joined, left }
}

/** A person made for a change that was then refused was never there. */
async function forget(tx: Tx, { key }: Plan, person: Working, owners: Map<string, number>): Promise<void> {
  person.isGone = true
  if (!key) return
  owners.delete(keyText(key))
  await releaseKeys(tx, [key])
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
  await writeProfiles(tx, kept, now)
  await writeLedger(tx, entries)
  await emitSignals(
    tx,
    kept.flatMap((person) => person.signals),
  )
}
