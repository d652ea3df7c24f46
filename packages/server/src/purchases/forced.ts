import type { AddressHash } from '../account/pepper.ts'
import { chain, writeLedger } from '../consent/ledger.ts'
import type { Tx } from '../platform/database.ts'
import { parseAddress } from '../profiles/address.ts'
import type { Act } from '../profiles/change.ts'
import { findProfile } from '../profiles/read.ts'
import type { LoadedTemplate } from '../templates/templates.ts'

/**
 * Records that a receipt goes out although the person's level would stop it: the operator must be able to show which
 * mail went to people who had left. Call it in the transaction in which the profile door took hold of the person.
 */
export async function noteForcedReceipt(
  tx: Tx,
  receipt: { profileId: number; template: LoadedTemplate; messageId: number; act: Act },
  hash: AddressHash,
  now: Date,
): Promise<void> {
  const { profileId, template, messageId, act } = receipt
  const profile = await findProfile(tx, { kind: 'id', value: profileId })
  if (!profile) return
  const address = profile.email === null ? null : parseAddress(profile.email)
  const entries = chain(profile.ledgerHead, [
    {
      profileId,
      addressHmac: address && hash(address.lookup),
      at: now,
      recordedAt: now,
      subject: `template:${template.id}`,
      from: profile.level,
      to: profile.level,
      event: 'forced',
      act: { ...act, messageId },
      note: `receipt "${template.name}"`,
    },
  ])
  await writeLedger(tx, entries)
  await tx
    .updateTable('profile')
    .set({ ledger_head: entries.at(-1)?.hash })
    .where('shard', '=', profile.shard)
    .where('id', '=', profileId)
    .execute()
}
