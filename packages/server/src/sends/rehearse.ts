import type { Refusals } from '../consent/refusals.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database, Tx } from '../platform/database.ts'
import { type Profiles, retrying } from '../profiles/door.ts'
import type { SettingsCache } from '../settings/settings.ts'
import type { LoadedTemplate, Templates } from '../templates/templates.ts'
import { type EnqueueEnv, enqueue } from './enqueue.ts'
import type { SendRefusal, SendRequest } from './sends.ts'

export interface RehearsalParts {
  db: Database
  clock: Clock
  settings: SettingsCache
  templates: Pick<Templates, 'byName'>
  profiles: Pick<Profiles, 'changeIn'>
  refusals: Pick<Refusals, 'wishesOf'>
}

/** Why one address would be refused. */
export interface Refused {
  ok: false
  email: string
  code: number
  reason: SendRefusal
}

/** Null for each address that would be written to. */
export type Rehearsal = { ok: true; refusals: Array<Refused | null> } | { ok: false; code: 14 }

/** Carries the outcome out of the transaction that it undoes. */
class Curtain extends Error {
  readonly refusals: Array<Refused | null>
  constructor(refusals: Array<Refused | null>) {
    super('a rehearsal ended')
    this.refusals = refusals
  }
}

/**
 * Says what a send would be refused for, and undoes all of it. For calls that have another fault of lower rank, such
 * as a time that nobody understands: that somebody opted out is what their sender must be told first.
 */
export async function rehearse(parts: RehearsalParts, request: SendRequest): Promise<Rehearsal> {
  const template = await parts.templates.byName(request.template)
  if (!template) return { ok: false, code: 14 }
  const { wishesOf } = parts.refusals
  const env = { now: parts.clock.now(), settings: await parts.settings.get(), wishesOf }
  try {
    await retrying(() => parts.db.transaction().execute((tx) => play(tx, parts.profiles, request, template, env)))
  } catch (error) {
    if (error instanceof Curtain) return { ok: true, refusals: error.refusals }
    throw error
  }
  throw new Error('a rehearsal did not end')
}

async function play(
  tx: Tx,
  profiles: RehearsalParts['profiles'],
  request: SendRequest,
  template: LoadedTemplate,
  env: EnqueueEnv,
): Promise<never> {
  const { emails, vars, options, limit, origin, act } = request
  const people = await profiles.changeIn(
    tx,
    emails.map((value) => ({ person: { kind: 'email', value }, act })),
  )
  const refusals: Array<Refused | null> = []
  // One by one, so that what one call asks for twice meets its own limit as it would.
  for (const [index, email] of emails.entries()) {
    const person = people[index]!
    const refused = (code: number, reason: SendRefusal) => refusals.push({ ok: false, email, code, reason })
    if (!person.ok) {
      if (person.problem === 'invalid_email') refused(11, 'invalid_email')
      else refused(99, 'key_conflict')
      continue
    }
    const { profileId } = person
    const [outcome] = await enqueue(tx, [{ profileId, address: email, template, vars, options, limit, origin }], env)
    if (outcome?.ok) refusals.push(null)
    else if (outcome) refused(outcome.code, outcome.reason)
  }
  throw new Curtain(refusals)
}
