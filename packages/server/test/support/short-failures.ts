import { beforeEach, onTestFailed, type TestError } from 'vitest'

/** Longest message and longest difference that a failed test prints, in UTF-16 units. */
export const LONGEST = 1_000

/**
 * Cuts what a failed test says: tests compare mails of megabytes and whole tables, and nobody reads those in a report.
 * What was compared is not kept: the difference is made of it already.
 */
export function shorten(error: TestError): void {
  error.message = cut(error.message)
  if (error.diff) error.diff = cut(error.diff)
  if (error.stack) {
    const frames = error.stack.split('\n').filter((line) => /^ +at /.test(line))
    error.stack = [`${error.name}: ${error.message}`, ...frames.slice(0, 30)].join('\n')
  }
  delete error.actual
  delete error.expected
  if (error.cause) shorten(error.cause)
}

function cut(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}… (${text.length - LONGEST} more)`
}

beforeEach(() => {
  onTestFailed(({ task }) => {
    for (const error of task.result?.errors ?? []) shorten(error)
  })
})
