import type { DepthGauge } from '../delivery/depth.ts'
import type { Family, Metrics } from '../platform/metrics.ts'
import { type Source, writeMetrics } from '../platform/metrics-text.ts'

/** The figures of this process, of those that report to it, and of the queue. */
export interface Figures {
  /** Another process said how it stands. */
  hear(process: string, families: Family[]): void
  text(): Promise<string>
}

/** How often a process reports, in ms. */
export const REPORT_EVERY = 2_000
/** A process that was silent for so long hangs or is gone; its figures would only stand still. */
const FORGOTTEN_AFTER = 10_000

/** @param time milliseconds of a clock that only runs forward */
export function createFigures(
  own: string,
  metrics: Metrics,
  depth: DepthGauge,
  time: () => number = () => performance.now(),
): Figures {
  const heard = new Map<string, { families: Family[]; at: number }>()
  return {
    hear: (process, families) => void heard.set(process, { families, at: time() }),
    async text() {
      const queue = await depth.families()
      const sources: Source[] = [{ labels: { process: own }, families: metrics.snapshot() }]
      for (const [process, { families, at }] of heard) {
        if (time() - at < FORGOTTEN_AFTER) sources.push({ labels: { process }, families })
      }
      return writeMetrics([...sources, { labels: {}, families: queue }])
    },
  }
}
