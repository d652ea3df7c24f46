import { hash } from 'node:crypto'

/** Bytes of a block of SHA-256. */
const BLOCK = 64
const DIGEST = 32
/** Texts up to this length are hashed without a buffer of their own. A UTF-16 code unit takes three bytes at most. */
const USUAL = 512

/**
 * HMAC-SHA-256 (RFC 2104 §2) under one key: two plain hashes over padded keys that are made once. Node's own Hmac is an
 * object with a life of its own for every hash, at three times the cost, and a mail carries a dozen of them. Hashes come
 * as strings of bytes, as Node makes these in a fourth of the time that a buffer takes.
 *
 * @param key at most 64 bytes
 */
export function hmacWith(key: Uint8Array): (text: string) => Buffer {
  const padded = (filler: number, room: number) =>
    Buffer.from(Uint8Array.from({ length: BLOCK + room }, (_, i) => (i < BLOCK ? (key[i] ?? 0) ^ filler : 0)))
  const [inner, outer] = [padded(0x36, USUAL * 3), padded(0x5c, DIGEST)]
  return (text) => {
    const padding = inner.subarray(0, BLOCK)
    const input =
      text.length > USUAL
        ? Buffer.concat([padding, Buffer.from(text)])
        : inner.subarray(0, BLOCK + inner.write(text, BLOCK))
    outer.write(hash('sha256', input, 'binary'), BLOCK, 'binary')
    return Buffer.from(hash('sha256', outer, 'binary'), 'binary')
  }
}
