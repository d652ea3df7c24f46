import type { Act } from '../profiles/change.ts'
import type { ApiParts } from './parts.ts'
import type { People } from './people.ts'

const OPTIN_CONFIRM = 'Opt-in Confirm'

/**
 * Mails the confirmation to a person who wants back but must prove the mailbox first. The change itself stands, so what
 * stops this mail (no such template, a bounced address, too many of them today) goes to the log, not to the caller.
 */
export async function askForConfirmation(
  { people, sends, log }: Pick<ApiParts, 'sends' | 'log'> & { people: People },
  profileId: number,
  act: Act,
): Promise<void> {
  const profile = await people.find({ kind: 'id', value: profileId })
  if (!profile?.email) return
  const outcome = await sends.send({
    template: OPTIN_CONFIRM,
    emails: [profile.email],
    vars: {},
    evars: {},
    options: {},
    origin: 'api',
    act,
  })
  if (!outcome.ok) log.warn({ profileId, outcome }, `the confirmation "${OPTIN_CONFIRM}" was not sent`)
}
