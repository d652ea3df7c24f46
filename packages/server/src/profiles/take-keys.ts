import { sql } from 'kysely'
import type { Tx } from '../platform/database.ts'
import { shardOfKey } from '../platform/shard.ts'
import type { ChangeOutcome, ProfileChange, ProfileState } from './change.ts'
import { removeOwnRows } from './erase.ts'
import { inherit } from './inherit.ts'
import { mergeStates } from './merge.ts'
import { noteMoved } from './moved.ts'
import { keyText, type StoredKey, storedKey } from './read.ts'
import { keysOf, leaveBehind, lockAddresses, noteReturned, readMemories, recall } from './remember.ts'
import { type ApplyContext, entryOf, hmacOf, type People, type Plan, type Working, WriteConflict } from './working.ts'
import { claimKeys, releaseKeys } from './write.ts'

/** Gives the person the keys of the change, merging with or stopping at whoever holds one. */
export async function takeKeys(
  tx: Tx,
  plan: Plan,
  person: Working,
  people: People,
  owners: Map<string, number>,
  context: ApplyContext,
): Promise<ChangeOutcome | null> {
  const own =
    plan.key && !holds(person.after, plan.key) ? [{ ...plan.key, display: String(plan.change.person.value) }] : []
  const wanted = [...own, ...plan.keys].filter((key) => !holds(person.after, key))
  for (const key of wanted) {
    const owner = owners.get(keyText(key))
    if (owner === undefined || owner === person.after.id) continue
    if (plan.change.keysConflict !== 'merge') return { ok: false, problem: 'key_conflict', kind: key.kind }
    const other = people.get(owner)
    if (!other || other.isGone) throw new WriteConflict('the holder of a key changed meanwhile')
    await mergeInto(tx, person, other, owners, plan.change, context)
  }
  for (const key of wanted) {
    if (!holds(person.after, key)) await replaceKey(tx, person, key, owners, context)
  }
  return null
}

function holds(state: ProfileState, key: StoredKey): boolean {
  const held = key.kind === 'email' ? state.email : state.keys[key.kind]
  return held !== null && held !== undefined && (held === key.value || storedKey(key.kind, held)?.value === key.value)
}

/**
 * Gives a person a key in place of the one they have of its kind. What they refused stays with an address that they
 * leave, and what was refused for the new one comes to them.
 */
async function replaceKey(
  tx: Tx,
  person: Working,
  key: StoredKey & { display: string },
  owners: Map<string, number>,
  context: ApplyContext,
): Promise<void> {
  const { after } = person
  const held = key.kind === 'email' ? after.email : (after.keys[key.kind] ?? null)
  const old = held === null ? null : storedKey(key.kind, held)
  if (key.kind === 'email') {
    const addresses = old ? [old.value, key.value] : [key.value]
    await lockAddresses(addresses.map(context.hash)).execute(tx)
  }
  if (old) {
    await releaseKeys(tx, [old])
    owners.delete(keyText(old))
    if (old.kind === 'email') await leaveBehind(tx, context.hash(old.value), after, context.now)
  }
  if (owners.get(keyText(key)) !== after.id) {
    const { rows } = await claimKeys([{ key, profileId: after.id }]).execute(tx)
    if (rows.length === 0) throw new WriteConflict('another writer took a key meanwhile')
    owners.set(keyText(key), after.id)
  } else {
    await sql`insert into profile_key (shard, kind, value, profile_id)
      values (${shardOfKey(key.kind, key.value)}, ${key.kind}, ${key.value}, ${after.id})
      on conflict (shard, kind, value) do update set profile_id = excluded.profile_id`.execute(tx)
  }
  const { display } = key
  if (key.kind === 'email') {
    person.after = { ...after, email: display }
    await recallFor(tx, person, key.value, context)
  } else person.after = { ...after, keys: { ...after.keys, [key.kind]: display } }
}

/** An address that was remembered is somebody's again. */
async function recallFor(tx: Tx, person: Working, lookup: string, context: ApplyContext): Promise<void> {
  const hmac = context.hash(lookup)
  const memory = readMemories((await recall([hmac]).execute(tx)).rows).get(hmac.toString('hex'))
  if (!memory) return
  const namesOf = await context.lists.byIds([...person.after.lists.keys()], tx)
  await inherit(tx, person, memory, { lookup, hmac }, namesOf, context.now)
  await noteReturned(tx, [{ hmac, profileId: person.after.id }])
}

async function mergeInto(
  tx: Tx,
  person: Working,
  other: Working,
  owners: Map<string, number>,
  change: ProfileChange,
  context: ApplyContext,
): Promise<void> {
  const namesOf = await context.lists.byIds([...person.after.lists.keys(), ...other.after.lists.keys()], tx)
  const merged = mergeStates(person.after, other.after, namesOf)
  const addressHmac = hmacOf(merged, context)
  const entry = entryOf(merged, 'profile', 'merged', change, addressHmac, context.now)
  person.ledger.push({ ...entry, note: `profile ${other.after.id} became part of this one` })
  if (merged.level !== person.after.level) {
    person.ledger.push({ ...entry, subject: 'level', from: person.after.level, to: merged.level })
  }
  for (const list of person.after.lists.keys()) {
    if (merged.lists.has(list)) continue
    person.ledger.push({ ...entry, subject: `list:${list}`, from: 'member', note: 'the other one left it' })
  }
  for (const template of merged.templateOptouts.keys()) {
    if (person.after.templateOptouts.has(template)) continue
    person.ledger.push({ ...entry, subject: `template:${template}`, from: 'in', to: 'out' })
  }
  person.after = merged
  other.isGone = true
  for (const { merge } of context.belongings) {
    await merge(tx, { from: other.after.id, to: merged.id, now: context.now })
  }
  await removeOwnRows(tx, other.after.id)
  await noteMoved(tx, other.after, merged.id, context.now)
  for (const [text, id] of owners) if (id === other.after.id) owners.set(text, merged.id)
  const keys = keysOf(other.after)
  await sql`
    update profile_key k set profile_id = ${merged.id}
    from unnest(${keys.map((key) => shardOfKey(key.kind, key.value))}::smallint[],
      ${keys.map((key) => key.kind)}::text[], ${keys.map((key) => key.value)}::text[]) as w(shard, kind, value)
    where k.shard = w.shard and k.kind = w.kind and k.value = w.value`.execute(tx)
  // A key of a kind that both had: the keeper's stays, the other's goes, and its opt-out is not forgotten.
  const lost = keys.filter((key) => !holds(merged, key) && !change.keys?.[key.kind])
  await releaseKeys(tx, lost)
  for (const key of lost) {
    owners.delete(keyText(key))
    if (key.kind === 'email') await leaveBehind(tx, context.hash(key.value), other.after, context.now)
  }
}
