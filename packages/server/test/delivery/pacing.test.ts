import { expect, test } from 'vitest'
import { createLine, type Line } from '../../src/delivery/line.ts'
import { createPacing, type Pacing } from '../../src/delivery/pacing.ts'
import type { ReadyMessage } from '../../src/delivery/prepare.ts'

const SLOW = 'slow.example.com'

/** A clock that is moved, in ms. */
function stopwatch() {
  let now = 0
  return { time: () => now, pass: (ms: number) => (now += ms) }
}

function message(address: string, kind: 'triggered' | 'campaign' = 'triggered'): ReadyMessage {
  return { message: { address, kind } } as ReadyMessage
}

const addressesOf = (messages: ReadyMessage[]) => messages.map((one) => one.message.address)

/** Starts as many as the domain lets start now. */
function startAll(pacing: Pacing, most = 1_000): number {
  let count = 0
  while (count < most && pacing.wait(SLOW) === 0) {
    pacing.started(SLOW)
    count += 1
  }
  return count
}

test('a domain that takes everything is not held back', () => {
  const pacing = createPacing(stopwatch().time)
  expect(startAll(pacing, 500)).toBe(500)
})

test('one that says slow down gets a pause and half as many, and earns more by taking them', () => {
  const { time, pass } = stopwatch()
  const pacing = createPacing(time)
  startAll(pacing, 20)
  pacing.ended(SLOW, 'slow-down')
  expect(pacing.wait(SLOW)).toBe(1_000)
  // What was under way ends; that it says the same is the same complaint.
  for (let n = 0; n < 19; n++) pacing.ended(SLOW, 'slow-down')
  expect(pacing.wait(SLOW)).toBe(1_000)
  pass(1_000)
  expect(startAll(pacing)).toBe(10)
  expect(pacing.wait(SLOW)).toBe(Infinity)
  for (let n = 0; n < 10; n++) pacing.ended(SLOW, 'accepted')
  expect(startAll(pacing)).toBe(11)
})

test('pauses double while it keeps saying so, up to a minute, and at least one message gets through', () => {
  const { time, pass } = stopwatch()
  const pacing = createPacing(time)
  const pauses: number[] = []
  for (let n = 0; n < 9; n++) {
    const started = startAll(pacing, 4)
    expect(started).toBeGreaterThanOrEqual(1)
    for (let ended = 0; ended < started; ended++) pacing.ended(SLOW, 'slow-down')
    pauses.push(pacing.wait(SLOW))
    pass(pacing.wait(SLOW))
  }
  expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000])
})

test('a domain that takes many again is trusted as before', () => {
  const { time, pass } = stopwatch()
  const pacing = createPacing(time)
  startAll(pacing, 8)
  for (let n = 0; n < 8; n++) pacing.ended(SLOW, 'slow-down')
  pass(1_000)
  for (let n = 0; n < 2_000 && startAll(pacing, 1) === 1; n++) pacing.ended(SLOW, 'accepted')
  expect(startAll(pacing, 500)).toBe(500)
})

function paced(): { line: Line; pacing: Pacing; pass(ms: number): void } {
  const { time, pass } = stopwatch()
  const pacing = createPacing(time)
  return { line: createLine(pacing), pacing, pass }
}

test('what a person waits for goes before campaigns, and each domain takes its turn', () => {
  const { line } = paced()
  line.add([message('c1@a.example.com', 'campaign'), message('c2@b.example.com', 'campaign')])
  line.add(['1@a.example.com', '2@a.example.com', '3@a.example.com', '4@b.example.com'].map((one) => message(one)))
  expect(line.size).toBe(6)
  const order = ['1@a.example.com', '4@b.example.com', '2@a.example.com', '3@a.example.com']
  expect(addressesOf(line.take(5))).toEqual([...order, 'c1@a.example.com'])
  expect(addressesOf(line.drain())).toEqual(['c2@b.example.com'])
  expect(line.size).toBe(0)
})

test('a domain that pauses holds up nobody else; its messages can be taken out', () => {
  const { line, pacing, pass } = paced()
  pacing.started(SLOW)
  pacing.ended(SLOW, 'slow-down')
  line.add([message(`1@${SLOW}`), message('2@quick.example.com'), message(`3@${SLOW.toUpperCase()}`)])
  expect(addressesOf(line.take(10))).toEqual(['2@quick.example.com'])
  expect(line.wait()).toBe(1_000)
  expect(line.takePaused(2_000)).toEqual([])
  const [paused] = line.takePaused(500)
  expect(paused).toMatchObject({ wait: 1_000 })
  expect(addressesOf(paused!.messages)).toEqual([`1@${SLOW}`, `3@${SLOW.toUpperCase()}`])
  expect(line.size).toBe(0)
  pass(1_000)
  line.add([message(`4@${SLOW}`), message(`5@${SLOW}`)])
  expect(addressesOf(line.take(10))).toEqual([`4@${SLOW}`])
})
