/** `npm run soak -- --minutes 10 [--seed N]`: see CONTRIBUTING.md. Exit code 1 when anything was lost. */
import { parseArgs } from 'node:util'
import { isBroken, report, soak } from './soak.ts'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '1' }, seed: { type: 'string' } },
})
const seconds = Math.round(Number(values.minutes) * 60)
const seed = Number(values.seed ?? Date.now() % 1_000_000)
if (!(seconds > 0) || !Number.isInteger(seed)) {
  console.error('npm run soak -- [--minutes NUMBER] [--seed NUMBER]')
  process.exit(1)
}
const counts = await soak({
  seconds,
  seed,
  people: 3_000,
  campaignEvery: 15_000,
  emptyWithin: 300_000,
  say: (line) => console.log(line),
})
console.log(report(counts))
process.exitCode = isBroken(counts) ? 1 : 0
