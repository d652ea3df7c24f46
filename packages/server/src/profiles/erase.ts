import { sql } from 'kysely'
import type { Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import type { ProfileState } from './change.ts'
import { storedKey } from './read.ts'
import { keysOf, remember, takeDeliverability } from './remember.ts'
import './verified.ts'
import type { ApplyContext } from './working.ts'
import { releaseKeys } from './write.ts'

/** Removes a person and everything known of them but the promise not to write. */
export async function eraseRows(
  tx: Tx,
  state: ProfileState,
  addressHmac: Buffer | null,
  { belongings, hash, now }: ApplyContext,
): Promise<void> {
  const { id } = state
  const email = state.email === null ? null : storedKey('email', state.email)
  if (email && addressHmac) {
    await remember(tx, addressHmac, { wishes: state, deliverability: await takeDeliverability(tx, email.value) }, now)
  }
  await releaseKeys(tx, keysOf(state))
  await removeOwnRows(tx, id)
  const { rows } = await sql<{ id: number }>`select id from profile_moved where profile_id = ${id}`.execute(tx)
  const ids = [id, ...rows.map((row) => row.id)]
  for (const { erase } of belongings) await erase(tx, { id, ids, hash })
}

/** What this folder and `consent/` keep of a person. */
const OWN_TABLES = ['list_member', 'list_left', 'template_optout', 'verified_profile'] as const

/** Deletes the profile with its own rows. */
export async function removeOwnRows(tx: Tx, id: number): Promise<void> {
  const shard = shardOfId(id)
  for (const table of OWN_TABLES) {
    await tx.deleteFrom(table).where('shard', '=', shard).where('profile_id', '=', id).execute()
  }
  await tx.deleteFrom('profile').where('shard', '=', shard).where('id', '=', id).execute()
}
