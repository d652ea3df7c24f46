import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { LONGEST, shorten } from '../support/short-failures.ts'

/* What makes tests hold on a busy machine: they wait for what they speak of, and never for a while. */

const ROOT = resolve(import.meta.dirname, '../../../..')
/** What waits for others is here, with one bound. */
const SUPPORT = 'packages/server/test/support/'
/** These kill processes at moments that a seed draws. */
const CRASHES = 'packages/server/test/crash/'

const files = ['packages', 'examples']
  .flatMap((group) => readdirSync(join(ROOT, group)).map((name) => join(ROOT, group, name, 'test')))
  .flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => relative(ROOT, join(folder, name))),
  )
  .filter((file) => !file.startsWith(SUPPORT) && !file.startsWith(CRASHES))
  .filter((file) => !file.endsWith('architecture/tests.test.ts'))

/** Lines in which a pattern is found, as `file:line`. */
function linesWith(pattern: RegExp): string[] {
  return files.flatMap((file) =>
    readFileSync(join(ROOT, file), 'utf8')
      .split('\n')
      .flatMap((line, at) => (pattern.test(line) ? [`${file}:${at + 1}`] : [])),
  )
}

it('finds the tests that it is to judge', () => {
  expect(files.length).toBeGreaterThan(100)
  expect(linesWith(/\bexpect\(/).length).toBeGreaterThan(1_000)
})

it('no test sleeps: use until() or expect.poll()', () => {
  expect(linesWith(/\bsleep\(|\bsetTimeout\(|timers\/promises|waitForTimeout|vi\.wait/)).toEqual([])
})

it('no test has a bound of its own: the one of until() and that of vitest.config.ts hold for all', () => {
  expect(linesWith(/\btimeout: [\d_]+|^\}, [\d_]+\)|waitFor\([^)]*,|AbortSignal\.timeout/)).toEqual([])
})

it('no test fails because the machine was slow: time that passed is never held against a most', () => {
  expect(linesWith(/now\(\).*toBeLess/)).toEqual([])
})

it('what a failed test says is short', () => {
  const long = 'a line\n'.repeat(10_000)
  const frames = `${long}    at one (file:///a.ts:1:2)\n    at other (file:///b.ts:3:4)`
  const error = { name: 'Error', message: long, diff: long, stack: frames, actual: long, cause: { message: long } }
  shorten(error)
  expect(JSON.stringify(error).length).toBeLessThan(6 * LONGEST)
  expect(error.stack).toContain('at other (file:///b.ts:3:4)')
})
