import type { Campaign } from '../campaigns/read.ts'
import type { CampaignPlan, CampaignStatus } from '../campaigns/tables.ts'
import { emptyTotals, type Totals } from '../campaigns/totals.ts'
import { formatRfc2822 } from '../platform/time-text.ts'
import type { Answer } from './answer.ts'

/** Statuses as callers know them: a pause is a state of sending, and who cancels the rest has sent. */
export type BlastStatus = 'created' | 'scheduled' | 'sending' | 'sent'

const SHOWN: { [status in CampaignStatus]: BlastStatus } = {
  created: 'created',
  scheduled: 'scheduled',
  sending: 'sending',
  paused: 'sending',
  sent: 'sent',
  cancelled: 'sent',
}

/** What each word that callers may ask for stands for. */
export const ASKED: { [word: string]: { status: BlastStatus; of: CampaignStatus[] } } = {
  created: { status: 'created', of: ['created'] },
  unscheduled: { status: 'created', of: ['created'] },
  draft: { status: 'created', of: ['created'] },
  scheduled: { status: 'scheduled', of: ['scheduled'] },
  sending: { status: 'sending', of: ['sending', 'paused'] },
  sent: { status: 'sent', of: ['sent', 'cancelled'] },
}

/** What is shown of a campaign besides itself. */
export interface BlastFacts {
  timezone: string
  /** Names by list id. */
  lists: ReadonlyMap<number, { name: string }>
  /** Null: its sending has not begun. */
  totals: Totals | null
  /** Members of its lists, for campaigns that have not begun. */
  expected: number
}

/** A campaign as one of many. */
export function showItem(campaign: Campaign, { timezone, lists, totals, expected }: BlastFacts): Answer {
  const { id, name, status, content, plan } = campaign
  const at = (moment: Date | null) => moment && formatRfc2822(moment, timezone)
  const counted = totals ?? emptyTotals()
  return {
    blast_id: id,
    name,
    labels: content.labels,
    subject: content.subject,
    list: namesOf(campaign.listIds, lists),
    mode: content.mode || 'email',
    data_feed_url: content.data_feed_url,
    status: SHOWN[status],
    ...(status === 'sending' || status === 'paused' ? { paused: status === 'paused' } : {}),
    ...(status === 'cancelled' ? { cancelled: true } : {}),
    modify_time: at(campaign.modifiedAt),
    modify_user: campaign.modifiedBy,
    schedule_time: at(campaign.scheduledFor),
    start_time: at(campaign.startedAt),
    stop_time: at(campaign.stoppedAt),
    email_count: totals ? counted.recipients : expected,
    sent_count: counted.sent,
    copy_template: plan.copiedFrom,
    ...(plan.variants.length > 0 ? { abtest: showVariants(campaign, counted) } : {}),
    ...(campaign.repeatId === null ? {} : { repeat_id: campaign.repeatId }),
    ...(campaign.problem === null ? {} : { problem: campaign.problem }),
    stats: { total: showTotals(counted) },
  }
}

/** A campaign by itself, with all that it was made of. */
export function showBlast(campaign: Campaign, facts: BlastFacts): Answer {
  const { content, plan } = campaign
  return {
    ...showItem(campaign, facts),
    suppress_list: namesOf(campaign.suppressIds, facts.lists),
    from_name: content.from_name,
    from_email: content.from_email,
    replyto: content.replyto_email,
    content_html: content.content_html,
    content_text: content.content_text,
    is_google_analytics: content.is_google_analytics,
    is_link_tracking: content.is_link_tracking,
    is_public: plan.isPublic,
    autoconvert_text: plan.autoconvertText,
    capping_enabled: plan.isCapped,
    email_hour_range: plan.hours,
    schedule_type: plan.scheduleType,
    fallback_time: showFallback(plan, facts.timezone),
    report_email: plan.reportEmail,
    seed_emails: plan.seedEmails,
    vars: plan.vars,
    test_vars: content.test_vars,
    test_percent: plan.testPercent,
    link_params: content.link_params,
    link_domain: content.link_domain,
    ad_plan: content.ad_plan,
    setup: content.setup,
    previous_blast_id: plan.previousId,
    message_criteria: plan.criterion,
  }
}

const showFallback = ({ fallbackTime }: CampaignPlan, zone: string) =>
  fallbackTime?.includes('T') ? formatRfc2822(new Date(fallbackTime), zone) : fallbackTime

/** Names with commas between; lists that are gone are left out. */
export const namesOf = (ids: readonly number[], lists: BlastFacts['lists']): string =>
  ids.flatMap((id) => lists.get(id)?.name ?? []).join(', ')

/** The campaign's own content is the first of those that are compared. */
function showVariants({ plan, revisionIds }: Campaign, { sentByRevision }: Totals) {
  return ['', ...plan.variants.map(({ name }) => name)].map((template, index) => ({
    variant: String.fromCharCode(65 + index),
    template: template || plan.copiedFrom,
    subject: index === 0 ? undefined : plan.variants[index - 1]!.content.subject,
    sent_count: sentByRevision.get(revisionIds[index] ?? 0) ?? 0,
  }))
}

/** Counts of messages; why people were left out, and why messages failed, by reason. */
export function showTotals(totals: Totals): Answer {
  const { failures } = totals
  return {
    count: totals.sent,
    audience: totals.audience,
    left_out: totals.leftOut,
    waiting: totals.waiting,
    failed: totals.failed,
    failures,
    cancelled: totals.cancelled,
    in_doubt: totals.inDoubt,
    hardbounce: (failures.hardbounce ?? 0) + (failures.invalid ?? 0),
    softbounce: failures.softbounce ?? 0,
  }
}
