import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Json } from '../platform/json.ts'

/**
 * Lines on disk for as long as the database is away. A line is on the disk itself before `note` returns, so what was
 * noted survives a sudden end of the process or of the machine. Lines leave a file all at once, when each of them has
 * been dealt with; a process that ends on the way deals with them again, so whoever does it must bear repetition.
 *
 * Writing waits for the disk on the spot: it keeps the order, and there is little else to do without a database.
 */
export interface DiskSpool {
  /** False: nothing was noted, for want of room or a disk. */
  note(line: Json): boolean
  isEmpty(): boolean
  /**
   * Hands over every line, oldest first; those noted meanwhile come at the next call. When `deal` throws, the file that
   * it was at stays whole.
   */
  drain(deal: (line: Json) => Promise<void>): Promise<number>
  close(): void
}

/** Bytes that may lie there: some hundred thousand lines. */
const ROOM = 64 * 1024 * 1024

/** @param folder made at the first line; nobody else may write there (the data folder is locked) */
export function openDiskSpool(folder: string, room = ROOM): DiskSpool {
  let open: { file: number } | null = null
  let used = sizeOf(folder)
  let made = 0

  function begin(): { file: number } {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    // A new name each time, in order, so that a file being read is never written to.
    let name = ''
    do name = `${String(Date.now()).padStart(14, '0')}-${String(made++).padStart(6, '0')}.jsonl`
    while (existsSync(join(folder, name)))
    const file = openSync(join(folder, name), 'ax', 0o600)
    const directory = openSync(folder, 'r')
    fsyncSync(directory)
    closeSync(directory)
    return { file }
  }

  function close(): void {
    if (open) closeSync(open.file)
    open = null
  }

  return {
    close,
    isEmpty: () => used === 0,

    note(line) {
      const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
      if (used + bytes.length > room) return false
      try {
        open ??= begin()
        used += bytes.length
        if (writeSync(open.file, bytes) < bytes.length) throw new Error('the disk is full')
        fdatasyncSync(open.file)
        return true
      } catch {
        // The next line goes to another file: this one may end in half a line.
        close()
        return false
      }
    },

    async drain(deal) {
      close()
      let dealt = 0
      for (const name of filesIn(folder)) {
        const path = join(folder, name)
        const text = readFileSync(path, 'utf8')
        for (const line of linesOf(text)) {
          await deal(line)
          dealt += 1
        }
        rmSync(path)
        used = sizeOf(folder)
      }
      return dealt
    },
  }
}

function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .sort()
}

const sizeOf = (folder: string) => filesIn(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)

/** What cannot be read was cut short before anybody was told that it had been noted. */
function linesOf(text: string): Json[] {
  return text.split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as Json]
    } catch {
      return []
    }
  })
}
