import type { Generated } from 'kysely'
import type { JsonObject } from '../platform/json.ts'
import type { TemplateFields } from '../templates/fields.ts'
import type { ScheduleType } from './send-time.ts'

/**
 * Where a campaign stands. `created` is a draft; `scheduled` waits for its time; `sending` and `paused` have begun;
 * `sent` is complete; `cancelled` was ended early. Whether messages go out is read from here and nowhere else, so
 * pausing a million of them is one update of one row.
 */
export type CampaignStatus = 'created' | 'scheduled' | 'sending' | 'paused' | 'sent' | 'cancelled'

/** Whom of the recipients of an earlier campaign this one is for. */
export const CRITERIA = ['opened', 'clicked', 'purchased', 'not_opened', 'not_clicked', 'not_purchased'] as const
export type Criterion = (typeof CRITERIA)[number]

/** A content that some of the recipients get in place of the campaign's own. */
export interface Variant {
  name: string
  content: TemplateFields
}

/** What the author decided besides content and lists. */
export interface CampaignPlan {
  /** Replacement vars that hold for all recipients. */
  vars: JsonObject
  /** Kept for the author: where a report would go. */
  reportEmail: string
  /** Get the campaign as well, whether on its lists or not. */
  seedEmails: string[]
  /** Name of the template that the content was copied from. */
  copiedFrom: string | null
  /** Template whose content is taken when the sending begins. */
  evalTemplateId: number | null
  /** Campaign to whose recipients this one is limited, and which of them. */
  previousId: number | null
  criterion: Criterion | null
  /** Spread over so many hours; 0: as fast as it goes. */
  hours: number
  scheduleType: ScheduleType
  /** For people whose own time is not known: `HH:MM`, or a moment (ISO 8601); null: the scheduled moment. */
  fallbackTime: string | null
  /** The account's zone when the author saved it: the scheduled time is read on its clocks. */
  zone: string
  variants: Variant[]
  /** Share of the people who take part in the comparison of variants, in percent. */
  testPercent: number
  isPublic: boolean
  autoconvertText: boolean
  isCapped: boolean
}

export const EMPTY_PLAN: CampaignPlan = {
  vars: {},
  reportEmail: '',
  seedEmails: [],
  copiedFrom: null,
  evalTemplateId: null,
  previousId: null,
  criterion: null,
  hours: 0,
  scheduleType: 'specific',
  fallbackTime: null,
  zone: 'UTC',
  variants: [],
  testPercent: 100,
  isPublic: false,
  autoconvertText: false,
  isCapped: false,
}

export interface CampaignTable {
  id: Generated<number>
  name: string
  status: CampaignStatus
  content: TemplateFields
  plan: Partial<CampaignPlan>
  list_ids: number[]
  suppress_ids: number[]
  scheduled_for: Date | null
  /** When its sending begins: ahead of the schedule where some people's clocks are. Null: not scheduled. */
  begins_at: Date | null
  /** Frozen contents: the campaign's own, then those of its variants. Empty until it is scheduled. */
  revision_ids: number[]
  repeat_id: number | null
  /** Which occurrence of its repeat it is. */
  occurs_at: Date | null
  started_at: Date | null
  stopped_at: Date | null
  created_at: Date
  modified_at: Date
  /** API key or operator. */
  modified_by: string | null
  /** Why it went back to being a draft instead of beginning, or was paused while it was sent. */
  problem: string | null
}

/**
 * How far the recipients of a campaign are written; gone when all are. Apart from the campaign, so that who pauses or
 * cancels one never waits for a chunk of recipients to be written.
 */
export interface FillTable {
  campaign_id: number
  /** Place in `list_ids`, and the last member there. */
  place: number
  after_shard: number
  after_profile: number
  /** When the last chunk was written: the longest ago goes next. */
  turn_at: Date | null
}

/** When a repeat occurs. */
export interface RepeatRule {
  /** Weekdays, 1 (Monday) to 7; empty when days of the month are given. */
  days: number[]
  /** Days of the month, 1 to 31; in shorter months those past the end do not occur. */
  monthDays: number[]
  /** Minutes after midnight, on the account's clocks. */
  sendTime: number
  /** Hours before its time at which a campaign is made. */
  generateHours: number
  /** First and last moment; ISO 8601. */
  startsAt: string | null
  endsAt: string | null
}

export type RepeatPlan = Pick<CampaignPlan, 'reportEmail' | 'seedEmails' | 'previousId' | 'criterion'> & {
  dataFeedUrl: string
  isStatic: boolean
}

export interface RepeatTable {
  id: Generated<number>
  name: string
  status: 'active' | 'inactive'
  template_id: number
  list_ids: number[]
  suppress_ids: number[]
  rule: RepeatRule
  plan: RepeatPlan
  /** The next occurrence for which no campaign was made; null: there is none. */
  next_at: Date | null
  created_at: Date
  created_by: string | null
  modified_at: Date
  modified_by: string | null
  /** Why the last campaign could not be made. */
  problem: string | null
  problem_at: Date | null
}

declare module '../platform/database.ts' {
  interface Schema {
    campaign: CampaignTable
    campaign_fill: FillTable
    campaign_repeat: RepeatTable
  }
}
