import Type, { type Static } from 'typebox'
import type { JsonObject } from '../../platform/json.ts'
import { OPTIN_CONFIRM } from '../../templates/compile.ts'
import type { LoadedTemplate } from '../../templates/templates.ts'
import { listSourceOf } from '../cause.ts'
import { isFresh, originOf } from '../person-originated.ts'
import { refusalOf } from '../send-gate.ts'
import type { PassedStep, Visit } from './step-type.ts'

const Params = Type.Object({ value: Type.Enum(['none', 'basic', 'all']) }, { additionalProperties: false })
type Params = Static<typeof Params>

/**
 * *Set Opt-out Status*. The run goes on whatever comes of it: `applied`, `noop`, `superseded` (the person refused mail
 * after the act that started the run) or `needs_confirmation` (that act proves too little; a confirmation is mailed).
 * Whether the proof suffices is for the profiles' door to judge; this step hands over what the run began with.
 */
export const setOptout: PassedStep<Params, LoadedTemplate | null> = {
  kind: 'action',
  type: 'set_optout',
  title: 'Set Opt-out Status',
  params: Params,
  ports: () => ['next'],
  setsLevel: ({ value }) => value,

  async prepare(_params, { templates }) {
    const template = await templates.byName(OPTIN_CONFIRM)
    return { ok: true, ready: template?.isOptinConfirm ? template : null }
  },

  async arrive(visit, { value }, confirmation) {
    const { trigger } = visit.run.context
    const level = { to: value, mode: 'set' } as const
    const changed = await visit.change({ level }, listSourceOf(trigger.source))
    if (!changed.ok || changed.levelOutcome === null) return { type: 'gone' }
    const outcome = changed.levelOutcome
    const detail: JsonObject = {
      from: visit.person.level,
      to: value,
      source: trigger.source,
      evidence: trigger.evidence,
    }
    if (outcome === 'needs_confirmation') detail.confirmation = await mailConfirmation(visit, confirmation)
    return {
      type: 'go',
      port: 'next',
      effects: [{ kind: 'optout', outcome, detail }],
      log: [{ type: 'optout.changed', data: { outcome, ...detail } }],
    }
  },
}

/** @returns what became of the mail: `queued`, or why there is none */
async function mailConfirmation(visit: Visit, template: LoadedTemplate | null): Promise<string> {
  if (!template) return 'no_template'
  const { trigger } = visit.run.context
  // Nobody who merely stands in a file is asked, nor anybody long after the act.
  const origin = originOf(visit.run)
  if (origin === 'bulk' || origin === 'ui' || !isFresh(visit.run, visit.now)) return 'optin_not_requested'
  // Following its link joins the list again, now proved, so that a flow on that list runs once more.
  const list = trigger.type === 'list_joined' ? Number(trigger.key) : null
  const outcome = await visit.enqueue(template, { context: list === null ? {} : { confirmLists: [list] } })
  return outcome?.ok ? 'queued' : refusalOf(outcome, template)
}
