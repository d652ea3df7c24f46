import type { StepKind } from '../definition.ts'
import { addToList } from './add-to-list.ts'
import { listJoined } from './list-joined.ts'
import { optoutStatus } from './optout-status.ts'
import { sendEmail } from './send-email.ts'
import { setOptout } from './set-optout.ts'
import type { EntryStep, PassedStep, StepType } from './step-type.ts'
import { waitTime } from './wait-time.ts'

/** Every type of step that flows are made of. */
export const STEP_TYPES: readonly StepType[] = [listJoined, waitTime, optoutStatus, setOptout, sendEmail, addToList]

const byName = new Map(STEP_TYPES.map((type) => [`${type.kind}/${type.type}`, type]))

/** The type of a step; null for one this version does not know. */
export function stepType(step: { kind: StepKind; type: string }): StepType | null {
  return byName.get(`${step.kind}/${step.type}`) ?? null
}

/** @throws when a published flow holds a step that was never an entry */
export function entryType(step: { kind: StepKind; type: string }): EntryStep {
  const type = stepType(step)
  if (type?.kind !== 'entry') throw new Error(`this version knows no entry "${step.type}"`)
  return type
}

/** The type of a step that runs pass; null for one this version does not know. */
export function passedType(step: { kind: StepKind; type: string }): PassedStep | null {
  const type = stepType(step)
  return type && type.kind !== 'entry' ? type : null
}
