/**
 * Random numbers that depend on the seed alone, so that the parts of a message, and a message rendered
 * again, agree. (sfc32, seeded through xmur3.)
 */
export class Random {
  private a: number
  private b: number
  private c: number
  private d: number

  constructor(seed: string) {
    let h = 1779033703 ^ seed.length
    for (let i = 0; i < seed.length; i++) {
      h = Math.imul(h ^ seed.charCodeAt(i), 3432918353)
      h = (h << 13) | (h >>> 19)
    }
    const word = () => {
      h = Math.imul(h ^ (h >>> 16), 2246822507)
      h = Math.imul(h ^ (h >>> 13), 3266489909)
      h ^= h >>> 16
      return h >>> 0
    }
    this.a = word()
    this.b = word()
    this.c = word()
    this.d = word()
    for (let i = 0; i < 12; i++) this.next()
  }

  /** The same sequence from here on, independent of this one. */
  copy(): Random {
    return Object.assign(new Random(''), this)
  }

  /** In [0, 1). */
  next(): number {
    const t = (this.a + this.b + this.d) | 0
    this.d = (this.d + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = (this.c << 21) | (this.c >>> 11)
    this.c = (this.c + t) | 0
    return (t >>> 0) / 4294967296
  }
}
