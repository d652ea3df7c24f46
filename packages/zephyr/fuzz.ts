/**
 * Feeds damaged templates to the compiler and the renderer until told to stop:
 * `node packages/zephyr/fuzz.ts [seconds] [seed]`. Exits with 1 at the first template that does anything but
 * render, or fail with one of the three errors of the library.
 */
import { generator, mutant, tried } from './test/fuzzing.ts'

const seconds = Number(process.argv[2] ?? 60)
let seed = Number(process.argv[3] ?? Date.now() % 1_000_000_000)
const end = performance.now() + seconds * 1000
let rounds = 0
while (performance.now() < end) {
  const random = generator(seed)
  const template = mutant(random)
  const wrong = tried(template, random)
  if (wrong !== null) {
    console.error(`seed ${seed}: ${wrong}\n${JSON.stringify(template)}`)
    process.exit(1)
  }
  rounds++
  seed++
}
console.log(`${rounds} templates, nothing wrong (next seed ${seed})`)
