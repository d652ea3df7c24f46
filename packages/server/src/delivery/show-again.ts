import { sql } from 'kysely'
import { shardOfId } from '../platform/shard.ts'
import type { MessageTable } from '../sends/message-table.ts'
import type { Settings } from '../settings/settings.ts'
import type { LoadedTemplate } from '../templates/templates.ts'
import { withOptoutFooter } from './footer.ts'
import { loadFacts, loadTemplates, type PrepareParts } from './prepare.ts'
import { renderFor } from './write.ts'

/** A message as its recipient got it. */
export interface ShownMessage {
  subject: string
  html: string
  text: string
}

/**
 * Renders a message once more for the person it was sent to, from the revision that was sent and as of that moment.
 * Nothing in it is followed, and nothing is changed by it.
 *
 * @returns null when there is nothing to show: the message or the person is gone, its template stopped it or forbids it
 */
export async function showAgain(
  parts: Omit<PrepareParts, 'refusals'>,
  messageId: number,
  { now, settings }: { now: Date; settings: Settings },
): Promise<ShownMessage | null> {
  const { rows } = await sql<MessageTable>`
    select * from message where shard = ${shardOfId(messageId)} and id = ${messageId} and address <> ''`.execute(
    parts.db,
  )
  const [row] = rows
  if (!row) return null
  // No worker holds it for this.
  const message = { ...row, worker_id: 0 }
  const templates = await loadTemplates(parts, [message])
  const template = templates.get(message)
  if (!template || template.fields.is_unviewable) return null
  const facts = await loadFacts(parts, [message], templates)
  const person = facts.people.get(message.profile_id)
  if (!person) return null
  const env = { now: message.sent_at ?? now, settings, inBrowser: true }
  const outcome = renderFor(parts, message, template, person, facts, env)
  if (outcome.kind !== 'rendered') return null
  const { rendered, optoutUrl } = outcome
  const { subject, html, text } = rendered
  return {
    subject,
    ...(isCommercial(message, template) ? withOptoutFooter({ html, text }, optoutUrl, true) : { html, text }),
  }
}

/** As it was put together when it was sent. */
const isCommercial = (message: MessageTable, template: LoadedTemplate) =>
  !template.isBasic && message.kind !== 'receipt' && message.kind !== 'optin' && !template.isOptinConfirm
