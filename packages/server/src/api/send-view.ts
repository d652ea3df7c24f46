import { formatRfc2822 } from '../platform/time-text.ts'
import type { SendRecord } from '../sends/read.ts'
import type { Answer } from './answer.ts'
import type { ApiParts } from './parts.ts'

/** A message as `GET send` shows it; times that never came are left out. */
export function showSend({ links }: Pick<ApiParts, 'links'>, id: string, record: SendRecord, zone: string): Answer {
  const { address, template, scheduledFor, sentAt, openedAt, clickedAt, dataFeedUrl } = record
  const view = sentAt && links.tracked.ofMessage({ id: record.messageId, isTest: false }).view()
  return {
    send_id: id,
    email: address,
    template,
    status: statusOf(record),
    send_key: null,
    ...(sentAt && { send_time: formatRfc2822(sentAt, zone) }),
    ...(openedAt && { open_time: formatRfc2822(openedAt, zone) }),
    ...(clickedAt && { click_time: formatRfc2822(clickedAt, zone) }),
    ...(view && { view_url: view, text_url: `${view}/text` }),
    ...(scheduledFor && { schedule_time: formatRfc2822(scheduledFor, zone) }),
    ...(dataFeedUrl !== null && { data_feed_url: dataFeedUrl }),
  }
}

/** `unknown` is the API's word for everything that is neither waiting for its time, nor arrived, nor bounced. */
function statusOf({ state, reason, scheduledFor }: SendRecord): string {
  if (reason === 'hardbounce' || reason === 'softbounce') return reason
  if (state === 'sent') return 'delivered'
  return scheduledFor && (state === 'queued' || state === 'deferred') ? 'scheduled' : 'unknown'
}
