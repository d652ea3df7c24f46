import { sql } from 'kysely'
import { newTokenId, openToken, seal } from '../links/tokens.ts'
import { shardOfId } from '../platform/shard.ts'
import { maskAddress, parseAddress } from '../profiles/address.ts'
import { enqueue } from '../sends/enqueue.ts'
import { ownMail } from './own-mails.ts'
import type { PageParts } from './parts.ts'
import type { Visitor } from './visit.ts'

/**
 * A change of address asked for on a preference page. The link of that page may have been passed on, so both mailboxes
 * are written to: the new one has to confirm, the old one can forbid. The new address stands in the row of the message
 * to it and nowhere else, least of all in a link.
 */

/** What one of the two links is for. */
export interface AddressLink {
  profileId: number
  /** Keyed hash of the address that the person had: another one since makes the link void. */
  fromHash: string
  role: 'take' | 'keep'
  /** Spent by whichever link is used first. */
  id: string
}

export type AddressAnswer = 'address_sent' | 'address_unsent' | 'address_invalid'

const DAY = 86_400_000
const LIFETIME = 7 * DAY
/** Changes that can be asked for in 24 hours: each writes to an address that somebody typed. */
const MOST_A_DAY = 3

const dedupeKey = (id: string) => `address:${id}`

/** Mails both links. Null: this is the person's address already. */
export async function askForAddress(
  parts: PageParts,
  person: Visitor & { email: string },
  wanted: string,
): Promise<AddressAnswer | null> {
  const address = parseAddress(wanted)
  if (!address) return 'address_invalid'
  if (address.lookup === parseAddress(person.email)?.lookup) return null
  const now = parts.clock.now()
  const [profileId, id] = [person.id, newTokenId()]
  const urlOf = (role: AddressLink['role']) => {
    const content = [profileId, parts.links.hashAddress(person.email), role]
    const stamp = { issuedAt: now, expiresAt: new Date(now.getTime() + LIFETIME), id }
    return `${parts.config.publicUrl}/a/${seal(parts.signingKeys, 'move', content, stamp)}`
  }
  const question = await ownMail(parts, 'Confirm Address', {
    profileId,
    address: address.display,
    vars: { other_address: maskAddress(person.email), address_url: urlOf('take') },
    dedupeKey: dedupeKey(id),
  })
  const warning = await ownMail(parts, 'Address Change Notice', {
    profileId,
    address: person.email,
    vars: { other_address: maskAddress(address.display), address_url: urlOf('keep') },
  })
  if (!question || !warning) return 'address_unsent'
  const settings = await parts.settings.get()
  return parts.db.transaction().execute(async (tx) => {
    const shard = shardOfId(profileId)
    await sql`select 1 from profile where shard = ${shard} and id = ${profileId} for update`.execute(tx)
    const { rows } = await sql<{ n: number }>`
      select count(*)::int as n from message where shard = ${shard} and profile_id = ${profileId}
        and dedupe_key like 'address:%' and created_at > ${new Date(now.getTime() - DAY)}`.execute(tx)
    if (rows[0]!.n >= MOST_A_DAY) return 'address_unsent'
    const [asked] = await enqueue(tx, [question, warning], { now, settings })
    // Whether the new address may be written to is nothing that the owner of another one should learn.
    return asked!.ok || asked!.code !== 32 ? 'address_sent' : 'address_unsent'
  })
}

/** A link that still works, with the address that it is about; or how it ended. */
export type OpenedAddressLink =
  | { state: 'open'; link: AddressLink; person: Visitor & { email: string }; address: string }
  | { state: 'taken' | 'kept' | 'stale' | 'bad' }

/** @param personOf reads the person as they are now */
export async function openAddressLink(
  parts: PageParts,
  token: string,
  personOf: (profileId: number) => Promise<Visitor | null>,
): Promise<OpenedAddressLink> {
  await parts.links.learnKeys(token)
  const opened = openToken(parts.signingKeys, 'move', token, parts.clock.now())
  if (!opened.ok && opened.problem === 'bad') return { state: 'bad' }
  const [profileId, fromHash, role] = opened.content as [number, string, AddressLink['role']]
  const link: AddressLink = { profileId, fromHash, role, id: opened.id }
  const shard = shardOfId(profileId)
  const [{ rows }, person] = await Promise.all([
    sql<{ purpose: string | null; address: string | null }>`
      select (select purpose from used_token where shard = ${shard} and id = ${link.id}) as purpose,
        (select address from message where shard = ${shard} and dedupe_key = ${dedupeKey(link.id)}) as address`.execute(
      parts.db,
    ),
    personOf(profileId),
  ])
  const { purpose, address } = rows[0]!
  if (purpose !== null) return { state: purpose === 'address-take' ? 'taken' : 'kept' }
  if (!opened.ok || !address || !person?.email || !parts.links.isOfAddress(fromHash, person.email)) {
    return { state: 'stale' }
  }
  return { state: 'open', link, person: { ...person, email: person.email }, address }
}

/** Does what the link says, once. Whoever is known under the new address becomes one with the person. */
export async function useAddressLink(
  parts: PageParts,
  { link, address }: OpenedAddressLink & { state: 'open' },
  poster: { ip: string; userAgent: string | undefined },
): Promise<void> {
  const takes = link.role === 'take'
  await parts.profiles.change({
    person: { kind: 'id', value: link.profileId },
    create: false,
    act: {
      via: 'confirm_link',
      evidence: 4,
      ip: poster.ip,
      ...(poster.userAgent ? { userAgent: poster.userAgent } : {}),
      url: '/a',
      tokenId: link.id,
    },
    ...(takes ? { keys: { email: address }, keysConflict: 'merge' as const } : {}),
    spend: { id: link.id, purpose: `address-${link.role}` },
  })
}
