import { run as render } from '../packages/zephyr/bench/render.ts'
import type { Measure } from './measure.ts'

/** How many times the speed of the engine named first in `of` we want. LiquidJS interprets; Handlebars generates code. */
const BARS = [
  ['handlebars', 1],
  ['liquidjs', 10],
] as const

/** Zephyr against the two engines on the same page, whose output is checked to be equal. */
export async function run(): Promise<Measure[]> {
  return (await render()).map((measure) => {
    const bar = BARS.find(([engine]) => measure.of?.startsWith(engine))
    return bar ? { ...measure, bar: { atLeast: bar[1] } } : measure
  })
}
