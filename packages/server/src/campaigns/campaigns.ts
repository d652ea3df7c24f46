import { sql } from 'kysely'
import type { Clock } from '../platform/clock.ts'
import type { Database, Queryable, Tx } from '../platform/database.ts'
import type { Profiles } from '../profiles/door.ts'
import { readSettings } from '../settings/settings.ts'
import { EMPTY_FIELDS, type TemplateChange, type TemplateFields, withChange } from '../templates/fields.ts'
import { missingIn, problemWithContents, withFrozenContent } from './freeze.ts'
import { type Campaign, type CampaignFilter, countByStatus, listCampaigns, readCampaign } from './read.ts'
import { beginsAt } from './send-time.ts'
import { type CampaignPlan, type CampaignStatus, EMPTY_PLAN } from './tables.ts'
import { sendTest, type TestOutcome } from './test-send.ts'

/** A save: what is left out stays as it is. */
export interface CampaignChange {
  name?: string
  /** Takes the place of the whole content before `content` changes it. */
  base?: TemplateFields
  content?: TemplateChange
  plan?: Partial<CampaignPlan>
  listIds?: number[]
  suppressIds?: number[]
  /** A time: schedule for then; null: make it a draft again. */
  scheduledFor?: Date | null
}

export type CampaignSaveOutcome =
  | { ok: true; campaign: Campaign }
  | { ok: false; reason: 'unknown' | 'too_late' }
  /** `problem`: what is wrong with the content, for its author. */
  | { ok: false; reason: 'invalid'; problem: string }
  /** Scheduled without something that it cannot go without, named as the API names it. */
  | { ok: false; reason: 'missing'; field: string }

export type Control = 'pause' | 'resume' | 'cancel'

export type ControlOutcome = { ok: true; campaign: Campaign } | { ok: false; reason: 'unknown' | 'wrong_status' }

export interface Campaigns {
  get(id: number): Promise<Campaign | null>
  list(filter: CampaignFilter): Promise<{ campaigns: Campaign[]; total: number }>
  countByStatus(): Promise<Map<CampaignStatus, number>>
  /** Creates a campaign (`id` null) or changes one that has not begun. */
  save(id: number | null, change: CampaignChange, by: string | null): Promise<CampaignSaveOutcome>
  /** Stops or goes on with a campaign that has begun. What is already on its way to the mail server is not held up. */
  control(id: number, what: Control, by: string | null): Promise<ControlOutcome>
  /** Removes a campaign that has not begun. */
  remove(id: number): Promise<'removed' | 'unknown' | 'too_late'>
  /** Sends the campaign as it is now to one address, marked as a test, whatever its status. */
  test(campaign: Campaign, email: string, by: string | null): Promise<TestOutcome>
}

export interface CampaignParts {
  db: Database
  clock: Clock
  profiles: Pick<Profiles, 'change'>
  /** Called when a campaign may have something to do. */
  wake: () => void
  /** Called when messages were queued or may go on. */
  wakeDelivery: () => void
}

export function createCampaigns(parts: CampaignParts): Campaigns {
  const { db, clock, wake, wakeDelivery } = parts
  return {
    get: (id) => readCampaign(db, id),
    list: (filter) => listCampaigns(db, filter),
    countByStatus: () => countByStatus(db),

    async save(id, change, by) {
      const outcome = await db.transaction().execute((tx) => saveCampaign(tx, id, change, by, clock.now()))
      if (outcome.ok && outcome.campaign.status === 'scheduled') wake()
      return outcome
    },

    async control(id, what, by) {
      const outcome = await controlCampaign(db, id, what, by, clock.now())
      if (outcome.ok) wake()
      if (outcome.ok && what === 'resume') wakeDelivery()
      return outcome
    },

    remove: (id) =>
      db.transaction().execute(async (tx) => {
        const campaign = await readCampaign(tx, id, true)
        if (!campaign) return 'unknown'
        if (!isEditable(campaign)) return 'too_late'
        await sql`delete from campaign where id = ${id}`.execute(tx)
        return 'removed'
      }),

    test: (campaign, email, by) => sendTest(parts, campaign, email, by),
  }
}

/** Until it begins a campaign can be changed and removed. */
export const isEditable = ({ status }: Pick<Campaign, 'status'>) => status === 'created' || status === 'scheduled'

