import Type, { type Static } from 'typebox'
import { addPeriod, isZone, nextTime } from '../../platform/wall-clock.ts'
import { Period, TimeOfDay, Weekdays } from '../definition.ts'
import type { PassedStep, Visit } from './step-type.ts'

const Params = Type.Object(
  {
    for: Type.Optional(Period),
    nextDays: Type.Optional(Weekdays),
    at: Type.Optional(TimeOfDay),
    pst: Type.Optional(Type.Boolean()),
    pstFallback: Type.Optional(TimeOfDay),
    zone: Type.Optional(Type.Enum(['account', 'profile'])),
  },
  { additionalProperties: false, minProperties: 1 },
)
type Params = Static<typeof Params>

const MOST = { minutes: 366 * 1440, hours: 366 * 24, days: 366, weeks: 52, months: 12 } as const

/**
 * *Wait*: first a period or a weekday, then on at once, at a time of day, or at the person's own best time. The end is
 * computed once, on arrival, and kept: people inside a wait are not moved by edits.
 */
export const waitTime: PassedStep<Params> = {
  kind: 'wait',
  type: 'time',
  title: 'Wait',
  params: Params,
  ports: () => ['next'],

  async review(params) {
    const problems = []
    if (params.for && params.nextDays)
      problems.push('it waits either for a period (for) or for weekdays (nextDays), not both')
    if (params.at && params.pst)
      problems.push('it goes on either at a time of day (at) or at the personal time (pst), not both')
    if (params.pstFallback && !params.pst) problems.push('pstFallback has a meaning only together with pst')
    if (!params.for && !params.nextDays && !params.at && !params.pst)
      problems.push('it says neither how long nor until when')
    if (params.for && params.for.amount > MOST[params.for.unit]) problems.push('it is longer than 366 days')
    return problems.map((message) => ({ severity: 'error' as const, message }))
  },

  async arrive(visit, params) {
    const zone = params.zone === 'profile' ? await zoneOfPerson(visit) : visit.timezone
    const until = deadline(params, visit.now, zone)
    if (until <= visit.now) return { type: 'go', port: 'next' }
    return { type: 'wait', until, log: [{ type: 'wait.scheduled', data: { until: until.toISOString(), zone } }] }
  },
}

/** When somebody who arrives now goes on; never before now. */
export function deadline(params: Params, now: Date, zone: string): Date {
  const after = params.for ? addPeriod(now, params.for, zone) : now
  // Nobody's personal send time is known yet, so its fallback holds: a time of day, or at once.
  const at = params.at ?? (params.pst ? params.pstFallback : undefined)
  if (at === undefined && !params.nextDays) return after
  return nextTime(after, at ?? null, params.nextDays ?? null, zone)
}

async function zoneOfPerson({ tx, run, timezone }: Visit): Promise<string> {
  const row = await tx
    .selectFrom('profile')
    .select('vars')
    .where('shard', '=', run.shard)
    .where('id', '=', run.profileId)
    .executeTakeFirst()
  const zone = row?.vars.timezone
  return typeof zone === 'string' && isZone(zone) ? zone : timezone
}
