import { sql } from 'kysely'
import { chain, writeLedger } from '../consent/ledger.ts'
import type { Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import type { ProfileChange, ProfileState } from './change.ts'
import { drawDecisions } from './decisions.ts'
import { lookUpMemories, remember } from './remember.ts'
import { fold } from './rule.ts'
import { NO_WISHES } from './wishes.ts'
import type { ApplyContext } from './working.ts'

/** An address that nobody has, and the person who had it when the mail was written that is refused now. */
export interface OwnerlessAddress {
  hmac: Buffer
  profileId: number
}

/**
 * Keeps a refusal with an address that nobody has: by the same rule as if somebody had it. The ledger gets the row in the
 * chain of the person whom the mail was written to. Call it with the address locked (`lockAddresses`).
 */
export async function refuseForAddress(
  tx: Tx,
  { hmac, profileId }: OwnerlessAddress,
  change: Omit<ProfileChange, 'person' | 'create'>,
  { now, settings, lists }: Pick<ApplyContext, 'now' | 'settings' | 'lists'>,
): Promise<void> {
  const known = (await lookUpMemories(tx, [hmac])).get(hmac.toString('hex'))
  const names = await lists.byIds([...(change.lists?.keys() ?? [])], tx)
  const [drawn] = (await drawDecisions(1).execute(tx)).rows
  const before = nobody(profileId, now)
  const wishes = known?.wishes ?? NO_WISHES
  // Who left a list when there was somebody leaves it; nobody is a member any more.
  const members = new Map([...(change.lists?.keys() ?? [])].map((list) => [list, now]))
  const folded = fold(
    { ...before, ...wishes, lists: members },
    { ...change, person: { kind: 'id', value: profileId } },
    {
      now,
      settings,
      number: drawn!.number,
      addressHmac: () => hmac,
      listName: (list) => names.get(list)?.name ?? String(list),
    },
  )
  await remember(tx, hmac, { wishes: folded.state, deliverability: null }, now)
  const { rows } = await sql<{ hash: Buffer }>`
    select hash from consent_ledger where shard = ${shardOfId(profileId)} and profile_id = ${profileId}
    order by id desc limit 1`.execute(tx)
  const { rows: alive } = await sql`
    select from profile where shard = ${shardOfId(profileId)} and id = ${profileId}`.execute(tx)
  // The chain of somebody who lives on is theirs to continue; they have a row of their own about this refusal.
  if (alive.length === 0) {
    const entries = folded.ledger.map((entry) => ({ ...entry, note: 'nobody has the address: kept with it' }))
    await writeLedger(tx, chain(rows[0]?.hash ?? null, entries))
  }
}

const nobody = (id: number, now: Date): ProfileState => ({
  shard: shardOfId(id),
  id,
  email: null,
  keys: {},
  ...NO_WISHES,
  vars: {},
  createdAt: now,
  signupAt: null,
  loginAt: null,
  optoutAt: null,
  lists: new Map(),
  ledgerHead: null,
  salt: Buffer.alloc(0),
})
