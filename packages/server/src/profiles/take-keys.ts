import { sql } from 'kysely'
import type { Tx } from '../platform/database.ts'
import { shardOfKey } from '../platform/shard.ts'
import type { ChangeOutcome, ProfileChange, ProfileState } from './change.ts'
import { mergeStates, removeMerged } from './merge.ts'
import { keyText, type StoredKey, storedKey } from './read.ts'
import { keysOf, remember } from './remember.ts'
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
    if (!holds(person.after, key)) await replaceKey(tx, person, key, owners)
  }
  return null
}

function holds(state: ProfileState, key: StoredKey): boolean {
  const held = key.kind === 'email' ? state.email : state.keys[key.kind]
  return held !== null && held !== undefined && (held === key.value || storedKey(key.kind, held)?.value === key.value)
}

async function replaceKey(
  tx: Tx,
  person: Working,
  key: StoredKey & { display: string },
  owners: Map<string, number>,
): Promise<void> {
  const { after } = person
  const held = key.kind === 'email' ? after.email : (after.keys[key.kind] ?? null)
  const old = held === null ? null : storedKey(key.kind, held)
  if (old) {
    await releaseKeys(tx, [old])
    owners.delete(keyText(old))
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
  if (key.kind === 'email') person.after = { ...after, email: display }
  else person.after = { ...after, keys: { ...after.keys, [key.kind]: display } }
}

async function mergeInto(
  tx: Tx,
  person: Working,
  other: Working,
  owners: Map<string, number>,
  change: ProfileChange,
  context: ApplyContext,
): Promise<void> {
  const merged = mergeStates(person.after, other.after)
  const addressHmac = hmacOf(merged, context)
  const entry = entryOf(merged, 'profile', 'merged', change, addressHmac, context.now)
  person.ledger.push({ ...entry, note: `profile ${other.after.id} became part of this one` })
  if (merged.level !== person.after.level) {
    person.ledger.push({ ...entry, subject: 'level', from: person.after.level, to: merged.level })
  }
  person.after = merged
  other.isGone = true
  await removeMerged(tx, merged, other.after)
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
    if (key.kind === 'email') await remember(tx, key.value, other.after, context.hash(key.value), context.now)
  }
}
