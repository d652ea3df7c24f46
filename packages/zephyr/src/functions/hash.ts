/** MD5 (RFC 1321), SHA-1 and SHA-256 (FIPS 180-4) of a text's UTF-8 bytes as lower-case hex digits. */

/** Told how much was done; throws when it was enough. */
type Worked = (amount: number) => void

const encoder = new TextEncoder()

/** The message as 32-bit words with padding and length, little or big endian. */
function blocks(text: string, bigEndian: boolean, worked: Worked): Uint32Array {
  const bytes = encoder.encode(text)
  const words = new Uint32Array((((bytes.length + 8) >>> 6) + 1) * 16)
  const shift = (i: number) => (bigEndian ? 24 - (i & 3) * 8 : (i & 3) * 8)
  for (let i = 0; i < bytes.length; i++) {
    if ((i & 4095) === 0) worked(4096)
    words[i >> 2]! |= bytes[i]! << shift(i)
  }
  words[bytes.length >> 2]! |= 0x80 << shift(bytes.length)
  const low = (bytes.length << 3) >>> 0
  const high = Math.floor(bytes.length / 0x20000000)
  words[words.length - 2] = bigEndian ? high : low
  words[words.length - 1] = bigEndian ? low : high
  return words
}

function rotate(x: number, n: number): number {
  return (x << n) | (x >>> (32 - n))
}

function hex(words: readonly number[], bigEndian: boolean): string {
  let out = ''
  for (const word of words) {
    for (let i = 0; i < 4; i++) {
      const byte = (word >>> (bigEndian ? 24 - i * 8 : i * 8)) & 255
      out += (byte < 16 ? '0' : '') + byte.toString(16)
    }
  }
  return out
}

const MD5_SHIFTS = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21]
const MD5_SINES = Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 4294967296) | 0)

export function md5(text: string, worked: Worked): string {
  const m = blocks(text, false, worked)
  let [a0, b0, c0, d0] = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476]
  for (let o = 0; o < m.length; o += 16) {
    worked(256)
    let [a, b, c, d] = [a0, b0, c0, d0]
    for (let i = 0; i < 64; i++) {
      const round = i >> 4
      const f =
        round === 0 ? (b & c) | (~b & d) : round === 1 ? (d & b) | (~d & c) : round === 2 ? b ^ c ^ d : c ^ (b | ~d)
      const g = round === 0 ? i : round === 1 ? (5 * i + 1) & 15 : round === 2 ? (3 * i + 5) & 15 : (7 * i) & 15
      const sum = (a + f + MD5_SINES[i]! + m[o + g]!) | 0
      a = d
      d = c
      c = b
      b = (b + rotate(sum, MD5_SHIFTS[round * 4 + (i & 3)]!)) | 0
    }
    a0 = (a0 + a) | 0
    b0 = (b0 + b) | 0
    c0 = (c0 + c) | 0
    d0 = (d0 + d) | 0
  }
  return hex([a0, b0, c0, d0], false)
}

export function sha1(text: string, worked: Worked): string {
  const m = blocks(text, true, worked)
  const h = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476, 0xc3d2e1f0 | 0]
  const w = new Int32Array(80)
  for (let o = 0; o < m.length; o += 16) {
    worked(256)
    for (let i = 0; i < 80; i++) w[i] = i < 16 ? m[o + i]! : rotate(w[i - 3]! ^ w[i - 8]! ^ w[i - 14]! ^ w[i - 16]!, 1)
    let [a, b, c, d, e] = h as [number, number, number, number, number]
    for (let i = 0; i < 80; i++) {
      const [f, k] =
        i < 20
          ? [(b & c) | (~b & d), 0x5a827999]
          : i < 40
            ? [b ^ c ^ d, 0x6ed9eba1]
            : i < 60
              ? [(b & c) | (b & d) | (c & d), 0x8f1bbcdc]
              : [b ^ c ^ d, 0xca62c1d6]
      const sum = (rotate(a, 5) + f + e + k + w[i]!) | 0
      e = d
      d = c
      c = rotate(b, 30)
      b = a
      a = sum
    }
    for (const [i, x] of [a, b, c, d, e].entries()) h[i] = (h[i]! + x) | 0
  }
  return hex(h, true)
}

/** Fractional parts of roots of the first primes, the constants of SHA-256. */
const PRIMES = (() => {
  const primes: number[] = []
  for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p !== 0)) primes.push(n)
  return primes
})()
const fraction = (x: number) => ((x - Math.floor(x)) * 4294967296) | 0
const SHA256_START = PRIMES.slice(0, 8).map((p) => fraction(Math.sqrt(p)))
const SHA256_ROUND = PRIMES.map((p) => fraction(Math.cbrt(p)))

export function sha256(text: string, worked: Worked): string {
  const m = blocks(text, true, worked)
  const state = [...SHA256_START]
  const w = new Int32Array(64)
  for (let o = 0; o < m.length; o += 16) {
    worked(256)
    for (let i = 0; i < 64; i++) {
      if (i < 16) {
        w[i] = m[o + i]!
        continue
      }
      const x = w[i - 15]!
      const y = w[i - 2]!
      const s0 = rotate(x, 25) ^ rotate(x, 14) ^ (x >>> 3)
      const s1 = rotate(y, 15) ^ rotate(y, 13) ^ (y >>> 10)
      w[i] = (w[i - 16]! + s0 + w[i - 7]! + s1) | 0
    }
    let [a, b, c, d, e, f, g, h] = state as [number, number, number, number, number, number, number, number]
    for (let i = 0; i < 64; i++) {
      const s1 = rotate(e, 26) ^ rotate(e, 21) ^ rotate(e, 7)
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + SHA256_ROUND[i]! + w[i]!) | 0
      const s0 = rotate(a, 30) ^ rotate(a, 19) ^ rotate(a, 10)
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
      h = g
      g = f
      f = e
      e = (d + t1) | 0
      d = c
      c = b
      b = a
      a = (t1 + t2) | 0
    }
    for (const [i, x] of [a, b, c, d, e, f, g, h].entries()) state[i] = (state[i]! + x) | 0
  }
  return hex(state, true)
}
