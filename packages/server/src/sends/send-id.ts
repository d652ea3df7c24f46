import { timingSafeEqual } from 'node:crypto'
import type { SigningKeys } from '../links/keys.ts'

/**
 * Send ids: 16 URL-safe characters that carry the message's number and 32 bits of proof, so that ids cannot be
 * guessed and a look-up knows its shard. Twelve bytes: number of the key, seven bytes of masked message id, proof.
 */
export interface SendIds {
  sendIdOf(messageId: number): string
  /** Null for anything that no `sendIdOf` made. */
  messageIdOf(sendId: string): number | null
}

const SHAPE = /^[\w-]{16}$/

export function createSendIds(keys: Pick<SigningKeys, 'currentKid' | 'mac'>): SendIds {
  const proofOf = (kid: number, messageId: number) => keys.mac(kid, 'send', `id:${messageId}`)?.subarray(0, 4) ?? null

  /** The id is masked by its own proof, so that ids in a row do not look so. */
  const mask = (kid: number, id: Buffer, proof: Buffer): Buffer => {
    const stream = keys.mac(kid, 'send', `mask:${proof.toString('hex')}`)!
    return Buffer.from(id.map((byte, index) => byte ^ stream[index]!))
  }

  return {
    sendIdOf(messageId) {
      const kid = keys.currentKid()
      const proof = proofOf(kid, messageId)!
      const id = Buffer.alloc(7)
      id.writeUIntBE(Math.floor(messageId / 0x1000000), 0, 4)
      id.writeUIntBE(messageId % 0x1000000, 4, 3)
      return Buffer.concat([Buffer.from([kid]), mask(kid, id, proof), proof]).toString('base64url')
    },

    messageIdOf(sendId) {
      if (!SHAPE.test(sendId)) return null
      const bytes = Buffer.from(sendId, 'base64url')
      const kid = bytes[0]!
      const given = bytes.subarray(8)
      if (keys.mac(kid, 'send', '') === null) return null
      const id = mask(kid, bytes.subarray(1, 8), given)
      const messageId = id.readUIntBE(0, 4) * 0x1000000 + id.readUIntBE(4, 3)
      const proof = Number.isSafeInteger(messageId) ? proofOf(kid, messageId) : null
      return proof !== null && timingSafeEqual(proof, given) ? messageId : null
    },
  }
}
