import { sql } from 'kysely'
import type { AddressHash } from '../account/pepper.ts'
import { coalesce } from '../platform/coalesce.ts'
import type { Database, Queryable, Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import { parseAddress } from '../profiles/address.ts'
import type { ChangeOutcome, ProfileChange, Wishes } from '../profiles/change.ts'
import { type Profiles, retrying } from '../profiles/door.ts'
import { findOwners, keyText, loadStates } from '../profiles/read.ts'
import { lockAddresses, lookUpMemories, shardOfHmac } from '../profiles/remember.ts'
import { REFUSED } from '../profiles/wishes.ts'
import '../sends/message-table.ts'

/*
 * Refusals by links of old mail, which work for ever. A link names a message and the person it was written to; since
 * then that person may have been merged, erased or made anew, or may have another address. A refusal acts on the person
 * or the survivor of their merge, and on whoever has the message's address now. Where nobody has the address, the
 * refusal is kept with it.
 */

/** What a link is about. `messageId` null: a link outside a message. */
export interface MailLink {
  profileId: number
  messageId: number | null
}

/** What is refused, and by what act. */
export type Refusing = Omit<ProfileChange, 'person' | 'create'>

export interface RefusalOutcome {
  /** Whether the refusal is in force anywhere. False: nobody is there, and no address is known that it could be kept with. */
  heard: boolean
  /** What became of it for the person of the link; null: they are gone. */
  person: Extract<ChangeOutcome, { ok: true }> | null
}

/**
 * What is refused for addresses, given in lookup form: by whoever has them, or as it is remembered of those who had.
 * Addresses of which nothing is known are missing.
 */
export type WishesOf = (q: Queryable, lookups: readonly string[]) => Promise<Map<string, Wishes>>

export interface Refusals {
  /** Carries out a refusal, durable when it resolves; those that come together share a transaction. */
  refuse(link: MailLink, refusing: Refusing): Promise<RefusalOutcome>
  /**
   * The part of a refusal that concerns others than the person of the link, in the caller's transaction.
   *
   * @param person who was reached already; null: nobody
   * @returns whether it is in force with anybody else, or with the address
   */
  elsewhere(tx: Tx, link: MailLink, refusing: Refusing, person: number | null): Promise<boolean>
  wishesOf: WishesOf
  /** Who has the address of the link's message now; null: nobody, or it is not known any more. */
  ownerOf(link: MailLink): Promise<number | null>
}

export interface RefusalParts {
  db: Database
  profiles: Pick<Profiles, 'changeIn' | 'refuseForAddress'>
  hash: AddressHash
}

export function createRefusals({ db, profiles, hash }: RefusalParts): Refusals {
  async function elsewhere(tx: Tx, link: MailLink, refusing: Refusing, person: number | null): Promise<boolean> {
    const mailed = await readMailed(tx, link, hash)
    if (!mailed) return false
    // Until this transaction ends nobody can get the address, or lose it.
    await lockAddresses([mailed.hmac]).execute(tx)
    const owner = await ownerOf(tx, mailed, hash)
    if (owner !== null && owner === person) return false
    const act = { ...refusing.act, reason: refusing.act.reason ?? 'a link of mail to this address' }
    if (owner === null) {
      await profiles.refuseForAddress(tx, { hmac: mailed.hmac, profileId: link.profileId }, { ...refusing, act })
      return true
    }
    const [outcome] = await profiles.changeIn(tx, [
      { ...refusing, act, person: { kind: 'id', value: owner }, create: false },
    ])
    return outcome!.ok
  }

  async function refuseAll(requests: ReadonlyArray<{ link: MailLink; refusing: Refusing }>): Promise<RefusalOutcome[]> {
    return retrying(() =>
      db.transaction().execute(async (tx) => {
        const outcomes = await profiles.changeIn(
          tx,
          requests.map(({ link, refusing }) => ({
            ...refusing,
            person: { kind: 'id', value: link.profileId },
            create: false,
          })),
        )
        const settled: RefusalOutcome[] = []
        for (const [index, { link, refusing }] of requests.entries()) {
          const outcome = outcomes[index]!
          const person = outcome.ok ? outcome : null
          const alsoHeard = await elsewhere(tx, link, refusing, person?.profileId ?? null)
          settled.push({ heard: person !== null || alsoHeard, person })
        }
        return settled
      }),
    )
  }

  async function wishesOf(q: Queryable, lookups: readonly string[]): Promise<Map<string, Wishes>> {
    const keys = [...new Set(lookups)].map((value) => ({ kind: 'email', value }) as const)
    const owners = await findOwners(q, keys)
    const states = await loadStates(q, [...owners.values()], false)
    const hashes = new Map(lookups.map((lookup) => [lookup, hash(lookup)]))
    const memories = await lookUpMemories(q, [...hashes.values()])
    return new Map(
      keys.flatMap((key) => {
        const owner = owners.get(keyText(key))
        const remembered = memories.get(hashes.get(key.value)!.toString('hex'))?.wishes
        const wishes = (owner === undefined ? undefined : states.get(owner)) ?? remembered
        return wishes ? [[key.value, wishes] as const] : []
      }),
    )
  }

  const together = coalesce(refuseAll, { size: 200 })
  return {
    elsewhere,
    wishesOf,
    refuse: (link, refusing) => together({ link, refusing }),
    async ownerOf(link) {
      const mailed = await readMailed(db, link, hash)
      return mailed && ownerOf(db, mailed, hash)
    },
  }
}

/** Where a message went: the lookup form of the address, null once its person was erased, and its keyed hash. */
interface Mailed {
  lookup: string | null
  hmac: Buffer
}

async function readMailed(q: Queryable, { messageId, profileId }: MailLink, hash: AddressHash): Promise<Mailed | null> {
  if (messageId === null) return null
  const { rows } = await sql<{ address: string; address_hmac: Buffer | null }>`
    select address, address_hmac from message where shard = ${shardOfId(messageId)} and id = ${messageId}`.execute(q)
  const [message] = rows
  const lookup = message && parseAddress(message.address)?.lookup
  if (lookup) return { lookup, hmac: hash(lookup) }
  const hmac = message?.address_hmac ?? (await erasedHash(q, profileId))
  return hmac && { lookup: null, hmac }
}

/** The hash under which a person was erased: messages from before 0002 hold none. */
async function erasedHash(q: Queryable, profileId: number): Promise<Buffer | null> {
  const { rows } = await sql<{ address_hmac: Buffer | null }>`
    select address_hmac from consent_ledger
    where shard = ${shardOfId(profileId)} and profile_id = ${profileId} and event = 'erased'
    order by id desc limit 1`.execute(q)
  return rows[0]?.address_hmac ?? null
}

/** Who has an address now; null: nobody. */
async function ownerOf(q: Queryable, { lookup, hmac }: Mailed, hash: AddressHash): Promise<number | null> {
  if (lookup !== null) {
    const key = { kind: 'email', value: lookup } as const
    return (await findOwners(q, [key])).get(keyText(key)) ?? null
  }
  const { rows } = await sql<{ id: number; email: string | null }>`
    select p.id, p.email from returned_address r
    join profile p on p.id = r.profile_id and p.shard = (r.profile_id & 63)::smallint
    where r.shard = ${shardOfHmac(hmac)} and r.address_hmac = ${hmac}`.execute(q)
  const [owner] = rows
  const present = owner?.email && parseAddress(owner.email)?.lookup
  return owner && present && hash(present).equals(hmac) ? owner.id : null
}

/** The part of a change that only refuses; null: there is none. */
export function onlyRefusing({ act, level, lists, templates, sms, pixelConsent }: Refusing): Refusing | null {
  const refusing: Refusing = { act }
  if (level && level.to !== 'none') refusing.level = { to: level.to, mode: 'tighten' }
  const left = [...(lists ?? [])].filter(([, join]) => !join)
  if (left.length > 0) refusing.lists = new Map(left)
  const out = [...(templates ?? [])].filter(([, wish]) => wish.out)
  if (out.length > 0) refusing.templates = new Map(out)
  const channels = Object.entries(sms ?? {}).filter(([, answer]) => answer === REFUSED)
  if (channels.length > 0) refusing.sms = Object.fromEntries(channels)
  if (pixelConsent === REFUSED) refusing.pixelConsent = pixelConsent
  return Object.keys(refusing).length > 1 ? refusing : null
}
