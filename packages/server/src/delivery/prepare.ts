import { type Activity, NO_ACTIVITY, readActivity } from '../activity/read.ts'
import { decide, type MessageKind } from '../consent/decide.ts'
import { loadRecipients } from '../consent/recipients.ts'
import type { Links } from '../links/links.ts'
import type { Lists } from '../lists/lists.ts'
import type { Database, Queryable } from '../platform/database.ts'
import type { ProfileState } from '../profiles/change.ts'
import { engagementOf } from '../profiles/engagement.ts'
import { findProfiles } from '../profiles/read.ts'
import type { Settings } from '../settings/settings.ts'
import { type PurchaseHistory, profileData } from '../templates/profile-data.ts'
import type { LoadedTemplate, Templates } from '../templates/templates.ts'
import type { Draft } from './compose.ts'
import type { ClaimedMessage, Settlement } from './queue.ts'
import { type RenderOutcome, render } from './render.ts'

/** A message ready to be handed over. */
export interface ReadyMessage {
  message: ClaimedMessage
  template: LoadedTemplate
  /** Put together once it is known what the server that gets it can take. */
  draft: Draft
}

/** What became of a claimed message: ready, or at its end already. */
export type Prepared = { kind: 'ready'; ready: ReadyMessage } | { kind: 'settled'; settlement: Settlement }

export interface PrepareParts {
  db: Database
  templates: Pick<Templates, 'byRevisions' | 'byIds'>
  lists: Pick<Lists, 'ensure' | 'find' | 'byIds'>
  links: Pick<Links, 'optoutPage' | 'confirm' | 'tracked' | 'rewriter'>
  sendIdOf: (messageId: number) => string
  /** Purchases of people, for templates that read them. */
  histories: (q: Queryable, profileIds: readonly number[]) => Promise<Map<number, PurchaseHistory>>
}

/** Decides again about each message, as the person may have decided anew since it was queued; renders, composes. */
export async function prepare(
  parts: PrepareParts,
  messages: readonly ClaimedMessage[],
  env: { now: Date; settings: Settings },
): Promise<Prepared[]> {
  const { db } = parts
  const [templates, recipients] = await Promise.all([
    loadTemplates(parts, messages),
    loadRecipients(
      db,
      messages.map((one) => ({ profileId: one.profile_id, address: one.address, templateId: one.template_id })),
    ),
  ])
  const verdicts = messages.map((message, index) => {
    const template = templates.get(message)
    const recipient = recipients[index]
    if (!template) return 'template_gone'
    if (template.isDisabled) return 'template_disabled'
    if (!recipient) return 'profile_gone'
    const decision = decide(recipient, kindNow(message, template))
    return decision.allowed ? template : decision.reason
  })
  const wanted = messages.filter((_, index) => typeof verdicts[index] !== 'string')
  const facts = await loadFacts(parts, wanted, templates)
  return Promise.all(
    messages.map(async (message, index): Promise<Prepared> => {
      const verdict = verdicts[index]!
      if (typeof verdict === 'string') return ended(message, 'suppressed', verdict)
      const profile = facts.profiles.get(message.profile_id)
      if (!profile) return ended(message, 'suppressed', 'profile_gone')
      return make(parts, message, verdict, profile, facts, env)
    }),
  )
}

/**
 * What the message counts as now. Campaigns and receipts stay what they are; the right to reach somebody who opted out is the template's,
 * and is lost when it is renamed or loses its link; and whether a template is transactional may have changed.
 */
function kindNow(message: ClaimedMessage, template: LoadedTemplate): MessageKind {
  if (message.kind === 'campaign' || message.kind === 'receipt') return message.kind
  if (message.kind === 'optin' && template.isOptinConfirm) return 'optin'
  return template.isBasic ? 'basic' : 'triggered'
}

/** The revision that was accepted, or for scheduled messages the current one. */
export async function loadTemplates(
  { templates }: PrepareParts,
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
  profiles: Map<number, ProfileState>
  listNames: Map<number, { name: string }>
  histories: Map<number, PurchaseHistory>
  activities: Map<number, Activity>
}

