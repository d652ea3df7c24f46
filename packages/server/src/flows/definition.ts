import { createHash } from 'node:crypto'
import Type, { type Static, type TSchema } from 'typebox'
import { WEEKDAYS } from '../platform/wall-clock.ts'

/** `back_in`: how edges name a step. Stable within a version. */
export const StepId = Type.String({ pattern: '^[a-z0-9_]{1,40}$' })

export const TimeOfDay = Type.String({ pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$' })

export const Weekdays = Type.Array(Type.Enum(WEEKDAYS), { minItems: 1, uniqueItems: true })

export const Period = Type.Object(
  {
    amount: Type.Integer({ minimum: 1 }),
    unit: Type.Enum(['minutes', 'hours', 'days', 'weeks', 'months']),
  },
  { additionalProperties: false },
)
export type Period = Static<typeof Period>

const Moment = Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}(:\\d{2}(\\.\\d+)?)?(Z|[+-]\\d{2}:\\d{2})$' })

export const FlowSettings = Type.Object(
  {
    timezone: Type.String({ description: 'IANA name' }),
    reentry: Type.Object(
      {
        allowed: Type.Boolean({ description: 'more than once' }),
        blockWhilePresent: Type.Boolean({ description: 'not while already in the flow' }),
        minInterval: Type.Optional(Type.Union([Period, Type.Null()])),
        memory: Type.Optional(Type.Enum(['P2Y', 'forever'])),
      },
      { additionalProperties: false },
    ),
    schedule: Type.Optional(
      Type.Object(
        {
          startAt: Type.Optional(Moment),
          endAt: Type.Optional(Moment),
          atEnd: Type.Optional(Type.Enum(['finish', 'eject'])),
        },
        { additionalProperties: false },
      ),
    ),
    onOptOut: Type.Optional(Type.Enum(['continue', 'exit'])),
    recurrence: Type.Optional(Type.Object({ minInterval: Period }, { additionalProperties: false })),
  },
  { additionalProperties: false },
)
export type FlowSettings = Static<typeof FlowSettings>

export const STEP_KINDS = ['entry', 'wait', 'check', 'action', 'test'] as const
export type StepKind = (typeof STEP_KINDS)[number]

/** A step; what `params` may hold is the business of its type. */
export const Step = Type.Object(
  {
    kind: Type.Enum(STEP_KINDS),
    type: Type.String(),
    lineage: Type.String({
      pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
      description: 'identity of the step across versions',
    }),
    label: Type.Optional(Type.String({ maxLength: 200 })),
    note: Type.Optional(Type.String({ maxLength: 2000 })),
    ui: Type.Optional(
      Type.Object(
        { x: Type.Optional(Type.Number()), y: Type.Optional(Type.Number()) },
        { additionalProperties: false },
      ),
    ),
    params: Type.Record(Type.String(), Type.Unknown()),
  },
  { additionalProperties: false },
)
export type Step = Static<typeof Step>

export const Edge = Type.Object(
  { from: StepId, port: Type.String({ pattern: '^[a-z0-9_]{1,45}$' }), to: StepId },
  { additionalProperties: false },
)
export type Edge = Static<typeof Edge>

/** A flow as data: what is published, exported and drawn. */
export const FlowDefinition = Type.Object(
  {
    schemaVersion: Type.Literal(1),
    name: Type.String({ minLength: 1, maxLength: 200 }),
    description: Type.Optional(Type.String({ maxLength: 4000 })),
    settings: FlowSettings,
    steps: Type.Record(Type.String(), Step, { minProperties: 1, maxProperties: 200 }),
    edges: Type.Array(Edge, { maxItems: 2000 }),
  },
  { additionalProperties: false },
)
export type FlowDefinition = Static<typeof FlowDefinition>

/** Largest definition, in bytes of JSON. */
export const MAX_DEFINITION = 1024 * 1024

/** The schema of whole definitions, with the parameters of every known step type (JSON Schema 2020-12). */
export function definitionSchema(types: readonly { kind: StepKind; type: string; params: TSchema }[]): object {
  const steps = types.map(({ kind, type, params }) => ({
    properties: { kind: { const: kind }, type: { const: type }, params },
  }))
  const step = { ...Step, oneOf: steps }
  const properties = {
    ...FlowDefinition.properties,
    steps: { type: 'object', propertyNames: StepId, additionalProperties: step, minProperties: 1, maxProperties: 200 },
  }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'urn:fairlead:flow-definition:1',
    ...FlowDefinition,
    properties,
  }
}

/** A hash that is equal for equal definitions, whatever the order of their keys. */
export function checksumOf(definition: FlowDefinition): string {
  return createHash('sha256').update(canonical(definition)).digest('hex')
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).filter(([, inner]) => inner !== undefined)
    entries.sort(([a], [b]) => (a < b ? -1 : 1))
    return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(',')}}`
  }
  return JSON.stringify(value)
}

/** The step behind a port; null: the run leaves the flow there. */
export function stepBehind(definition: FlowDefinition, from: string, port: string): string | null {
  return definition.edges.find((edge) => edge.from === from && edge.port === port)?.to ?? null
}

/** The one entry of a published definition. */
export function entryOf(definition: FlowDefinition): { id: string; step: Step } {
  const found = Object.entries(definition.steps).find(([, step]) => step.kind === 'entry')
  if (!found) throw new Error(`flow ${definition.name} was published without an entry`)
  return { id: found[0], step: found[1] }
}
