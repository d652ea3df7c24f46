import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import type { Profiles } from '../profiles/door.ts'
import type { SettingsCache } from '../settings/settings.ts'
import { advance } from './advance.ts'
import { claimRuns } from './claim.ts'
import type { Definitions } from './definitions.ts'
import { isPassing } from './failures.ts'
import { BLOCKED_FOR, type Run } from './run.ts'
import type { References } from './steps/step-type.ts'

export interface EngineParts {
  db: Database
  clock: Clock
  log: Log
  settings: SettingsCache
  references: References
  profiles: Pick<Profiles, 'changeIn'>
  definitions: Definitions
}

/** Moves runs on. */
export interface Engine {
  /** Takes one batch of due runs and moves each as far as it goes at once. */
  runOnce(): Promise<{ runs: number; steps: number }>
  /** Finishes the steps under way; what else is held goes back, and nothing is taken any more. */
  stop(): void
}

/** Runs taken at once, runs moved at the same time, steps that one run may take before the others have their turn. */
const BATCH = 100
const AT_ONCE = 6
const STEPS_AT_ONCE = 50
/** Failures of one run after which it waits for an operator. */
const MOST_FAILURES = 10

export function createEngine({ db, clock, log, settings, ...rest }: EngineParts): Engine {
  let stopping = false

  /** @returns steps taken */
  async function moveOn(owner: string, claimed: Run): Promise<number> {
    let run = claimed
    for (let steps = 1; ; steps++) {
      const keepsLease = steps < STEPS_AT_ONCE && !stopping
      const parts = { ...rest, db, owner, keepsLease, now: clock.now(), settings: await settings.get() }
      const advanced = await advance(parts, run)
      if (advanced.type === 'lost') return steps - 1
      if (advanced.type === 'rests') return steps
      run = advanced.run
    }
  }

  async function attempt(owner: string, run: Run): Promise<number> {
    try {
      return await moveOn(owner, run)
    } catch (error) {
      // When the database itself is in trouble this fails too; then the lease runs out and the run is taken again.
      await recordFailure(owner, run, error).catch((err) => log.warn({ err, run: run.id }, 'a run waits for its lease'))
      return 0
    }
  }

  async function recordFailure(owner: string, run: Run, error: unknown): Promise<void> {
    const now = clock.now()
    const counts = !isPassing(error)
    const trace = randomUUID()
    log.error({ err: error, run: run.id, flow: run.flowId, trace }, 'a step of a flow failed')
    const problem = `it failed ${MOST_FAILURES} times: ${error instanceof Error ? error.message : error} (trace ${trace})`
    await sql`
      with failed as (
        update flow_run set
          attempts = attempts + ${counts ? 1 : 0}, lease_owner = null,
          lease_until = ${now}::timestamptz + least(power(2, least(attempts, 10)), 300) * interval '1 second',
          state = case when ${counts} and attempts + 1 >= ${MOST_FAILURES} then 'blocked' else state end,
          problem = case when ${counts} and attempts + 1 >= ${MOST_FAILURES} then ${problem} end,
          due_at = case when ${counts} and attempts + 1 >= ${MOST_FAILURES}
            then ${new Date(now.getTime() + BLOCKED_FOR)}::timestamptz else due_at end
        where shard = ${run.shard} and id = ${run.id} and lease_owner = ${owner} and state <> 'ended'
        returning *)
      insert into flow_log (shard, at, flow_id, version, run_id, profile_id, step_id, visit, type, data)
      select shard, ${now}, flow_id, version, id, profile_id, step_id, visit, 'run.blocked',
        json_build_object('problem', problem)
      from failed where state = 'blocked'`.execute(db)
  }

  return {
    async runOnce() {
      if (stopping) return { runs: 0, steps: 0 }
      const owner = randomUUID()
      const runs = await claimRuns(db, owner, BATCH, clock.now())
      let steps = 0
      const waiting = runs[Symbol.iterator]()
      const lane = async () => {
        for (const run of waiting) {
          if (stopping) return
          // Not `steps += await …`: that would forget what other lanes counted meanwhile.
          const taken = await attempt(owner, run)
          steps += taken
        }
      }
      await Promise.all(Array.from({ length: AT_ONCE }, lane))
      if (stopping) {
        await sql`update flow_run set lease_owner = null, lease_until = null where lease_owner = ${owner}`.execute(db)
      }
      return { runs: runs.length, steps }
    },
    stop() {
      stopping = true
    },
  }
}
