import { transcode } from 'node:buffer'
import type { Arena } from './arena.ts'

/**
 * Text as UTF-8; lone surrogates become U+FFFD. V8 keeps text beyond Latin-1 in two octets a character and encodes that
 * slowly, so such text goes round by UTF-16, which takes a third of the time (`npm run bench -- mime`).
 */
export function toUtf8(text: string, arena: Arena): Buffer {
  // Answered without looking, for text that V8 keeps in one octet a character.
  if (/[^\0-\u00ff]/.test(text)) {
    const units = arena.fill(text.length * 2, (room) => room.write(text, 'utf16le'))
    try {
      return transcode(units, 'utf16le', 'utf8')
    } catch {
      // A lone surrogate.
    }
  }
  return arena.fill(text.length * 3, (room) => room.write(text, 'utf8'))
}
