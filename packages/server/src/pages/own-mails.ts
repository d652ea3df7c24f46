import type { EnqueueRequest } from '../sends/enqueue.ts'
import type { OWN_MAILS } from '../templates/names.ts'
import type { LoadedTemplate } from '../templates/templates.ts'
import type { PageParts } from './parts.ts'
import { senderOf } from './view.ts'

/**
 * The few mails that the pages send by themselves. Each is a template of the account, made at its first use and the
 * account's to reword from then on; one that is disabled is not sent.
 */
export type OwnMail = keyof typeof OWN

const signed = (html: string) => `${html}<p>{h(sender)}</p>`

const OWN = {
  'Email Back On': {
    public_name: 'Notices about your email',
    subject: 'Email from {sender} is back on',
    content_html: signed(
      '<p>Email to this address has just been turned back on, on the page behind an unsubscribe link.</p>' +
        '<p>Was it you? Then there is nothing to do. If not, <a href="{optout_confirm_url}">turn it off again</a>.</p>',
    ),
  },
  'Preference Link': {
    public_name: 'Links to your email preferences',
    subject: 'Your link to {sender}',
    content_html: signed(
      '<p>Somebody asked for a new link to the email preferences of this address.</p>' +
        '<p><a href="{optout_confirm_url}">Choose what we send you</a></p>' +
        '<p>You did not ask? Nothing has changed, and you can forget this message.</p>',
    ),
  },
  'Confirm Address': {
    public_name: 'Changes of your address',
    subject: 'Shall {sender} write to this address?',
    content_html: signed(
      '<p>Somebody asked us to write to this address from now on, instead of {h(other_address)}.</p>' +
        '<p><a href="{address_url}">Yes, use this address</a></p>' +
        '<p>You did not ask? Forget this message, and nothing will change.</p>',
    ),
  },
  'Address Change Notice': {
    public_name: 'Changes of your address',
    subject: 'A new address for email from {sender}?',
    content_html: signed(
      '<p>Somebody asked us to write to {h(other_address)} instead of this address. It will be so once a link is ' +
        'followed that we have sent there.</p>' +
        '<p>Was it you? Then there is nothing to do here. If not, <a href="{address_url}">keep this address</a>.</p>',
    ),
  },
} as const satisfies { [name in (typeof OWN_MAILS)[number]]: object }

/** The template of such a mail; null when the account has none and none can be made, which is logged. */
async function templateOf({ templates, log }: PageParts, name: OwnMail): Promise<LoadedTemplate | null> {
  const present = await templates.byName(name)
  if (present) return present
  const outcome = await templates.save(name, { ...OWN[name], is_basic: true })
  if (outcome.ok) return outcome.template
  log.error({ template: name, problem: outcome.problem }, 'a mail of our own cannot be written')
  return null
}

/** Such a mail as it is queued. Ask before the transaction begins: the template may have to be made. */
export async function ownMail(
  parts: PageParts,
  name: OwnMail,
  to: { profileId: number; address: string; vars?: { [name: string]: string }; dedupeKey?: string },
): Promise<EnqueueRequest | null> {
  const template = await templateOf(parts, name)
  if (!template) return null
  const { profileId, address, vars, dedupeKey } = to
  return {
    profileId,
    address,
    template,
    vars: { sender: senderOf(parts.config.from), ...vars },
    options: {},
    origin: 'page',
    ...(dedupeKey === undefined ? {} : { dedupeKey }),
  }
}
