import { sql } from 'kysely'
import { type Level, levelOf } from '../consent/levels.ts'
import type { Database, Tx } from '../platform/database.ts'
import type { Profiles } from '../profiles/door.ts'
import { enqueue } from '../sends/enqueue.ts'
import type { Settings } from '../settings/settings.ts'
import { causeOfAction } from './cause.ts'
import { type FlowDefinition, type Step, stepBehind } from './definition.ts'
import type { Definitions } from './definitions.ts'
import { BLOCKED_FOR, type EndReason, type LogEntry, MAX_RUN_AGE, type Run } from './run.ts'
import { passedType } from './steps/index.ts'
import type { Effect, PassedStep, References, StepResult, Visit } from './steps/step-type.ts'
import type { RunState } from './tables.ts'
import { type Place, writeStep } from './write-step.ts'

export interface AdvanceParts {
  db: Database
  definitions: Definitions
  references: References
  profiles: Pick<Profiles, 'changeIn'>
  settings: Settings
  now: Date
  /** Which claim this is: see `claimRuns`. */
  owner: string
  /** Keep the run for its next step. */
  keepsLease: boolean
}

export type Advanced =
  /** At its next step, still ours. */
  | { type: 'moved'; run: Run }
  /** Waiting, blocked or ended. */
  | { type: 'rests' }
  /** Taken by somebody else meanwhile: nothing was done. */
  | { type: 'lost' }

/**
 * Moves a run over one step, in one transaction: lock the run, look whether it is still ours and still here, let the
 * step act, record the effects under their key, write the new place and the log. A crash before the commit leaves
 * nothing behind; after it, everything. Locks are taken in the order run, profile.
 */
export async function advance(parts: AdvanceParts, run: Run): Promise<Advanced> {
  const definition = await parts.definitions.get(parts.db, run.flowId, run.version)
  const step = definition.steps[run.stepId]
  if (!step) throw new Error(`run ${run.id} is at step ${run.stepId}, which its version does not have`)
  const type = passedType(step)
  // Names are looked up before a connection is held: many runs at once would otherwise wait for each other's.
  const ready = await type?.prepare?.(step.params, parts.references)
  return parts.db.transaction().execute(async (tx) => {
    const found = await lock(tx, parts.owner, run, step.lineage)
    if (!found) return { type: 'lost' }
    const write = (place: Place, log: readonly LogEntry[] = [], effects: readonly Effect[] = []) =>
      writeStep(tx, parts.owner, run, { lineage: step.lineage, place, log, effects, now: parts.now })
    const over = reasonToEnd(found, definition, run, parts.now)
    if (over) {
      await write({ state: 'ended', reason: over }, [ended(over)])
      return { type: 'rests' }
    }
    const result = await pass(tx, parts, { definition, step, type, ready, found, run })
    return settle(write, parts, { definition, run, result })
  })
}

interface Found {
  state: RunState
  isCurrent: boolean
  /** The person of the run, or the survivor of their merge; null: gone. */
  profileId: number | null
  level: Level | null
  email: string | null
  isDone: boolean
}

async function lock(tx: Tx, owner: string, run: Run, lineage: string): Promise<Found | null> {
  const { rows } = await sql<{
    state: RunState
    is_current: boolean
    profile_id: number | null
    level: number | null
    email: string | null
    is_done: boolean
  }>`
    select r.state, r.epoch = f.epoch and f.status <> 'inactive' as is_current, p.id as profile_id, p.level, p.email,
      exists (select from flow_effect e where e.shard = r.shard and e.run_id = r.id and e.lineage = ${lineage}
        and e.visit = r.visit) as is_done
    from flow_run r
    join flow f on f.id = r.flow_id
    left join profile_moved v on v.shard = r.shard and v.id = r.profile_id
    left join profile p on p.id = coalesce(v.profile_id, r.profile_id)
      and p.shard = (coalesce(v.profile_id, r.profile_id) & 63)::smallint
    where r.shard = ${run.shard} and r.id = ${run.id} and r.lease_owner = ${owner} and r.state <> 'ended'
      and r.step_id = ${run.stepId} and r.visit = ${run.visit} and not f.is_held
    for update of r`.execute(tx)
  const [row] = rows
  if (!row) return null
  const level = row.level === null ? null : levelOf(row.level)
  const { state, is_current: isCurrent, profile_id: profileId, email, is_done: isDone } = row
  return { state, isCurrent, profileId, level, email, isDone }
}

