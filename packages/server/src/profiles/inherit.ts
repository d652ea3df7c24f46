import { sql } from 'kysely'
import { stricter } from '../consent/levels.ts'
import type { Tx } from '../platform/database.ts'
import { shardOfKey } from '../platform/shard.ts'
import { keyText } from './read.ts'
import { type Remembered, recall } from './remember.ts'
import { type ApplyContext, type People, type Plan, personId, type Working } from './working.ts'

/** Addresses that come to life again bring back the level their owner left behind. */
export async function inherit(
  tx: Tx,
  plans: readonly Plan[],
  people: People,
  owners: ReadonlyMap<string, number>,
  context: ApplyContext,
): Promise<void> {
  const coming = new Map<string, Working>()
  for (const plan of plans) {
    const id = personId(plan, owners)
    const person = id === null || plan.problem ? undefined : people.get(id)
    if (!person) continue
    if (person.isNew && plan.key?.kind === 'email') coming.set(plan.key.value, person)
    for (const key of plan.keys) if (key.kind === 'email' && !owners.has(keyText(key))) coming.set(key.value, person)
  }
  const hmacs = new Map([...coming.keys()].map((address) => [address, context.hash(address)]))
  const remembered = await recall(tx, [...hmacs.values()])
  if (remembered.size === 0) return
  for (const [address, person] of coming) {
    const found = remembered.get(hmacs.get(address)!.toString('hex'))
    if (found) await inheritFrom(tx, person, found, address, context)
  }
}

async function inheritFrom(
  tx: Tx,
  person: Working,
  found: Remembered,
  address: string,
  { now }: ApplyContext,
): Promise<void> {
  const { after } = person
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
