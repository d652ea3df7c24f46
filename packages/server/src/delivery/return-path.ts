import { timingSafeEqual } from 'node:crypto'
import type { SigningKeys } from '../links/keys.ts'

/*
 * Return paths that say which message a bounce is about (VERP): `b-` and, in base 32, number of the key (1), message id
 * (11), 80 bits of proof (16). Local parts come back in either case, so the digits have none.
 */

const DIGITS = '0123456789abcdefghijklmnopqrstuv'
const SHAPE = /^b-([0-9a-v])([0-9a-v]{11})([0-9a-v]{16})@([^@]+)$/
const PROOF_BYTES = 10

type Keys = Pick<SigningKeys, 'currentKid' | 'mac'>

/** The envelope sender of a message. Its domain must bring mail to us. */
export function returnPathOf(keys: Keys, messageId: number, domain: string): string {
  const kid = keys.currentKid()
  return `b-${DIGITS[kid % 32]}${inBase32(messageId, 11)}${proofOf(keys, kid, messageId)!}@${domain}`
}

/** The message that a bounce to this address is about; null when the address was not made by us. */
export function messageIdOf(keys: Keys, address: string): number | null {
  const found = SHAPE.exec(address.toLowerCase())
  if (!found) return null
  const [kid, messageId] = [found[1]!, found[2]!].map((text) => Number.parseInt(text, 32)) as [number, number]
  if (!Number.isSafeInteger(messageId)) return null
  const proof = proofOf(keys, kid, messageId)
  return proof && timingSafeEqual(Buffer.from(proof), Buffer.from(found[3]!)) ? messageId : null
}

function proofOf(keys: Keys, kid: number, messageId: number): string | null {
  const mac = keys.mac(kid, 'bounce', String(messageId))?.subarray(0, PROOF_BYTES)
  if (!mac) return null
  // Five bytes are eight digits.
  return inBase32(mac.readUIntBE(0, 5), 8) + inBase32(mac.readUIntBE(5, 5), 8)
}

const inBase32 = (number: number, digits: number) => number.toString(32).padStart(digits, '0')
