import { sql } from 'kysely'
import { type Activity, readActivity } from '../activity/read.ts'
import { decide, type Recipient } from '../consent/decide.ts'
import { stricter } from '../consent/levels.ts'
import { type LoadedRecipient, loadRecipients } from '../consent/recipients.ts'
import type { Refusals } from '../consent/refusals.ts'
import type { Links } from '../links/links.ts'
import type { Lists } from '../lists/lists.ts'
import type { Database, Queryable } from '../platform/database.ts'
import { parseAddress } from '../profiles/address.ts'
import { type ProfileFacts, readFacts } from '../profiles/read.ts'
import { leftAs } from '../profiles/wishes.ts'
import { type DecidedCopies, decideCopies } from '../sends/copies.ts'
import { kindNow } from '../sends/kind.ts'
import type { SendOptions } from '../sends/message-table.ts'
import type { Settings } from '../settings/settings.ts'
import type { PurchaseHistory } from '../templates/profile-data.ts'
import { readsActivity, readsLists, readsPurchases } from '../templates/reads.ts'
import type { LoadedTemplate, Templates } from '../templates/templates.ts'
import { type ClaimedMessage, ended, type Settlement } from './queue.ts'

/**
 * A message that may go out. It is rendered and put together at the very moment at which a connection takes it: what is
 * made of it is a hundred times larger than what it is made of, and should not lie about.
 */
export interface ReadyMessage {
  message: ClaimedMessage
  template: LoadedTemplate
  person: ProfileFacts
  /** Those of the message, without copies that may not get it. */
  options: SendOptions
  facts: Facts
  env: PrepareEnv
}

/** What became of a claimed message: ready, or at its end already. */
export type Prepared = { kind: 'ready'; ready: ReadyMessage } | { kind: 'settled'; settlement: Settlement }

export interface PrepareEnv {
  now: Date
  settings: Settings
  /** Milliseconds of a clock that only runs forward. */
  decidedAt: number
}

export interface PrepareParts {
  db: Database
  templates: Pick<Templates, 'byRevisions' | 'byIds'>
  lists: Pick<Lists, 'ensure' | 'find' | 'byIds'>
  links: Pick<Links, 'optoutPage' | 'confirm' | 'tracked' | 'rewriter'>
  sendIdOf: (messageId: number) => string
  refusals: Pick<Refusals, 'wishesOf'>
  /** Purchases of people, for templates that read them. */
  histories: (q: Queryable, profileIds: readonly number[]) => Promise<Map<number, PurchaseHistory>>
}

/**
 * Decides again about each message and its copies, as people may have decided anew since it was queued, and loads what
 * it needs.
 */
export async function prepare(
  parts: PrepareParts,
  messages: readonly ClaimedMessage[],
  env: PrepareEnv,
): Promise<Prepared[]> {
  const { db } = parts
  const [templates, recipients] = await Promise.all([
    loadTemplates(parts, messages),
    loadRecipients(
      db,
      messages.map((one) => ({ profileId: one.profile_id, address: one.address, templateId: one.template_id })),
    ),
  ])
  const strict = await withRefusalsOfMailboxes(parts, messages, recipients, templates)
  const twice = await alsoWrittenToSurvivor(db, messages, recipients)
  const verdicts = messages.map((message, index) => {
    const template = usable(templates.get(message))
    const recipient = strict[index]
    if (typeof template === 'string') return template
    if (!recipient || twice.has(message.id)) return 'profile_gone'
    const decision = decide(recipient, kindNow(message.kind, template))
    return decision.allowed ? template : decision.reason
  })
  const wanted = messages.filter((_, index) => typeof verdicts[index] !== 'string')
  const [facts, copies] = await Promise.all([
    loadFacts(parts, wanted, templates),
    decideCopies(
      db,
      parts.refusals.wishesOf,
      messages.map(({ address, kind, options }, index) => {
        const template = verdicts[index]!
        return typeof template === 'string' || !options.headers
          ? null
          : { address, kind: kindNow(kind, template), template, options }
      }),
    ),
  ])
  return messages.map((message, index) => ready(message, verdicts[index]!, facts, env, copies[index]))
}

/**
 * A message may wait while its person gets another address. What was refused for the mailbox that it goes to stands then
 * beside what the person refuses.
 */
async function withRefusalsOfMailboxes(
  { db, refusals }: PrepareParts,
  messages: readonly ClaimedMessage[],
  recipients: ReadonlyArray<LoadedRecipient | null>,
  templates: ReadonlyMap<ClaimedMessage, LoadedTemplate>,
): Promise<ReadonlyArray<Recipient | null>> {
  const lookupOf = ({ address }: ClaimedMessage) => parseAddress(address)?.lookup ?? ''
  const foreign = messages.filter((_, index) => recipients[index]?.isOwnAddress === false)
  if (foreign.length === 0) return recipients
  const wishes = await refusals.wishesOf(db, foreign.map(lookupOf))
  return recipients.map((recipient, index) => {
    const message = messages[index]!
    const refused = recipient?.isOwnAddress === false ? wishes.get(lookupOf(message)) : undefined
    if (!recipient || !refused) return recipient
    const { template_id: id } = message
    const left = id !== null && leftAs(refused.templateOptouts, id, templates.get(message)?.publicName ?? '').length > 0
    return {
      ...recipient,
      level: stricter(recipient.level, refused.level),
      isOutOfTemplate: recipient.isOutOfTemplate || left,
    }
  })
}

