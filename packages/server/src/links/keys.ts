import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { sql } from 'kysely'
import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import { hmacWith } from '../platform/hmac.ts'

interface SigningKeyTable {
  kid: number
  secret: Buffer
  created_at: Date
  /** Since when nothing new is signed with it. */
  retired_at: Date | null
}

declare module '../platform/database.ts' {
  interface Schema {
    signing_key: SigningKeyTable
  }
}

/**
 * What a signature is for. Each purpose has a key of its own, so what was signed for one never passes for another:
 * the one-click address, the opt-out page, the opt-in confirmation, a rendered form, undoing a save, the thank-you
 * page, a change of address, tracked links, open pixels, messages shown in the browser, and the keyed hash under which
 * an address may stand in a link. Send ids and return paths have theirs too, and so has the content of tokens.
 */
export type Purpose =
  | 'u'
  | 'oc'
  | 'confirm'
  | 'form'
  | 'undo'
  | 'thanks'
  | 'move'
  | 'click'
  | 'open'
  | 'view'
  | 'address'
  | 'send'
  | 'bounce'
  | 'content'

/** Signs and verifies with the account's own keys. */
export interface SigningKeys {
  /** Number of the key that signs now. */
  currentKid(): number
  /** 128 bits over a text; null when there is no such key. */
  mac(kid: number, purpose: Purpose, text: string): Buffer | null
  /** Constant time. False when there is no such key. */
  verify(kid: number, purpose: Purpose, text: string, mac: Buffer): boolean
  /**
   * Two numbers as sixteen bytes that tell nothing about them: a permutation under a key of its own (AES of one block).
   * Numbers of messages and people count up, so bare they would tell how many there are, and which came after which.
   * The same numbers always give the same bytes. Null when there is no such key.
   */
  conceal(kid: number, first: number, second: number): Buffer | null
  /** The numbers again. Null when there is no such key, and for bytes that `conceal` never made. */
  reveal(kid: number, concealed: Buffer): [first: number, second: number] | null
  has(kid: number): boolean
  /** Reads the keys again: another process may have made a new one. */
  refresh(): Promise<void>
}

const MAC_BYTES = 16
/** Bytes of a block of AES: two numbers of eight bytes. */
const BLOCK = 16

function writeNumber(block: Buffer, at: number, number: number): void {
  block.writeUInt32BE(Math.floor(number / 0x1_0000_0000), at)
  block.writeUInt32BE(number % 0x1_0000_0000, at + 4)
}

const readNumber = (block: Buffer, at: number) => block.readUInt32BE(at) * 0x1_0000_0000 + block.readUInt32BE(at + 4)
const LOCK = 7_145_002

interface HeldKey {
  secret: Buffer
  subkeys: Map<Purpose, (text: string) => Buffer>
  ids: IdCipher | null
}

interface IdCipher {
  conceal(first: number, second: number): Buffer
  reveal(concealed: Buffer): [first: number, second: number] | null
}

/**
 * A permutation of pairs of numbers. Each is one block that depends on no other, which is all that this mode is used for.
 *
 * @param secret 16 bytes
 */
export function createIdCipher(secret: Uint8Array): IdCipher {
  const cipher = createCipheriv('aes-128-ecb', secret, null).setAutoPadding(false)
  const decipher = createDecipheriv('aes-128-ecb', secret, null).setAutoPadding(false)
  return {
    conceal(first, second) {
      const block = Buffer.alloc(BLOCK)
      writeNumber(block, 0, first)
      writeNumber(block, BLOCK / 2, second)
      return cipher.update(block)
    },
    reveal(concealed) {
      if (concealed.length !== BLOCK) return null
      const block = decipher.update(concealed)
      const [first, second] = [readNumber(block, 0), readNumber(block, BLOCK / 2)]
      return Number.isSafeInteger(first) && Number.isSafeInteger(second) ? [first, second] : null
    },
  }
}

/** Loads the keys, making the first one where there is none. Safe when several processes start at once. */
export async function loadSigningKeys(db: Database, clock: Clock): Promise<SigningKeys> {
  let held = new Map<number, HeldKey>()
  let current = 0

  const read = async () => {
    const rows = await db.selectFrom('signing_key').selectAll().orderBy('kid').execute()
    held = new Map(
      rows.map((row) => [row.kid, held.get(row.kid) ?? { secret: row.secret, subkeys: new Map(), ids: null }]),
    )
    current = rows.findLast((row) => row.retired_at === null)?.kid ?? 0
  }

  const mac = (kid: number, purpose: Purpose, text: string): Buffer | null => {
    const key = held.get(kid)
    if (!key) return null
    let subkey = key.subkeys.get(purpose)
    if (!subkey) {
      subkey = hmacWith(new Uint8Array(hkdfSync('sha256', key.secret, 'fairlead', `link:${purpose}`, 32)))
      key.subkeys.set(purpose, subkey)
    }
    return subkey(text).subarray(0, MAC_BYTES)
  }

  const idsOf = (kid: number) => {
    const key = held.get(kid)
    if (key) key.ids ??= createIdCipher(new Uint8Array(hkdfSync('sha256', key.secret, 'fairlead', 'link:ids', 16)))
    return key?.ids ?? null
  }

  await read()
  if (current === 0) {
    await addKey(db, clock, { onlyIfNone: true })
    await read()
  }
  return {
    currentKid: () => current,
    mac,
    verify(kid, purpose, text, given) {
      const expected = mac(kid, purpose, text)
      return expected !== null && given.length === MAC_BYTES && timingSafeEqual(expected, given)
    },
    conceal: (kid, first, second) => idsOf(kid)?.conceal(first, second) ?? null,
    reveal: (kid, concealed) => idsOf(kid)?.reveal(concealed) ?? null,
    has: (kid) => held.has(kid),
    refresh: read,
  }
}

/**
 * Makes a new key and retires the others. What they signed stays good: opt-outs for ever, opt-ins until they expire.
 *
 * @returns the number of the new key
 */
export async function rotateSigningKey(db: Database, clock: Clock): Promise<number> {
  return addKey(db, clock, { onlyIfNone: false })
}

function addKey(db: Database, clock: Clock, options: { onlyIfNone: boolean }): Promise<number> {
  return db.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(${sql.lit(LOCK)})`.execute(tx)
    const rows = await tx.selectFrom('signing_key').select(['kid', 'retired_at']).orderBy('kid').execute()
    const active = rows.findLast((row) => row.retired_at === null)
    if (options.onlyIfNone && active) return active.kid
    const now = clock.now()
    const kid = (rows.at(-1)?.kid ?? 0) + 1
    await tx.updateTable('signing_key').set({ retired_at: now }).where('retired_at', 'is', null).execute()
    await tx
      .insertInto('signing_key')
      .values({ kid, secret: randomBytes(32), created_at: now, retired_at: null })
      .execute()
    return kid
  })
}
