import { sql } from 'kysely'
import type { LedgerEntry } from '../consent/ledger.ts'
import type { Tx } from '../platform/database.ts'
import { shardOfKey } from '../platform/shard.ts'
import type { ProfileState } from './change.ts'
import type { Memory } from './remember.ts'
import { strictest } from './wishes.ts'
import type { Working } from './working.ts'

/**
 * An address is somebody's again: its memory becomes part of what they refuse. From now on it is lifted like anything
 * else that they refused.
 *
 * @param namesOf names of lists that the person is on, by id
 */
export function withMemory(
  state: ProfileState,
  { wishes }: Memory,
  namesOf: ReadonlyMap<number, { name: string }>,
  entry: Pick<LedgerEntry, 'addressHmac' | 'at'>,
): { state: ProfileState; ledger: LedgerEntry[] } {
  const united = { ...state, ...strictest(state, wishes) }
  const act = { via: 'system', evidence: 0, reason: 'the address was known before' } as const
  const base = { profileId: state.id, ...entry, recordedAt: entry.at, event: 'inherited', act } as const
  const ledger: LedgerEntry[] = []
  const note = (subject: string, from: string | null, to: string | null) => {
    if (from !== to) ledger.push({ ...base, subject, from, to })
  }
  note('level', state.level, united.level)
  note('pixel', state.pixelConsent, united.pixelConsent)
  for (const channel of ['marketing', 'transactional'] as const) {
    note(`sms:${channel}`, state.sms[channel] ?? null, united.sms[channel] ?? null)
  }
  for (const template of united.templateOptouts.keys()) {
    if (!state.templateOptouts.has(template)) note(`template:${template}`, 'in', 'out')
  }
  const lists = withoutLeft(united, namesOf)
  for (const list of state.lists.keys()) if (!lists.has(list)) note(`list:${list}`, 'member', null)
  return { state: { ...united, lists }, ledger }
}

/** Memberships without those that were left, by name. */
export function withoutLeft(
  { lists, listsLeft }: Pick<ProfileState, 'lists' | 'listsLeft'>,
  namesOf: ReadonlyMap<number, { name: string }>,
): ProfileState['lists'] {
  if (listsLeft.size === 0) return lists
  return new Map([...lists].filter(([list]) => !listsLeft.has(namesOf.get(list)?.name ?? '')))
}

/** Gives a person what is remembered of an address that they have now. */
export async function inherit(
  tx: Tx,
  person: Working,
  memory: Memory,
  address: { lookup: string; hmac: Buffer },
  namesOf: ReadonlyMap<number, { name: string }>,
  now: Date,
): Promise<void> {
  person.recalled = memory
  const { state, ledger } = withMemory(person.after, memory, namesOf, { addressHmac: address.hmac, at: now })
  person.after = state
  person.ledger.push(...ledger)
  if (memory.deliverability === null) return
  await sql`insert into address (shard, address, state, since)
    values (${shardOfKey('email', address.lookup)}, ${address.lookup}, ${memory.deliverability}, ${now})
    on conflict do nothing`.execute(tx)
}