/** Messages of campaigns to people who were merged, where the survivor has one of their own. */
async function alsoWrittenToSurvivor(
  db: Database,
  messages: readonly ClaimedMessage[],
  recipients: ReadonlyArray<LoadedRecipient | null>,
): Promise<Set<number>> {
  const moved = messages.flatMap(({ id, profile_id, campaign_id }, index) => {
    const survivor = recipients[index]?.profileId
    if (campaign_id === null || survivor === undefined || survivor === profile_id) return []
    return [{ id, campaign_id, survivor }]
  })
  if (moved.length === 0) return new Set()
  const { rows } = await sql<{ id: number }>`
    select w.id from unnest(${moved.map(({ id }) => id)}::bigint[], ${moved.map(({ survivor }) => survivor)}::bigint[],
      ${moved.map(({ campaign_id }) => campaign_id)}::int[]) as w(id, profile_id, campaign_id)
    join message m on m.shard = (w.profile_id & 63)::smallint and m.profile_id = w.profile_id
      and m.campaign_id = w.campaign_id`.execute(db)
  return new Set(rows.map(({ id }) => id))
}

/** The same for messages about which it was decided, and whose people were read, as they were written a moment ago. */
export async function prepareFresh(
  parts: PrepareParts,
  messages: readonly ClaimedMessage[],
  people: ReadonlyMap<number, ProfileFacts>,
  env: PrepareEnv,
): Promise<Prepared[]> {
  const templates = await loadTemplates(parts, messages)
  const verdicts = messages.map((message) => usable(templates.get(message)))
  const wanted = messages.filter((_, index) => typeof verdicts[index] !== 'string')
  const facts = await loadFacts(parts, wanted, templates, people)
  return messages.map((message, index) => ready(message, verdicts[index]!, facts, env))
}

/** The template, or why it cannot be used. */
function usable(template: LoadedTemplate | undefined): LoadedTemplate | string {
  if (!template) return 'template_gone'
  return template.isDisabled ? 'template_disabled' : template
}

function ready(
  message: ClaimedMessage,
  verdict: LoadedTemplate | string,
  facts: Facts,
  env: PrepareEnv,
  copies?: DecidedCopies,
): Prepared {
  if (typeof verdict === 'string') return { kind: 'settled', settlement: ended(message, 'suppressed', verdict) }
  const person = facts.people.get(message.profile_id)
  if (!person) return { kind: 'settled', settlement: ended(message, 'suppressed', 'profile_gone') }
  const options = copies?.options ?? message.options
  return { kind: 'ready', ready: { message, template: verdict, person, options, facts, env } }
}

/** The revision that was accepted, or for scheduled messages the current one. */
export async function loadTemplates(
  { templates }: Pick<PrepareParts, 'templates'>,
  messages: readonly ClaimedMessage[],
): Promise<Map<ClaimedMessage, LoadedTemplate>> {
  const revisionIds = new Set<number>()
  const ids = new Set<number>()
  for (const { revision_id, template_id } of messages) {
    if (revision_id !== null) revisionIds.add(revision_id)
    else if (template_id !== null) ids.add(template_id)
  }
  const [byRevision, byId] = await Promise.all([
    revisionIds.size > 0 ? templates.byRevisions([...revisionIds]) : new Map<number, LoadedTemplate>(),
    ids.size > 0 ? templates.byIds([...ids]) : new Map<number, LoadedTemplate>(),
  ])
  const found = new Map<ClaimedMessage, LoadedTemplate>()
  for (const message of messages) {
    const { revision_id, template_id } = message
    const template = revision_id === null ? byId.get(template_id ?? 0) : byRevision.get(revision_id)
    if (template) found.set(message, template)
  }
  return found
}

/** What templates may read of the people behind some messages. */
export interface Facts {
  people: ReadonlyMap<number, ProfileFacts>
  listNames: ReadonlyMap<number, { name: string }>
  histories: ReadonlyMap<number, PurchaseHistory>
  activities: ReadonlyMap<number, Activity>
}

/**
 * People with what templates may read of them, for all messages together.
 *
 * @param known people who were read already, with their lists if their template reads any
 */
export async function loadFacts(
  { db, lists, histories }: Pick<PrepareParts, 'db' | 'lists' | 'histories'>,
  messages: readonly ClaimedMessage[],
  templates: ReadonlyMap<ClaimedMessage, LoadedTemplate>,
  known?: ReadonlyMap<number, ProfileFacts>,
): Promise<Facts> {
  const of = (reads: (template: LoadedTemplate) => boolean) => {
    const some = new Set<LoadedTemplate>([...new Set(templates.values())].filter(reads))
    return [...new Set(messages.flatMap((one) => (some.has(templates.get(one)!) ? [one.profile_id] : [])))]
  }
  const ids = known ? [] : [...new Set(messages.map((one) => one.profile_id))]
  const people = known ?? (await readFacts(db, ids, of(readsLists).length > 0))
  // Of who was merged since, what is read is the survivor's.
  const present = (asked: readonly number[]) => asked.flatMap((id) => people.get(id)?.id ?? [])
  const [buyers, watched] = [present(of(readsPurchases)), present(of(readsActivity))]
  const [history, activities] = await Promise.all([
    buyers.length > 0 ? histories(db, buyers) : NOBODY,
    watched.length > 0 ? readActivity(db, watched) : NOBODY,
  ])
  const listIds = new Set<number>()
  for (const person of people.values()) for (const id of person.lists.keys()) listIds.add(id)
  const listNames = listIds.size > 0 ? await lists.byIds([...listIds]) : NOBODY
  return { people, listNames, histories: history, activities }
}

const NOBODY = new Map<number, never>()
