import { type Activity, NO_ACTIVITY } from '../activity/read.ts'
import { engagementOf } from '../profiles/engagement.ts'
import type { ProfileFacts } from '../profiles/read.ts'
import { profileData } from '../templates/profile-data.ts'
import type { LoadedTemplate } from '../templates/templates.ts'
import { type ComposeParts, compose } from './compose.ts'
import type { Facts, PrepareEnv, PrepareParts, ReadyMessage } from './prepare.ts'
import { type ClaimedMessage, ended, type Settlement } from './queue.ts'
import { type RenderOutcome, render } from './render.ts'
import type { Capabilities } from './smtp/capabilities.ts'
import type { Transmittable } from './transport.ts'

/** A message as it goes out, or why it does not: for its content, or by its template's wish. */
export type Written =
  | { kind: 'written'; composed: Transmittable }
  | { kind: 'unsendable'; problem: string }
  | { kind: 'ended'; settlement: Settlement }

/** Renders a message and puts it together for a server that offers this. */
export async function write(
  parts: PrepareParts & ComposeParts & { links: PrepareParts['links'] & ComposeParts['links'] },
  { message, template, person, options, facts, env }: ReadyMessage,
  offers: Capabilities,
): Promise<Written> {
  let outcome = renderFor(parts, message, template, person, facts, env)
  if (outcome.kind === 'needs') {
    // Rendering cannot wait for the database, so it says which lists it wants and is done once more with them.
    outcome = renderFor(parts, message, template, person, facts, env, await parts.lists.ensure(outcome.lists))
  }
  switch (outcome.kind) {
    case 'stopped':
      return { kind: 'ended', settlement: ended(message, 'cancelled', outcome.reason) }
    case 'failed':
      return { kind: 'ended', settlement: ended(message, 'failed', 'render', outcome.reason) }
    case 'needs': {
      const problem = `unknown lists: ${outcome.lists.join(', ')}`
      return { kind: 'ended', settlement: ended(message, 'failed', 'render', problem) }
    }
    case 'rendered': {
      const draft = {
        message,
        template,
        options,
        isForOne: outcome.isForOne,
        rendered: outcome.rendered,
        optoutUrl: outcome.optoutUrl,
        recipientName: textOf(message.vars.name) ?? textOf(person.vars.name),
        textOnly: isOn(message.vars.text_only ?? person.vars.text_only),
        now: env.now,
      }
      const made = await compose(parts, draft, offers)
      return made.ok ? { kind: 'written', composed: made.composed } : { kind: 'unsendable', problem: made.problem }
    }
  }
}

const NO_LISTS: ReadonlyMap<string, number> = new Map()

/**
 * Renders a message for one person.
 *
 * @param lists ids of lists by name, as far as they are known
 */
export function renderFor(
  parts: Pick<PrepareParts, 'links' | 'sendIdOf'>,
  message: ClaimedMessage,
  template: LoadedTemplate,
  person: ProfileFacts,
  facts: Facts,
  { now, settings, inBrowser }: Omit<PrepareEnv, 'decidedAt'> & { inBrowser?: boolean },
  lists: ReadonlyMap<string, number> = NO_LISTS,
): RenderOutcome {
  // Nothing is rendered for an address that bounced for good, so only the person's own doings count here.
  const activity: Activity = facts.activities.get(person.id) ?? NO_ACTIVITY
  const engagement = engagementOf(person, 'ok', now, activity)
  const profile = profileData(person, facts.listNames, facts.histories.get(person.id) ?? null, engagement, activity)
  const { timezone: timeZone, pixel_needs_consent: pixelNeedsConsent } = settings
  try {
    const asOf = person.decided
    const env = { now, timeZone, engagement, asOf, pixelNeedsConsent, inBrowser }
    return render(parts, message, template, profile, lists, env)
  } catch (error) {
    return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) }
  }
}

/** Control characters in a name would end the header. */
function textOf(value: unknown): string | null {
  if (typeof value !== 'string') return null
  return value.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim() || null
}

const isOn = (value: unknown) => value === true || value === 1 || value === '1' || value === 'true'
