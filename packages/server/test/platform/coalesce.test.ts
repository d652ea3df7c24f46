import { expect, test } from 'vitest'
import { coalesce } from '../../src/platform/coalesce.ts'

const failure = (code?: string) => Object.assign(new Error(`failed with ${code}`), { code })

/** Work that applies a list of numbers as a transaction would: all of it, or nothing when one of them is negative. */
function ledger(failWith: (item: number, call: number) => Error | null) {
  const applied: number[] = []
  let calls = 0
  const add = coalesce(async (items: number[]) => {
    calls += 1
    await new Promise(setImmediate)
    for (const item of items) {
      const error = failWith(item, calls)
      if (error) throw error
    }
    applied.push(...items)
    return items.map((item) => item * 2)
  })
  return { add, applied, calls: () => calls }
}

const outcomes = async (promises: Array<Promise<number>>) =>
  (await Promise.allSettled(promises)).map((one) => (one.status === 'fulfilled' ? one.value : 'refused'))

test.each(['22P05', '22003', '23505', '54000', 'P0001'])(
  'data refused with %s fails its own call only',
  async (code) => {
    const { add, applied, calls } = ledger((item) => (item === 77 ? failure(code) : null))
    const wanted = Array.from({ length: 200 }, (_, n) => n)
    expect(await outcomes(wanted.map(add))).toEqual(wanted.map((n) => (n === 77 ? 'refused' : n * 2)))
    expect(applied.toSorted((a, b) => a - b)).toEqual(wanted.filter((n) => n !== 77))
    // By halves: a batch of 200 with one bad element takes about two calls a level.
    expect(calls()).toBeLessThan(25)
  },
)

test('what collides is tried again until it passes, and its neighbours do not wait for it', async () => {
  let isFree = false
  const { add, applied } = ledger((item) => (item === 3 && !isFree ? failure('40001') : null))
  const slow = add(3)
  expect(await outcomes([0, 1, 2, 4, 5].map(add))).toEqual([0, 2, 4, 8, 10])
  isFree = true
  expect(await slow).toBe(6)
  expect(applied.toSorted()).toEqual([0, 1, 2, 3, 4, 5])
})

test('what always collides is refused in the end', async () => {
  const { add } = ledger((item) => (item < 0 ? failure('40P01') : null))
  expect(await outcomes([add(-1), add(1), add(-2)])).toEqual(['refused', 2, 'refused'])
})

test.each(['08006', '08P01', '57P01', '57P02', '40003', 'ECONNRESET', undefined])(
  'an error that does not prove a rollback (%s) is no reason to do anything again',
  async (code) => {
    let calls = 0
    const add = coalesce(async (items: number[]): Promise<number[]> => {
      calls += 1
      await new Promise(setImmediate)
      expect(items).toHaveLength(3)
      throw failure(code)
    })
    expect(await outcomes([1, 2, 3].map(add))).toEqual(['refused', 'refused', 'refused'])
    expect(calls).toBe(1)
  },
)
