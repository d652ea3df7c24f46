import { closest } from '../platform/closest.ts'
import { isZone } from '../platform/wall-clock.ts'
import type { Settings } from '../settings/settings.ts'
import { reviewConsent } from './consent-summary.ts'
import { FlowDefinition, MAX_DEFINITION, type Step, StepId } from './definition.ts'
import { reviewGraph } from './graph.ts'
import { type Describe, describeAgainst } from './schema-problems.ts'
import { STEP_TYPES, stepType } from './steps/index.ts'
import type { Problem, References, StepType } from './steps/step-type.ts'

const describeDefinition = describeAgainst(FlowDefinition)
const paramsOf: ReadonlyMap<StepType, Describe> = new Map(
  STEP_TYPES.map((type) => [type, describeAgainst(type.params)]),
)
const describeStepId = describeAgainst(StepId)

export type Reviewed =
  /** Fit to be published; the problems are warnings. */
  { ok: true; definition: FlowDefinition; problems: Problem[] } | { ok: false; problems: Problem[] }

/**
 * Everything that publishing demands of a definition, as sentences that name the step: its shape, the graph, what each
 * step says, the names it uses, and whether it could ever opt anybody back in where it means to.
 *
 * @param candidate as read from JSON, see `completeDefinition`
 */
export async function reviewDefinition(
  candidate: unknown,
  references: References,
  settings: Pick<Settings, 'api_optin_policy' | 'flow_optin_policy'>,
): Promise<Reviewed> {
  const shape = describeDefinition(candidate).map((message): Problem => ({ severity: 'error', step: null, message }))
  if (shape.length > 0) return { ok: false, problems: shape }
  const definition = candidate as FlowDefinition
  const problems: Problem[] = []
  const wrong = (step: string | null, message: string) => problems.push({ severity: 'error', step, message })

  if (Buffer.byteLength(JSON.stringify(definition)) > MAX_DEFINITION) wrong(null, 'it is larger than 1 MiB')
  if (!isZone(definition.settings.timezone)) {
    wrong(null, `settings.timezone: ${definition.settings.timezone} is not an IANA time zone`)
  }
  const known = new Map<string, StepType>()
  for (const [id, step] of Object.entries(definition.steps)) {
    if (describeStepId(id).length > 0) wrong(id, 'the name of a step is 1 to 40 of a–z, 0–9 and _')
    const type = stepType(step)
    if (!type) {
      wrong(id, unknownType(step))
      continue
    }
    const misfits = paramsOf.get(type)!(step.params)
    for (const message of misfits) wrong(id, `params: ${message}`)
    if (misfits.length === 0) known.set(id, type)
  }
  problems.push(
    ...reviewGraph(definition, (id) => known.get(id)?.ports(definition.steps[id]!.params) ?? null),
    ...reviewLineages(definition),
  )
  for (const [id, type] of known) {
    const found = (await type.review?.(definition.steps[id]!.params, references)) ?? []
    problems.push(...found.map((problem) => ({ ...problem, step: id })))
  }
  const isWhole = problems.every(({ severity }) => severity !== 'error')
  if (isWhole) problems.push(...reviewConsent(definition, settings))
  if (problems.some(({ severity }) => severity === 'error')) return { ok: false, problems }
  return { ok: true, definition, problems }
}

function unknownType({ kind, type }: Step): string {
  const names = STEP_TYPES.filter((one) => one.kind === kind).map((one) => one.type)
  const meant = closest(type, names)
  const hint = meant ? `did you mean "${meant}"?` : `there are ${names.join(', ') || 'none yet'}`
  return `this version knows no ${kind} "${type}": ${hint}`
}

/** A lineage names one step: effects are kept under it. */
function reviewLineages({ steps }: FlowDefinition): Problem[] {
  const owners = new Map<string, string>()
  const problems: Problem[] = []
  for (const [id, { lineage }] of Object.entries(steps)) {
    const other = owners.get(lineage)
    if (other) problems.push({ severity: 'error', step: id, message: `it has the same lineage as ${other}` })
    owners.set(lineage, id)
  }
  return problems
}

/** A problem in one line: `step "hello": there is no template …`. */
export function problemText({ step, message }: Problem): string {
  return step === null ? message : `step "${step}": ${message}`
}
