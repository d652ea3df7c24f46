import type { Run } from './run.ts'

/** Up to this product of both lengths the engine's own search is used, whose worst case is the product. */
const SMALL = 1 << 20

/**
 * The first place of a text in another at or after `from`, or -1. Linear in both lengths, whatever they hold: the
 * engine's own search is not where texts repeat themselves.
 */
export function indexIn(run: Run, text: string, wanted: string, from = 0): number {
  if (wanted.length === 1 || wanted.length * text.length <= SMALL) return text.indexOf(wanted, from)
  if (wanted.length > text.length - from) return -1
  return knuthMorrisPratt(run, text, wanted, from, false)
}

/** The last place of a text in another, or -1. Linear, too. */
export function lastIndexIn(run: Run, text: string, wanted: string): number {
  if (wanted.length <= 1 || wanted.length * text.length <= SMALL) return text.lastIndexOf(wanted)
  if (wanted.length > text.length) return -1
  return knuthMorrisPratt(run, text, wanted, 0, true)
}

/** Knuth, Morris, Pratt 1977, from either end. */
function knuthMorrisPratt(run: Run, text: string, wanted: string, from: number, backwards: boolean): number {
  const [m, n] = [wanted.length, text.length]
  const part = backwards ? (i: number) => wanted.charCodeAt(m - 1 - i) : (i: number) => wanted.charCodeAt(i)
  /** How much of the beginning also ends there. */
  const borders = new Int32Array(m)
  for (let i = 1, k = 0; i < m; i++) {
    if ((i & 4095) === 0) run.burn(4096 * 8)
    const unit = part(i)
    while (k > 0 && unit !== part(k)) k = borders[k - 1]!
    if (unit === part(k)) k++
    borders[i] = k
  }
  for (let i = from, k = 0; i < n; i++) {
    if ((i & 4095) === 0) run.burn(4096 * 8)
    const unit = text.charCodeAt(backwards ? n - 1 - i : i)
    while (k > 0 && unit !== part(k)) k = borders[k - 1]!
    if (unit === part(k)) k++
    if (k === m) return backwards ? n - 1 - i : i - m + 1
  }
  return -1
}
