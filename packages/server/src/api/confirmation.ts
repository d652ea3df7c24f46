import type { Act } from '../profiles/change.ts'
import { findProfile } from '../profiles/read.ts'
import type { ApiParts } from './parts.ts'

const OPTIN_CONFIRM = 'Opt-in Confirm'

/**
 * Mails the confirmation to a person who wants back but must prove the mailbox first. The change itself stands, so what
 * stops this mail (no such template, a bounced address, too many of them today) goes to the log, not to the caller.
 */
export async function askForConfirmation(
  { db, sends, log }: Pick<ApiParts, 'db' | 'sends' | 'log'>,
  profileId: number,
  act: Act,
): Promise<void> {
  const profile = await findProfile(db, { kind: 'id', value: profileId })
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
