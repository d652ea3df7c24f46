import { run as render } from '../packages/zephyr/bench/render.ts'
import type { Measure } from './measure.ts'

/** Zephyr against the two engines on the same page, whose output is checked to be equal. */
export async function run(): Promise<Measure[]> {
  const measures = await render()
  return measures.map((measure) => (measure.ratio === undefined ? measure : { ...measure, bar: { atLeast: 1 } }))
}
