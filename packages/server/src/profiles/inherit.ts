import { sql } from 'kysely'
import { stricter } from '../consent/levels.ts'
import type { Tx } from '../platform/database.ts'
import { shardOfKey } from '../platform/shard.ts'
import { keyText } from './read.ts'
import { type Remembered, readRemembered, recall } from './remember.ts'
import { type ApplyContext, type People, type Plan, personId, type Working } from './working.ts'

/**
 * Addresses that come to life again bring back the level their owner left behind.
 *
 * @param remembered what is known of those who come to be by these changes, by `hash` in hexadecimal digits
 */
export async function inherit(
  tx: Tx,
  plans: readonly Plan[],
  people: People,
  owners: ReadonlyMap<string, number>,
  remembered: ReadonlyMap<string, Remembered>,
  context: ApplyContext,
): Promise<void> {
  const gained = gainedAddresses(plans, people, owners)
  const hmacs = [...gained.keys()].map(context.hash)
  const more = hmacs.length > 0 ? readRemembered((await recall(hmacs).execute(tx)).rows) : remembered
  if (remembered.size + more.size === 0) return
  const coming = new Map(gained)
  for (const plan of plans) {
    const id = personId(plan, owners)
    const person = id === null || plan.problem ? undefined : people.get(id)
    if (!person) continue
    if (person.isNew && plan.key?.kind === 'email') coming.set(plan.key.value, person)
  }
  for (const [address, person] of coming) {
    const hmac = context.hash(address).toString('hex')
    const found = remembered.get(hmac) ?? more.get(hmac)
    if (found) await inheritFrom(tx, person, found, address, context)
  }
}

/** Addresses that nobody holds and somebody is given by a change. */
function gainedAddresses(
  plans: readonly Plan[],
  people: People,
  owners: ReadonlyMap<string, number>,
): Map<string, Working> {
  const gained = new Map<string, Working>()
  for (const plan of plans) {
    const id = personId(plan, owners)
    const person = id === null || plan.problem ? undefined : people.get(id)
    if (!person) continue
    for (const key of plan.keys) if (key.kind === 'email' && !owners.has(keyText(key))) gained.set(key.value, person)
  }
  return gained
}

async function inheritFrom(
  tx: Tx,
  person: Working,
  found: Remembered,
  address: string,
  { now }: ApplyContext,
): Promise<void> {
  const { after } = person
  person.recalled = found
  const level = stricter(after.level, found.level)
  if (level !== after.level) {
    const act = { via: 'system', evidence: 0, reason: 'remembered from before the erasure' } as const
    const entry = { profileId: after.id, addressHmac: found.addressHmac, at: now, recordedAt: now, act }
    person.ledger.push({ ...entry, subject: 'level', from: after.level, to: level, event: 'inherited' })
  }
  person.after = {
    ...after,
    level,
    levelAt: level === after.level ? after.levelAt : now,
    complainedAt: after.complainedAt ?? found.complainedAt,
    refusedAt: after.refusedAt ?? found.refusedAt,
    templateOptouts: new Set([...after.templateOptouts, ...found.templateOptouts]),
  }
  if (found.deliverability) {
    await sql`insert into address (shard, address, state, since)
      values (${shardOfKey('email', address)}, ${address}, ${found.deliverability}, ${now})
      on conflict do nothing`.execute(tx)
  }
}
