import { timingSafeEqual } from 'node:crypto'
import type { SigningKeys } from '../links/keys.ts'

/*
 * Return paths that say which message a bounce is about (VERP): `b-` and, in base 32, number of the key (1), public id of
 * the message (26), 80 bits of proof (16). Local parts come back in either case, so the digits have none. Those that were
 * made before hold the bare number (11).
 */

const DIGITS = '0123456789abcdefghijklmnopqrstuv'
const SHAPE = /^b-([0-9a-v])([0-9a-v]{11}|[0-9a-v]{26})([0-9a-v]{16})@([^@]+)$/
const BARE_DIGITS = 11
const PROOF_BYTES = 10

type Keys = Pick<SigningKeys, 'currentKid' | 'mac' | 'conceal' | 'reveal'>

/** The envelope sender of a message. Its domain must bring mail to us. */
export function returnPathOf(keys: Keys, messageId: number, domain: string): string {
  const kid = keys.currentKid()
  return `b-${DIGITS[kid % 32]}${concealed(keys, kid, messageId)}${proofOf(keys, kid, messageId)!}@${domain}`
}

/** The message that a bounce to this address is about; null when the address was not made by us. */
export function messageIdOf(keys: Keys, address: string): number | null {
  const found = SHAPE.exec(address.toLowerCase())
  if (!found) return null
  const kid = Number.parseInt(found[1]!, 32)
  const messageId = found[2]!.length === BARE_DIGITS ? Number.parseInt(found[2]!, 32) : revealed(keys, kid, found[2]!)
  if (messageId === null || !Number.isSafeInteger(messageId)) return null
  const proof = proofOf(keys, kid, messageId)
  return proof && timingSafeEqual(Buffer.from(proof), Buffer.from(found[3]!)) ? messageId : null
}

function proofOf(keys: Keys, kid: number, messageId: number): string | null {
  const mac = keys.mac(kid, 'bounce', String(messageId))?.subarray(0, PROOF_BYTES)
  if (!mac) return null
  // Five bytes are eight digits.
  return inBase32(mac.readUIntBE(0, 5), 8) + inBase32(mac.readUIntBE(5, 5), 8)
}

const ID_BITS = 128n

function concealed(keys: Keys, kid: number, messageId: number): string {
  return BigInt(`0x${keys.conceal(kid, messageId, 0)!.toString('hex')}`)
    .toString(32)
    .padStart(26, '0')
}

function revealed(keys: Keys, kid: number, text: string): number | null {
  let number = 0n
  for (const digit of text) number = number * 32n + BigInt(DIGITS.indexOf(digit))
  if (number >> ID_BITS !== 0n) return null
  const ids = keys.reveal(kid, Buffer.from(number.toString(16).padStart(32, '0'), 'hex'))
  return ids && ids[1] === 0 ? ids[0] : null
}

const inBase32 = (number: number, digits: number) => number.toString(32).padStart(digits, '0')