/** People with what templates may read of them, for all messages together. */
export async function loadFacts(
  { db, lists, histories }: PrepareParts,
  messages: readonly ClaimedMessage[],
  templates: ReadonlyMap<ClaimedMessage, LoadedTemplate>,
): Promise<Facts> {
  const ids = [...new Set(messages.map((one) => one.profile_id))]
  if (ids.length === 0)
    return { profiles: new Map(), listNames: new Map(), histories: new Map(), activities: new Map() }
  const buyers = messages.filter((one) => readsPurchases(templates.get(one)!)).map((one) => one.profile_id)
  const watched = messages.filter((one) => readsActivity(templates.get(one)!)).map((one) => one.profile_id)
  const [found, history, activities] = await Promise.all([
    findProfiles(
      db,
      ids.map((value) => ({ kind: 'id' as const, value })),
    ),
    buyers.length > 0 ? histories(db, [...new Set(buyers)]) : new Map<number, PurchaseHistory>(),
    readActivity(db, [...new Set(watched)]),
  ])
  const profiles = new Map(found.flatMap((state) => (state ? [[state.id, state] as const] : [])))
  const listIds = new Set([...profiles.values()].flatMap((state) => [...state.lists.keys()]))
  const listNames = listIds.size > 0 ? await lists.byIds([...listIds]) : new Map<number, { name: string }>()
  return { profiles, listNames, histories: history, activities }
}

const readsPurchases = (template: LoadedTemplate) => readsAny(template, 'purchased_items', /^profile\.purchase/)

const readsActivity = (template: LoadedTemplate) =>
  readsAny(template, 'user_engagement', /^profile\.(?:engagement|open_time|click_time)$/)

/** Whether a template calls a function, or reads such members of the profile or the profile as a whole. */
function readsAny(template: LoadedTemplate, called: string, members: RegExp): boolean {
  const { functions, paths, variables } = readsOf(template)
  return (
    functions.includes(called) ||
    paths.some((path) => members.test(path)) ||
    (variables.includes('profile') && !paths.some((path) => path.startsWith('profile.')))
  )
}

const NOTHING = { functions: [], paths: [], variables: [] }

/** A revision that no longer compiles reads nothing; rendering it says so. */
function readsOf(template: LoadedTemplate): {
  functions: readonly string[]
  paths: readonly string[]
  variables: readonly string[]
} {
  try {
    return template.message.reads
  } catch {
    return NOTHING
  }
}

async function make(
  parts: PrepareParts,
  message: ClaimedMessage,
  template: LoadedTemplate,
  state: ProfileState,
  facts: Facts,
  env: { now: Date; settings: Settings },
): Promise<Prepared> {
  const { now } = env
  const outcome = await renderFor(parts, message, template, state, facts, env)
  if (outcome.kind === 'stopped') return ended(message, 'cancelled', outcome.reason)
  if (outcome.kind === 'failed') return ended(message, 'failed', 'render', outcome.reason)
  if (outcome.kind === 'needs') return ended(message, 'failed', 'render', `unknown lists: ${outcome.lists.join(', ')}`)
  const draft = {
    message,
    template,
    rendered: outcome.rendered,
    optoutUrl: outcome.optoutUrl,
    recipientName: textOf(message.vars.name) ?? textOf(state.vars.name),
    textOnly: isOn(message.vars.text_only ?? state.vars.text_only),
    now,
  }
  return { kind: 'ready', ready: { message, template, draft } }
}

/** Renders a message for one person. */
export async function renderFor(
  parts: PrepareParts,
  message: ClaimedMessage,
  template: LoadedTemplate,
  state: ProfileState,
  facts: Facts,
  { now, settings, inBrowser }: { now: Date; settings: Settings; inBrowser?: boolean },
): Promise<RenderOutcome> {
  // Nothing is rendered for an address that bounced for good, so only the person's own doings count here.
  const activity = facts.activities.get(state.id) ?? NO_ACTIVITY
  const engagement = engagementOf(state, 'ok', now, activity)
  const profile = profileData(state, facts.listNames, facts.histories.get(state.id) ?? null, engagement, activity)
  const { timezone: timeZone, pixel_needs_consent: pixelNeedsConsent } = settings
  const env = { now, timeZone, engagement, pixelNeedsConsent, inBrowser }
  const attempt = (lists: ReadonlyMap<string, number>): RenderOutcome => {
    try {
      return render(parts, message, template, profile, lists, env)
    } catch (error) {
      return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) }
    }
  }
  const outcome = attempt(new Map())
  // Rendering cannot wait for the database, so it says which lists it wants and is done once more with them.
  return outcome.kind === 'needs' ? attempt(await parts.lists.ensure(outcome.lists)) : outcome
}

function ended(
  message: ClaimedMessage,
  state: Settlement['state'],
  reason: string,
  reply: string | null = null,
): Prepared {
  const settlement = { id: message.id, state, reason, reply, dueAt: null, revisionId: message.revision_id }
  return { kind: 'settled', settlement }
}

/** Control characters in a name would end the header. */
function textOf(value: unknown): string | null {
  if (typeof value !== 'string') return null
  return value.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim() || null
}

const isOn = (value: unknown) => value === true || value === 1 || value === '1' || value === 'true'
