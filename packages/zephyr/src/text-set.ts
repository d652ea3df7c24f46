import type { Run } from './run.ts'

/** Longer texts are not told apart by the engine's hash, in UTF-16 units: it reads no more of them. */
export const LONGEST_KEY = 8_192

/** Texts of which each is in it once. Long ones do not make it slow: they are told apart by a hash of all of them. */
export class TextSet {
  private readonly run: Run
  private readonly short = new Set<string>()
  private readonly long = new Map<number, string[]>()

  constructor(run: Run) {
    this.run = run
  }

  has(text: string): boolean {
    if (text.length <= LONGEST_KEY) return this.short.has(text)
    return this.alike(text).includes(text)
  }

  /** @returns whether it was new */
  add(text: string): boolean {
    if (text.length <= LONGEST_KEY) {
      if (this.short.has(text)) return false
      this.short.add(text)
      return true
    }
    const alike = this.alike(text)
    if (alike.includes(text)) return false
    alike.push(text)
    return true
  }

  private alike(text: string): string[] {
    const key = hashOf(text)
    let alike = this.long.get(key)
    if (alike === undefined) {
      alike = []
      this.long.set(key, alike)
    }
    this.run.burn(text.length * (2 + alike.length))
    return alike
  }
}

/** Of every unit. Somebody who makes texts that are alike here waits for their comparison, within the time that they have. */
function hashOf(text: string): number {
  let a = text.length
  let b = 0x9e3779b9
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    a = Math.imul(a ^ unit, 2654435761)
    b = Math.imul(b ^ unit ^ (a >>> 15), 1597334677)
  }
  return (a >>> 0) * 0x200000 + (b >>> 11)
}
