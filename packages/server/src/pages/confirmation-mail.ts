import type { JsonObject } from '../platform/json.ts'
import { shardOfId } from '../platform/shard.ts'
import { enqueue } from '../sends/enqueue.ts'
import type { LoadedTemplate } from '../templates/templates.ts'
import type { Page } from './answer.ts'
import { notice } from './notices.ts'
import type { PageParts } from './parts.ts'
import type { PageTools } from './preferences.ts'

/** The template that alone may reach people who opted out. */
const OPTIN_CONFIRM = 'Opt-in Confirm'

/**
 * Mails the account's opt-in confirmation, within the limit that protects a mailbox from being flooded.
 *
 * @param dedupeKey a second request with the same key sends nothing
 * @returns false when the account has no such template or the message may not be sent
 */
export async function mailConfirmation(
  parts: PageParts,
  profileId: number,
  address: string,
  dedupeKey?: string,
): Promise<boolean> {
  const template = await parts.templates.byName(OPTIN_CONFIRM)
  if (!template?.isOptinConfirm) {
    parts.log.warn({ template: OPTIN_CONFIRM }, 'somebody asked to be opted in again, but there is no template for it')
    return false
  }
  return queue(parts, { profileId, address, template, vars: {}, ...(dedupeKey === undefined ? {} : { dedupeKey }) })
}

/** The answer is the same whatever happens. One link asks for one other, so it cannot flood a mailbox. */
export async function mailFresh(parts: PageParts, tools: PageTools, token: string): Promise<Page> {
  await parts.links.learnKeys(token)
  const opened = parts.links.openConfirm(token)
  if (!opened.ok && opened.problem === 'bad') return notice(parts, tools.builtIn, 'invalid')
  const { profileId, messageId, tokenId, addressHash, lists } = opened.confirm
  const requested = () => notice(parts, tools.builtIn, 'requested')
  const { person, message } = await tools.visits({ profileId, messageId, page: '' })
  if (!person?.email || !parts.links.isOfAddress(addressHash, person.email)) return requested()
  const spent = await parts.profiles.change({
    person: { kind: 'id', value: profileId },
    create: false,
    act: { via: 'confirm_link', evidence: 2 },
    spend: { id: `fresh:${tokenId}`, purpose: 'fresh' },
  })
  if (!spent.ok) return requested()
  const template = message?.template ? await parts.templates.byId(message.template.id) : null
  const isPlain = !lists && (!template || template.isOptinConfirm || messageId === null)
  if (isPlain) await mailConfirmation(parts, profileId, person.email)
  else if (template && messageId !== null) {
    // The same message with the same variables: its link is made anew.
    const vars = await varsOf(parts, messageId)
    await queue(parts, { profileId, address: person.email, template, vars })
  }
  return requested()
}

async function varsOf({ db }: PageParts, messageId: number): Promise<JsonObject> {
  const row = await db
    .selectFrom('message')
    .select('vars')
    .where('shard', '=', shardOfId(messageId))
    .where('id', '=', messageId)
    .executeTakeFirst()
  return row?.vars ?? {}
}

async function queue(
  { db, clock, settings }: PageParts,
  request: { profileId: number; address: string; template: LoadedTemplate; vars: JsonObject; dedupeKey?: string },
): Promise<boolean> {
  const env = { now: clock.now(), settings: await settings.get() }
  const [outcome] = await db
    .transaction()
    .execute((tx) => enqueue(tx, [{ ...request, options: {}, origin: 'page' }], env))
  return outcome?.ok ?? false
}
