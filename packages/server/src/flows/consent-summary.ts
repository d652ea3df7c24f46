import { mayLoosen } from '../consent/evidence.ts'
import type { Evidence, ListSource } from '../profiles/change.ts'
import type { Settings } from '../settings/settings.ts'
import type { FlowDefinition } from './definition.ts'
import { entryOf } from './definition.ts'
import { entryType, passedType } from './steps/index.ts'
import type { Problem } from './steps/step-type.ts'

type Policies = Pick<Settings, 'api_optin_policy' | 'flow_optin_policy'>

/** What a flow that lifts opt-outs can do for people who enter by one source. */
export interface ConsentLine {
  source: ListSource
  /** `never`: nobody who enters so is opted back in, and nobody is asked. */
  outcome:
    | 'at once'
    | 'at once from signed pages, else after confirmation'
    | 'after confirmation'
    | 'as where the chain began'
    | 'never'
}

/** Proofs that a join by each source can carry. */
const PROOFS: Record<Exclude<ListSource, 'flow'>, readonly Evidence[]> = {
  hosted_page: [2, 0],
  site_form: [0],
  confirm_link: [4],
  link_param: [0],
  user_api: [0],
  bulk: [0],
  ui: [1],
}

/**
 * What would become of opted-out people, source by source, under the present policies. Null when the flow lifts no
 * opt-out. A complaint is another matter: it always needs a confirmation.
 */
export function consentSummary(definition: FlowDefinition, policies: Policies): ConsentLine[] | null {
  const lifts = Object.values(definition.steps).some((step) => {
    const level = passedType(step)?.setsLevel?.(step.params)
    return level !== undefined && level !== 'all'
  })
  if (!lifts) return null
  const { step } = entryOf(definition)
  return entryType(step)
    .sources(step.params)
    .map((source) => ({ source, outcome: outcomeOf(source, policies) }))
}

function outcomeOf(source: ListSource, policies: Policies): ConsentLine['outcome'] {
  if (source === 'flow') return 'as where the chain began'
  const suffices = PROOFS[source].map((evidence) =>
    mayLoosen({ complainedAt: null }, { via: 'flow', evidence, listSource: source }, policies),
  )
  if (suffices.every(Boolean)) return 'at once'
  if (suffices.some(Boolean)) return 'at once from signed pages, else after confirmation'
  return source === 'bulk' || source === 'ui' ? 'never' : 'after confirmation'
}

/** The summary as problems: an error when the flow can lift nobody's opt-out, a warning when it must ask first. */
export function reviewConsent(definition: FlowDefinition, policies: Policies): Problem[] {
  const lines = consentSummary(definition, policies)
  if (!lines) return []
  const step = stepThatLifts(definition)
  if (lines.every(({ outcome }) => outcome === 'never')) {
    const sources = lines.map(({ source }) => source).join(', ')
    const message = `it lifts opt-outs, but people who enter by ${sources} have not asked for mail: allow other sources`
    return [{ severity: 'error', step, message }]
  }
  const doubtful = lines.filter(({ outcome }) => outcome !== 'at once' && outcome !== 'as where the chain began')
  if (doubtful.length === 0) return []
  const told = doubtful.map(({ source, outcome }) => `${source}: ${outcome}`).join('; ')
  return [{ severity: 'warning', step, message: `it lifts opt-outs, but not always at once (${told})` }]
}

function stepThatLifts(definition: FlowDefinition): string | null {
  const found = Object.entries(definition.steps).find(([, step]) => passedType(step)?.setsLevel !== undefined)
  return found?.[0] ?? null
}
