import { closeSync, copyFileSync, fstatSync, ftruncateSync, mkdirSync, openSync, readSync } from 'node:fs'
import { dirname } from 'node:path'

const MOST = 10 * 1024 * 1024
const LOOK_EVERY = 60_000

/** The server's log: a file that it writes to by itself, so that its last words survive a killed Fairlead. */
export interface LogFile {
  descriptor: number
  /** The last error that was written since the file was opened, or an empty text. */
  lastComplaint(): string
  close(): void
}

/** Opens the log for appending and keeps it under 10 MB, with one older file beside it (`.1`). */
export function openLogFile(path: string): LogFile {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const descriptor = openSync(path, 'a+', 0o600)
  const start = fstatSync(descriptor).size

  const rotate = () => {
    if (fstatSync(descriptor).size < MOST) return
    // The server holds the file open: it is copied and emptied in place, and appending goes on at the start.
    copyFileSync(path, `${path}.1`)
    ftruncateSync(descriptor, 0)
  }
  rotate()
  const timer = setInterval(rotate, LOOK_EVERY)
  timer.unref()

  return {
    descriptor,
    lastComplaint() {
      const size = fstatSync(descriptor).size
      const from = Math.max(size < start ? 0 : start, size - 8192)
      const tail = Buffer.alloc(size - from)
      readSync(descriptor, tail, 0, tail.length, from)
      const lines = tail.toString('utf8').trim().split('\n')
      const complaint = lines.findLast((line) => /\b(PANIC|FATAL|ERROR):/.test(line)) ?? ''
      return complaint.replace(/^.*?\] (?=[A-Z]+:)/, '')
    },
    close() {
      clearInterval(timer)
      closeSync(descriptor)
    },
  }
}
