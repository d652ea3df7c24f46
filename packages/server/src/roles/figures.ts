import type { DepthGauge } from '../delivery/depth.ts'
import type { Family, Metrics } from '../platform/metrics.ts'
import { type Source, writeMetrics } from '../platform/metrics-text.ts'
import type { Role } from './orders.ts'

/** The figures of this process, of those that report to it, and of the queue. */
export interface Figures {
  /** Another process said how it stands. */
  hear(role: Role, families: Family[]): void
  text(): Promise<string>
}

/** How often a process reports, in ms. */
export const REPORT_EVERY = 2_000
/** A process that was silent for so long hangs or is gone; its figures would only stand still. */
const FORGOTTEN_AFTER = 10_000

/** @param time milliseconds of a clock that only runs forward */
export function createFigures(
  own: Role,
  metrics: Metrics,
  depth: DepthGauge,
  time: () => number = () => performance.now(),
): Figures {
  const heard = new Map<Role, { families: Family[]; at: number }>()
  return {
    hear: (role, families) => void heard.set(role, { families, at: time() }),
    async text() {
      const queue = await depth.families()
      const sources: Source[] = [{ labels: { process: own }, families: metrics.snapshot() }]
      for (const [role, { families, at }] of heard) {
        if (time() - at < FORGOTTEN_AFTER) sources.push({ labels: { process: role }, families })
      }
      return writeMetrics([...sources, { labels: {}, families: queue }])
    },
  }
}
