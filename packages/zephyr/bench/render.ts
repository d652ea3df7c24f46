/**
 * Zephyr beside LiquidJS and Handlebars (precompiled) on the same page, outputs checked equal:
 * `node --expose-gc packages/zephyr/bench/render.ts`. The two others are optional; without them only
 * Zephyr is measured.
 */
import { compile, type Data } from '../src/index.ts'
import { DATA, EMAIL, type Page, SUBJECT } from './templates.ts'

export interface Result {
  name: string
  value: number
  unit: string
  /** `value` divided by that of the measurement named `of`. */
  ratio?: number
  of?: string
}

type Render = () => string

/** Short rounds, so that a noisy moment spoils one and not the measurement; odd, so that there is a middle one. */
const ROUNDS = 41

/** Calls per second: the median of many short rounds in which the contenders take turns, each going first in turn. */
function race(contenders: Record<string, Render>, milliseconds: number): Record<string, number> {
  const entries = Object.entries(contenders)
  const rates = new Map(entries.map(([name]) => [name, [] as number[]]))
  // The first rounds only let the engine see what is hot.
  for (let round = -5; round < ROUNDS; round++) {
    for (let turn = 0; turn < entries.length; turn++) {
      const [name, render] = entries[(turn + round + entries.length * 5) % entries.length]!
      const rate = callsPerSecond(render, milliseconds / ROUNDS)
      if (round >= 0) rates.get(name)!.push(rate)
    }
  }
  return Object.fromEntries([...rates].map(([name, all]) => [name, all.sort((a, b) => a - b)[ROUNDS >> 1]!]))
}

function callsPerSecond(render: Render, milliseconds: number): number {
  const start = performance.now()
  let calls = 0
  while (performance.now() - start < milliseconds) {
    // Reading a character makes the engine put the pieces of the output together, as sending would.
    for (let i = 0; i < 10; i++) if (flatten(render()) === -1) throw new Error('empty output')
    calls += 10
  }
  return (calls * 1000) / (performance.now() - start)
}

function flatten(text: string): number {
  return text.charCodeAt(text.length >> 1) | 0
}

const DATA_LAYERS: Data = {
  standard: { email: DATA.email, beacon: DATA.beacon },
  layers: [{ name: 'vars', values: DATA }],
}

async function contenders(page: Page): Promise<Record<string, Render>> {
  const zephyr = compile(page.zephyr)
  const env = { now: 1718454600 }
  const all: Record<string, Render> = { zephyr: () => zephyr.render(DATA_LAYERS, env) }
  try {
    const { default: handlebars } = await import('handlebars' as string)
    const template = handlebars.template(new Function(`return ${handlebars.precompile(page.handlebars)}`)())
    all.handlebars = () => template(DATA)
  } catch (error) {
    console.error(`without Handlebars: ${(error as Error).message}`)
  }
  try {
    const { Liquid } = await import('liquidjs' as string)
    const engine = new Liquid()
    const template = engine.parse(page.liquid)
    all.liquidjs = () => engine.renderSync(template, DATA)
  } catch (error) {
    console.error(`without LiquidJS: ${(error as Error).message}`)
  }
  const expected = all.zephyr!()
  for (const [name, render] of Object.entries(all)) {
    if (render() !== expected) throw new Error(`${name} renders something else than zephyr`)
  }
  return all
}

/** Runs all measurements. Rates are per second; ratios are Zephyr over the other. */
export async function run(milliseconds = 2050): Promise<Result[]> {
  const results: Result[] = []
  for (const [what, page] of [
    ['email', EMAIL],
    ['subject', SUBJECT],
  ] as const) {
    const rates = race(await contenders(page), milliseconds)
    const size = `${what}, ${page.zephyr.length} characters`
    const mine = rates.zephyr!
    for (const [name, value] of Object.entries(rates))
      results.push({ name: `${name}: ${size}`, value, unit: 'renders/s' })
    for (const [name, value] of Object.entries(rates)) {
      if (name !== 'zephyr') {
        results.push({
          name: `zephyr: ${what} against ${name}`,
          value: mine,
          unit: 'renders/s',
          ratio: mine / value,
          of: `${name}: ${size}`,
        })
      }
    }
  }
  results.push(...compiling())
  return results
}

function compiling(): Result[] {
  const rates = race({ compile: () => String(compile(EMAIL.zephyr).reads.variables.length) }, 1000)
  const collect = (globalThis as { gc?: () => void }).gc
  collect?.()
  const before = process.memoryUsage().heapUsed
  // Distinct sources, as an account's templates are.
  const kept = Array.from({ length: 1000 }, (_, i) => compile(`${EMAIL.zephyr}<!-- ${i} -->`))
  collect?.()
  const perTemplate = (process.memoryUsage().heapUsed - before) / kept.length
  return [
    { name: `zephyr: compile email, ${EMAIL.zephyr.length} characters`, value: 1_000_000 / rates.compile!, unit: 'µs' },
    { name: `zephyr: memory of a compiled email, of ${kept.length}`, value: perTemplate / 1024, unit: 'KB' },
  ]
}

if (import.meta.main) {
  for (const { name, value, unit, ratio } of await run()) {
    const times = ratio === undefined ? '' : `  (${ratio.toFixed(2)} x)`
    console.log(`${name.padEnd(52)} ${value.toFixed(unit === 'renders/s' ? 0 : 1).padStart(10)} ${unit}${times}`)
  }
}
