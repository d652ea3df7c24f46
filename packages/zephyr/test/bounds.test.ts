import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, it } from 'vitest'

/*
 * No function outlives the time of its rendering by more than this, nor takes more memory than some copies of the
 * longest output: 4 MB is one. The values that are worked on and the engine itself are in there.
 */
const MOST_OVER = 50
const MEGABYTES = 400

interface Found {
  what: string
  source: string
  outcome: string
  over: number
}

let coverage: { missing: string[]; unknown: string[] }
let found: Found[]
let end: string

beforeAll(async () => {
  const program = fileURLToPath(new URL('./worst.ts', import.meta.url))
  const child = spawn(process.execPath, [`--max-old-space-size=${MEGABYTES}`, program])
  let [out, complaints] = ['', '']
  child.stdout.on('data', (chunk) => (out += chunk))
  child.stderr.on('data', (chunk) => (complaints += chunk))
  const code = await new Promise((resolve) => child.once('close', resolve))
  const lines = out.trim().split('\n')
  coverage = JSON.parse(lines.shift() ?? '{}')
  found = lines.map((line) => JSON.parse(line))
  end = code === 0 ? 'ended well' : `ended with ${code} after ${lines.at(-1)?.slice(0, 200)}: ${complaints.slice(-300)}`
})

it('every function has its worst input written down', () => {
  expect(coverage).toEqual({ missing: [], unknown: [] })
})

it('nothing takes memory beyond some copies of the longest output', () => {
  expect(end).toBe('ended well')
  expect(found.length).toBeGreaterThan(1_000)
})

it('nothing works on when its time is over', () => {
  const late = found.filter(({ over }) => over > MOST_OVER)
  expect(late.map(({ source, over }) => `${Math.round(over)} ms: ${source.slice(0, 100)}`)).toEqual([])
})

it('whatever is asked for, the end is an orderly one', () => {
  const odd = found.filter(({ outcome }) => !/^(?:rendered|limit|stop|host|collection|tainted)/.test(outcome))
  expect(odd.map(({ source, outcome }) => `${outcome}: ${source.slice(0, 100)}`)).toEqual([])
})
