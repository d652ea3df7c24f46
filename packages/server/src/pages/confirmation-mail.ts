import { enqueue } from '../sends/enqueue.ts'
import type { PageParts } from './parts.ts'

/** The template that alone may reach people who opted out. */
const OPTIN_CONFIRM = 'Opt-in Confirm'

/**
 * Mails the account's opt-in confirmation, within the limit that protects a mailbox from being flooded.
 *
 * @returns false when the account has no such template or the message may not be sent
 */
export async function mailConfirmation(parts: PageParts, profileId: number, email: string): Promise<boolean> {
  const template = await parts.templates.byName(OPTIN_CONFIRM)
  if (!template?.isOptinConfirm) {
    parts.log.warn({ template: OPTIN_CONFIRM }, 'somebody asked to be opted in again, but there is no template for it')
    return false
  }
  const settings = await parts.settings.get()
  const now = parts.clock.now()
  const outcomes = await parts.db
    .transaction()
    .execute((tx) =>
      enqueue(tx, [{ profileId, address: email, template, vars: {}, options: {}, origin: 'page' }], { now, settings }),
    )
  return outcomes[0]?.ok ?? false
}
