import Type, { type Static } from 'typebox'
import { LEVELS } from '../../consent/levels.ts'
import type { PassedStep } from './step-type.ts'

const Params = Type.Object(
  { anyOf: Type.Array(Type.Enum(LEVELS), { minItems: 1, uniqueItems: true }) },
  { additionalProperties: false },
)
type Params = Static<typeof Params>

/** *Opt-out status*: yes for people at one of the levels. */
export const optoutStatus: PassedStep<Params> = {
  kind: 'check',
  type: 'optout_status',
  title: 'Opt-out Status',
  params: Params,
  ports: () => ['yes', 'no'],
  async arrive({ person }, { anyOf }) {
    const port = anyOf.includes(person.level) ? 'yes' : 'no'
    return { type: 'go', port, log: [{ type: 'check.evaluated', data: { port, level: person.level } }] }
  },
}
