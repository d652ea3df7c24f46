import { isWeaker, type Level, readLevel } from '../consent/levels.ts'
import type { Cause } from '../profiles/change.ts'
import { causeOf, type Signal } from './cause.ts'
import { entryOf, type FlowDefinition, stepBehind } from './definition.ts'
import { type Admission, admit, entered, type Presence } from './reentry.ts'
import type { RunContext } from './run.ts'
import { entryType } from './steps/index.ts'
import type { FlowStatus } from './tables.ts'

/** A flow that waits for certain signals, in the version in force. */
export interface WaitingFlow {
  id: number
  version: number
  epoch: number
  status: FlowStatus
  definition: FlowDefinition
}

/** A signal and a flow that waits for it. */
export interface Encounter {
  signal: Signal
  flow: WaitingFlow
}

/** A run that begins. `endReason` is set when it is over already. */
export interface NewRun extends Encounter {
  cause: Cause
  context: RunContext
  stepId: string | null
  exclusive: boolean
  endReason: 'completed' | 'opted_out' | null
}

/** What became of an encounter, with the run if there is one. */
export interface Match extends Encounter {
  outcome: Admission | 'filtered'
  run: NewRun | null
}

/** Somebody tightened their opt-out, and the flow does not keep such people. */
export interface Exit extends Encounter {
  /** The chain whose own action it was: a run that opts its person out is not ended by that. */
  ownRoot: string | null
}

export interface Matched {
  matches: Match[]
  exits: Exit[]
  /** How each person stands to each flow afterwards, by `presenceKey`. */
  presences: Map<string, Presence>
}

export const presenceKey = (flowId: number, profileId: number): string => `${flowId}/${profileId}`

const STRANGER: Presence = { memory: null, live: 0, lastHour: 0 }

/**
 * Decides about encounters in order, each knowing what those before it led to.
 *
 * @param encounters in the order of the signals
 * @param before how people stand to flows now; who is missing was never there
 */
export function matchSignals(encounters: readonly Encounter[], before: ReadonlyMap<string, Presence>): Matched {
  const presences = new Map(before)
  const matches: Match[] = []
  const exits: Exit[] = []
  for (const encounter of encounters) {
    const { signal, flow } = encounter
    const key = presenceKey(flow.id, signal.profileId)
    if (isExit(encounter)) {
      const exit = { ...encounter, ownRoot: ownRootOf(encounter) }
      exits.push(exit)
      if (exit.ownRoot === null) presences.set(key, { ...(presences.get(key) ?? STRANGER), live: 0 })
      for (const { run } of matches)
        if (run && run.endReason === null && concerns(exit, run)) run.endReason = 'opted_out'
    }
    const outcome = judge(encounter, presences.get(key) ?? STRANGER)
    if (outcome === null) continue
    const run = outcome === 'started' ? newRun(encounter) : null
    matches.push({ ...encounter, outcome, run })
    if (run) {
      const presence = entered(presences.get(key) ?? STRANGER, flow.definition.settings, signal.occurredAt)
      presences.set(key, run.endReason === null ? presence : { ...presence, live: presence.live - 1 })
    }
  }
  return { matches, exits, presences }
}

/** Null: nothing happened in the sense of the flow's entry. */
function judge({ signal, flow }: Encounter, presence: Presence): Match['outcome'] | null {
  const { step } = entryOf(flow.definition)
  const type = entryType(step)
  if (type.type !== signal.type) return null
  const accepted = type.accepts(step.params, signal)
  if (accepted === 'unmeant') return null
  if (accepted === 'filtered') return 'filtered'
  const { id, status } = flow
  return admit({ id, status, settings: flow.definition.settings }, presence, causeOf(signal), signal.occurredAt)
}

function newRun({ signal, flow }: Encounter): NewRun {
  const { definition } = flow
  const stepId = stepBehind(definition, entryOf(definition).id, 'next')
  const { id, type, key, payload, source, evidence, occurredAt } = signal
  const trigger = { signalId: id, type, key, payload, source, evidence, at: occurredAt.toISOString() }
  return {
    signal,
    flow,
    cause: causeOf(signal),
    context: { trigger },
    stepId,
    exclusive: definition.settings.reentry.blockWhilePresent,
    endReason: stepId === null ? 'completed' : null,
  }
}

function isExit({ signal, flow }: Encounter): boolean {
  if (signal.type !== 'optout_changed' || flow.definition.settings.onOptOut !== 'exit') return false
  const from = levelIn(signal.payload.from)
  const to = levelIn(signal.payload.to)
  return from !== null && (to === 'basic' || to === 'all') && isWeaker(from, to)
}

const levelIn = (value: unknown): Level | null => (typeof value === 'string' ? readLevel(value) : null)

function ownRootOf({ signal, flow }: Encounter): string | null {
  const { root, flows } = causeOf(signal)
  return flows.at(-1) === flow.id ? root : null
}

function concerns(exit: Exit, run: NewRun): boolean {
  const isSame = run.flow.id === exit.flow.id && run.signal.profileId === exit.signal.profileId
  return isSame && run.cause.root !== exit.ownRoot
}
