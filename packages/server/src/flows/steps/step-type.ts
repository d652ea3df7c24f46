import type { TSchema } from 'typebox'
import type { Level } from '../../consent/levels.ts'
import type { Lists } from '../../lists/lists.ts'
import type { Tx } from '../../platform/database.ts'
import type { JsonObject } from '../../platform/json.ts'
import type { ChangeOutcome, ProfileChange } from '../../profiles/change.ts'
import type { EnqueueOutcome, EnqueueRequest } from '../../sends/enqueue.ts'
import type { LoadedTemplate, Templates } from '../../templates/templates.ts'
import type { Signal } from '../cause.ts'
import type { LogEntry, Run } from '../run.ts'

/** What steps look names up in, outside their transaction. */
export interface References {
  lists: Pick<Lists, 'find' | 'ensure' | 'byIds'>
  templates: Pick<Templates, 'byName'>
}

/** Something wrong, or doubtful, with a flow, in words for the person who draws it. */
export interface Problem {
  severity: 'error' | 'warning'
  /** Id of the step it is about; null: the flow. */
  step: string | null
  message: string
}

/** What one step of a run may see and do. Everything happens in the transaction that moves the run on. */
export interface Visit {
  tx: Tx
  now: Date
  run: Run
  /** IANA zone of the flow. */
  timezone: string
  /** As committed now. */
  person: { email: string | null; level: Level }
  /** Changes the run's person in the name of this step. */
  change(
    change: Omit<ProfileChange, 'person' | 'act' | 'create'>,
    listSource: ProfileChange['act']['listSource'],
  ): Promise<ChangeOutcome>
  /** Queues a message to the run's person in the name of this step; null: they have no address. */
  enqueue(
    template: LoadedTemplate,
    request?: Pick<EnqueueRequest, 'context'> & { vars?: JsonObject },
  ): Promise<EnqueueOutcome | null>
}

/** An effect of a step: it happens once for each visit, whatever crashes. */
export interface Effect {
  kind: string
  outcome: string
  detail: JsonObject
}

/** What becomes of a run at a step. */
export type StepResult =
  /** `otherwise`: the port to take when nothing is connected to `port`. */
  | { type: 'go'; port: string; otherwise?: string; effects?: Effect[]; log?: LogEntry[] }
  | { type: 'wait'; until: Date; log?: LogEntry[] }
  /** Something must be put right first; `problem` tells the operator what. */
  | { type: 'block'; problem: string }
  | { type: 'gone' }

interface CommonStep<Params> {
  type: string
  /** As people call it. */
  title: string
  /** What `params` holds, as JSON Schema. */
  params: TSchema
  /** Ports that may have an edge. */
  ports(params: Params): readonly string[]
  /** What is wrong beyond the schema: bounds, names that nothing has. */
  review?(params: Params, references: References): Promise<Array<Omit<Problem, 'step'>>>
}

/** What starts a flow. */
export interface EntryStep<Params = unknown> extends CommonStep<Params> {
  kind: 'entry'
  /** Names of lists that the entry speaks of. */
  lists(params: Params): readonly string[]
  /** Which signals may start it: type and key, with the lists found by name. */
  triggers(params: Params, listIds: ReadonlyMap<string, number>): Array<{ type: string; key: string }>
  /** `unmeant`: no such event happened in the sense of this entry; `filtered`: it did, but this flow wants others. */
  accepts(params: Params, signal: Signal): 'yes' | 'filtered' | 'unmeant'
  /** Sources that can start it, which decide what it may do to an opt-out. */
  sources(params: Params): readonly NonNullable<ProfileChange['act']['listSource']>[]
}

/** Checks, actions, waits: everything a run passes. */
export interface PassedStep<Params = unknown, Ready = unknown> extends CommonStep<Params> {
  kind: 'wait' | 'check' | 'action' | 'test'
  /** Looks up what the step needs, before its transaction begins. */
  prepare?(params: Params, references: References): Promise<{ ok: true; ready: Ready } | { ok: false; problem: string }>
  /** The run arrives. */
  arrive(visit: Visit, params: Params, ready: Ready): Promise<StepResult>
  /** The wait of the run is over. Default: on through `next`. */
  wake?(visit: Visit, params: Params, ready: Ready): Promise<StepResult>
  /** The least strict level the step may set; absent: it never touches the opt-out. */
  setsLevel?(params: Params): Level
}

/**
 * A type of step. All are listed in `steps/index.ts`; a new one is a file here and a line there.
 */
export type StepType = EntryStep | PassedStep
