import { expect, test } from 'vitest'
import { isBroken, report, soak } from './soak.ts'

/* Twenty seconds of what `npm run soak` does for as long as asked. CRASH_SEED repeats a run's deaths. */

const SEED = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000)

test(`everything acknowledged arrives while everything is killed in turn (seed ${SEED})`, async () => {
  const counts = await soak({
    seconds: 20,
    seed: SEED,
    people: 1_000,
    campaignEvery: 8_000,
    emptyWithin: 200_000,
    say: () => {},
  })
  console.log(`seed ${SEED}\n${report(counts)}`)
  expect(isBroken(counts), report(counts)).toBe(false)
  expect(counts.acknowledged).toBeGreaterThan(0)
  expect(counts.reached).toBeGreaterThan(0)
})