function reasonToEnd(found: Found, definition: FlowDefinition, run: Run, now: Date): EndReason | null {
  if (!found.isCurrent) return 'flow_inactive'
  if (found.level === null) return 'profile_deleted'
  // A blocked run is due again only when nobody put it right in time.
  if (found.state === 'blocked') return 'error_expired'
  const { schedule } = definition.settings
  if (schedule?.atEnd === 'eject' && schedule.endAt && new Date(schedule.endAt) <= now) return 'flow_ended'
  return now.getTime() - run.enteredAt.getTime() > MAX_RUN_AGE ? 'expired' : null
}

interface Passing {
  definition: FlowDefinition
  step: Step
  type: PassedStep | null
  ready: Awaited<ReturnType<NonNullable<PassedStep['prepare']>>> | undefined
  found: Found
  run: Run
}

async function pass(tx: Tx, parts: AdvanceParts, passing: Passing): Promise<StepResult> {
  const { step, type, ready, found } = passing
  if (found.isDone) return { type: 'go', port: 'next', log: [{ type: 'step.already_done' }] }
  if (!type) return { type: 'block', problem: `this version knows no ${step.kind} "${step.type}"` }
  if (ready && !ready.ok) return { type: 'block', problem: ready.problem }
  const visit = visitOf(tx, parts, passing)
  if (found.state !== 'waiting') return type.arrive(visit, step.params, ready?.ready)
  const fired: LogEntry = { type: 'wait.fired' }
  const woken = await type.wake?.(visit, step.params, ready?.ready)
  if (!woken) return { type: 'go', port: 'next', log: [fired] }
  return woken.type === 'go' || woken.type === 'wait' ? { ...woken, log: [fired, ...(woken.log ?? [])] } : woken
}

function visitOf(tx: Tx, parts: AdvanceParts, { definition, step, found, run }: Passing): Visit {
  const { now, settings } = parts
  const { trigger } = run.context
  const { flowId, version, id, stepId, visit } = run
  const profileId = found.profileId ?? run.profileId
  const actor = `flow/${flowId}/v${version}/run ${id}/step ${stepId}/signal ${trigger.signalId}`
  const cause = causeOfAction(run.cause, flowId)
  return {
    tx,
    now,
    run,
    timezone: definition.settings.timezone,
    person: { email: found.email, level: found.level! },
    async change(change, listSource) {
      const act = { via: 'flow', reason: 'flow', evidence: trigger.evidence, actor, listSource, cause } as const
      const person = { kind: 'id', value: profileId } as const
      // A chain from before there were numbers knows of no refusal, and lifts none.
      const asOf = run.cause.asOf ?? 0
      const [outcome] = await parts.profiles.changeIn(tx, [{ ...change, person, create: false, act, asOf }])
      return outcome!
    },
    async enqueue(template, { vars = {}, context = {} } = {}) {
      if (found.email === null) return null
      const request = {
        profileId,
        address: found.email,
        template,
        vars,
        options: {},
        origin: 'flow',
        context: { ...context, flow: { id: flowId, version, run: id, step: stepId, lineage: step.lineage } },
        dedupeKey: `flow:${id}:${step.lineage}:${visit}:0`,
      } as const
      const [outcome] = await enqueue(tx, [request], { now, settings })
      return outcome!
    },
  }
}

const ended = (reason: EndReason): LogEntry => ({ type: 'run.ended', data: { reason } })

async function settle(
  write: (place: Place, log?: readonly LogEntry[], effects?: readonly Effect[]) => Promise<void>,
  { now, keepsLease }: AdvanceParts,
  { definition, run, result }: { definition: FlowDefinition; run: Run; result: StepResult },
): Promise<Advanced> {
  switch (result.type) {
    case 'gone':
      await write({ state: 'ended', reason: 'profile_deleted' }, [ended('profile_deleted')])
      return { type: 'rests' }
    case 'block': {
      const log = { type: 'run.blocked', data: { problem: result.problem } }
      await write({ state: 'blocked', problem: result.problem, until: new Date(now.getTime() + BLOCKED_FOR) }, [log])
      return { type: 'rests' }
    }
    case 'wait':
      await write({ state: 'waiting', until: result.until }, result.log)
      return { type: 'rests' }
    case 'go': {
      const straight = stepBehind(definition, run.stepId, result.port)
      const port = straight === null && result.otherwise !== undefined ? result.otherwise : result.port
      const next = stepBehind(definition, run.stepId, port)
      const finished = { type: 'step.finished', data: { port } }
      const log = [...(result.log ?? []), finished]
      if (next === null) {
        await write({ state: 'ended', reason: 'completed' }, [...log, ended('completed')], result.effects)
        return { type: 'rests' }
      }
      await write({ state: 'ready', stepId: next, keepsLease }, log, result.effects)
      return keepsLease ? { type: 'moved', run: { ...run, stepId: next, visit: 1 } } : { type: 'rests' }
    }
  }
}
