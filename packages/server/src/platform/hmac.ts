import { hash } from 'node:crypto'

/** Bytes of a block of SHA-256. */
const BLOCK = 64

/**
 * HMAC-SHA-256 (RFC 2104 §2) under one key: two plain hashes over padded keys that are made once. Node's own Hmac is an
 * object with a life of its own for every hash, at three times the cost, and a mail carries a dozen of them.
 *
 * @param key at most 64 bytes
 */
export function hmacWith(key: Uint8Array): (text: string) => Buffer {
  const padded = (filler: number) => Uint8Array.from({ length: BLOCK }, (_, i) => (key[i] ?? 0) ^ filler)
  const [inner, outer] = [padded(0x36), padded(0x5c)]
  return (text) => {
    const first = hash('sha256', Buffer.concat([inner, Buffer.from(text)]), 'buffer')
    return hash('sha256', Buffer.concat([outer, first]), 'buffer')
  }
}
