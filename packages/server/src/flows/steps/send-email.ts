import Type, { type Static } from 'typebox'
import type { JsonObject } from '../../platform/json.ts'
import type { LoadedTemplate } from '../../templates/templates.ts'
import { isRequested } from '../person-originated.ts'
import type { Trigger } from '../run.ts'
import { refusalOf, type SkipReason } from '../send-gate.ts'
import type { PassedStep, Problem, StepResult } from './step-type.ts'

const Params = Type.Object(
  { template: Type.String({ minLength: 1 }), vars: Type.Optional(Type.Record(Type.String(), Type.Unknown())) },
  { additionalProperties: false },
)
type Params = Static<typeof Params>

/**
 * *Send Email*. A message that may not be sent is skipped with its reason and the run goes on in the same transaction,
 * through `not_sent` where that leads somewhere. The template is read by name when the run arrives: a repaired one
 * reaches everybody who is not past it.
 */
export const sendEmail: PassedStep<Params, LoadedTemplate> = {
  kind: 'action',
  type: 'send_email',
  title: 'Send Email',
  params: Params,
  ports: () => ['next', 'not_sent'],

  async review({ template: name }, { templates }) {
    const template = await templates.byName(name)
    if (!template) return [problem('error', `there is no template "${name}": create it, or correct the name`)]
    return template.isDisabled ? [problem('warning', `the template "${name}" is switched off`)] : []
  },

  async prepare({ template: name }, { templates }) {
    const template = await templates.byName(name)
    if (!template) return { ok: false, problem: `the template "${name}" does not exist` }
    if (template.isDisabled) return { ok: false, problem: `the template "${name}" is switched off` }
    return { ok: true, ready: template }
  },

  async arrive(visit, params, template) {
    const { trigger } = visit.run.context
    // Nobody who opted out and asked for nothing may be sent requests to come back.
    if (template.isOptinConfirm && visit.person.level !== 'none' && !isRequested(visit.run, visit.now)) {
      return skipped('optin_not_requested', template)
    }
    const vars = { ...(params.vars as JsonObject | undefined) }
    const outcome = await visit.enqueue(template, { vars, context: contextOf(trigger) })
    if (!outcome?.ok) return skipped(refusalOf(outcome, template), template)
    const detail = { template: template.name, revision: template.revisionId, message: outcome.messageId }
    return {
      type: 'go',
      port: 'next',
      effects: [{ kind: 'send', outcome: 'queued', detail }],
      log: [{ type: 'send.queued', data: detail }],
    }
  },
}

function skipped(reason: SkipReason, template: LoadedTemplate): StepResult {
  const detail = { template: template.name, reason }
  return {
    type: 'go',
    port: 'not_sent',
    otherwise: 'next',
    effects: [{ kind: 'send', outcome: `skipped ${reason}`, detail }],
    log: [{ type: 'send.skipped', data: detail }],
  }
}

/**
 * The fact that started the flow, under the name by which templates know it. Only a custom event's vars become bare
 * names: what the platform notes of its own facts, such as the name of a list, must not hide the person's.
 */
function contextOf({ type, payload }: Trigger): JsonObject {
  if (type === 'purchase') return { purchase: payload }
  return { event: type === 'custom_event' ? { event: type, vars: payload } : { ...payload, event: type } }
}

const problem = (severity: Problem['severity'], message: string) => ({ severity, message })