/** The save inside a transaction of the caller's. */
export async function saveCampaign(
  tx: Tx,
  id: number | null,
  change: CampaignChange,
  by: string | null,
  now: Date,
): Promise<CampaignSaveOutcome> {
  const before = id === null ? null : await readCampaign(tx, id, true)
  if (id !== null && !before) return { ok: false, reason: 'unknown' }
  if (before && !isEditable(before)) return { ok: false, reason: 'too_late' }
  const content = withChange(change.base ?? before?.content ?? EMPTY_FIELDS, change.content ?? {})
  const { timezone: zone } = await readSettings(tx)
  const plan: CampaignPlan = { ...EMPTY_PLAN, ...before?.plan, ...change.plan, zone }
  const problem = problemWithContents(content, plan.variants)
  if (problem !== null) return { ok: false, reason: 'invalid', problem }
  const scheduledFor = change.scheduledFor === undefined ? (before?.scheduledFor ?? null) : change.scheduledFor
  const listIds = change.listIds ?? before?.listIds ?? []
  const status: CampaignStatus = scheduledFor === null ? 'created' : 'scheduled'
  if (status === 'scheduled') {
    const missing = listIds.length === 0 ? 'list' : plan.evalTemplateId === null ? missingIn(content) : null
    if (missing !== null) return { ok: false, reason: 'missing', field: missing }
  }
  const saved = await write(tx, {
    id,
    name: change.name ?? before?.name ?? '',
    status,
    content,
    plan,
    listIds,
    suppressIds: change.suppressIds ?? before?.suppressIds ?? [],
    scheduledFor,
    by,
    now,
  })
  if (status === 'created') return { ok: true, campaign: saved }
  return { ok: true, campaign: await withFrozenContent(tx, saved, now) }
}

interface Written
  extends Pick<Campaign, 'name' | 'status' | 'content' | 'plan' | 'listIds' | 'suppressIds' | 'scheduledFor'> {
  id: number | null
  by: string | null
  now: Date
}

async function write(tx: Tx, one: Written): Promise<Campaign> {
  const { id, name, status, content, plan, listIds, suppressIds, scheduledFor, by, now } = one
  const begins = scheduledFor && beginsAt({ type: plan.scheduleType, scheduledFor, zone: plan.zone })
  const columns = sql`${name}, ${status}, ${JSON.stringify(content)}::json, ${JSON.stringify(plan)}::json,
    ${listIds}::int[], ${suppressIds}::int[], ${scheduledFor}::timestamptz, ${begins}::timestamptz, ${now}::timestamptz,
    ${by}::text, null`
  const names = sql.raw(
    'name, status, content, plan, list_ids, suppress_ids, scheduled_for, begins_at, modified_at, modified_by, problem',
  )
  const { rows } =
    id === null
      ? await sql<{ id: number }>`
          insert into campaign (${names}, created_at) values (${columns}, ${now}) returning id`.execute(tx)
      : await sql<{ id: number }>`
          update campaign set (${names}) = (${columns}) where id = ${id} returning id`.execute(tx)
  return (await readCampaign(tx, rows[0]!.id))!
}

/** From which status each control leads where. Asking again for what is so already is no error. */
const CONTROLS: { [what in Control]: { from: CampaignStatus[]; to: CampaignStatus } } = {
  pause: { from: ['sending'], to: 'paused' },
  resume: { from: ['paused'], to: 'sending' },
  cancel: { from: ['scheduled', 'sending', 'paused'], to: 'cancelled' },
}

/** Stops or goes on with a campaign. Workers see it by themselves within half a second. */
export async function controlCampaign(
  q: Queryable,
  id: number,
  what: Control,
  by: string | null,
  now: Date,
): Promise<ControlOutcome> {
  const { from, to } = CONTROLS[what]
  const { numAffectedRows } = await sql`
    update campaign set status = ${to}, problem = null, modified_at = ${now}, modified_by = ${by}
    where id = ${id} and status = any(${from}::text[])`.execute(q)
  const campaign = await readCampaign(q, id)
  if (!campaign) return { ok: false, reason: 'unknown' }
  return numAffectedRows === 1n || campaign.status === to
    ? { ok: true, campaign }
    : { ok: false, reason: 'wrong_status' }
}
