import { Type } from 'typebox'
import type { Campaign } from '../../campaigns/read.ts'
import {
  readBounceCodes,
  readDomains,
  readEngagement,
  readHours,
  readLinks,
  readPurchases,
} from '../../campaigns/statistics.ts'
import { countMessages, emptyTotals, type Totals } from '../../campaigns/totals.ts'
import type { Answer } from '../answer.ts'
import { isId } from '../blast-params.ts'
import { showTotals } from '../blast-view.ts'
import { bool01, integer, required, text, time } from '../coerce.ts'
import type { Endpoint } from '../endpoints.ts'
import { ApiError, missingParameter, unknownBlast, unknownList } from '../errors.ts'
import type { Params } from '../parameters.ts'
import type { ApiParts } from '../parts.ts'
import { nameText } from '../person-params.ts'
import { flag, nameOf, timeText } from './schemas.ts'

/** Campaigns counted together at most. */
const MOST_CAMPAIGNS = 500

type Parts = Pick<ApiParts, 'campaigns' | 'db' | 'lists' | 'settings'>

/** `stats`: what campaigns led to, counted from the facts at the moment of asking. */
export function statsEndpoint({ campaigns, db, lists, settings }: Parts): Endpoint {
  return {
    get: {
      summary: 'Statistics of a campaign, or of those of a time',
      params: Type.Object({
        stat: Type.Enum(['blast']),
        blast_id: Type.Optional(Type.Integer()),
        start_date: Type.Optional(timeText('Campaigns that began at or after this')),
        end_date: Type.Optional(timeText('… and at or before this')),
        list: Type.Optional(nameOf('the list they went to')),
        beacon_times: Type.Optional(flag('Openings by hour')),
        click_times: Type.Optional(flag('Clicks by hour')),
        sent_times: Type.Optional(flag('Messages by hour')),
        purchase_times: Type.Optional(flag('Purchases by hour')),
        clickmap: Type.Optional(flag('Clicks by place of the link')),
        urls: Type.Optional(flag('Clicks by address of the link')),
        domain: Type.Optional(flag('By domain of the recipients')),
        subject: Type.Optional(flag('By subject')),
      }),
      async handle({ now }, params) {
        const stat = required(text(params, 'stat'), 'stat')
        if (stat !== 'blast') throw new ApiError(99, `Unknown stat: ${stat}`)
        const { timezone } = await settings.get()
        const found = await wanted(params, now, timezone)
        return statistics(found, params, timezone)
      },
    },
  }

  async function wanted(params: Params, now: Date, zone: string): Promise<Campaign[]> {
    const id = integer(params, 'blast_id')
    if (id !== null) {
      const campaign = isId(id) ? await campaigns.get(id) : null
      if (!campaign) throw unknownBlast(id)
      return [campaign]
    }
    const since = time(params, 'start_date', now, zone)
    const until = time(params, 'end_date', now, zone)
    if (!since) throw missingParameter('blast_id')
    if (!until) throw missingParameter('end_date')
    const listName = nameText(params, 'list')
    const listId = listName ? (await lists.find([listName])).get(listName) : undefined
    if (listName && listId === undefined) throw unknownList(listName)
    const statuses = ['sending', 'paused', 'sent', 'cancelled'] as const
    const { campaigns: found, total } = await campaigns.list({
      statuses,
      listId,
      since,
      until,
      limit: MOST_CAMPAIGNS,
    })
    if (total > MOST_CAMPAIGNS) {
      throw new ApiError(99, `Unable to find stats for ${total} blasts: ask for at most ${MOST_CAMPAIGNS} at a time`)
    }
    return found
  }

  async function statistics(found: readonly Campaign[], params: Params, zone: string): Promise<Answer> {
    const ids = found.map(({ id }) => id)
    const asks = (name: string) => bool01(params, name) === true
    const [counts, engagement, bounces, purchases] = await Promise.all([
      countMessages(db, ids),
      readEngagement(db, ids),
      readBounceCodes(db, ids),
      readPurchases(db, ids),
    ])
    const totals = [...counts.values()].reduce(together, emptyTotals())
    const answer: Answer = {
      ...showTotals(totals),
      open_total: engagement.openTotal,
      beacon: engagement.beacon,
      confirmed_opens: engagement.confirmedOpens,
      estopens: engagement.estimatedOpens,
      click_total: engagement.clickTotal,
      click: engagement.clicked,
      click_multiple_urls: engagement.clickedSeveral,
      optout: engagement.optouts,
      spam: engagement.complaints,
      purchase: purchases.count,
      purchase_price: purchases.price,
      bounces,
    }
    if (asks('beacon_times')) answer.beacon_times = await readHours(db, ids, 'open', zone)
    if (asks('click_times')) answer.click_times = await readHours(db, ids, 'click', zone)
    if (asks('sent_times')) answer.sent_times = await readHours(db, ids, 'sent', zone)
    if (asks('purchase_times')) answer.purchase_times = await readHours(db, ids, 'purchase', zone)
    if (asks('urls') || asks('clickmap')) {
      const links = await readLinks(db, ids)
      if (asks('urls')) answer.urls = byUrl(links)
      if (asks('clickmap')) answer.clickmap = links
    }
    if (asks('domain')) {
      const domains = await readDomains(db, ids)
      answer.domain = Object.fromEntries(domains.map(({ domain, sent, ...rest }) => [domain, { count: sent, ...rest }]))
    }
    if (asks('subject')) answer.subject = bySubject(found, totals)
    return answer
  }
}

function together(all: Totals, one: Totals): Totals {
  const added = (a: { [name: string]: number }, b: { [name: string]: number }) => {
    const sum = { ...a }
    for (const [name, n] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + n
    return sum
  }
  return {
    audience: all.audience + one.audience,
    recipients: all.recipients + one.recipients,
    sent: all.sent + one.sent,
    waiting: all.waiting + one.waiting,
    failed: all.failed + one.failed,
    cancelled: all.cancelled + one.cancelled,
    inDoubt: all.inDoubt + one.inDoubt,
    leftOut: added(all.leftOut, one.leftOut),
    failures: added(all.failures, one.failures),
    sentByRevision: new Map([...all.sentByRevision, ...one.sentByRevision]),
  }
}

function byUrl(links: ReadonlyArray<{ url: string; total: number; unique: number }>): Answer {
  const urls: { [url: string]: { count: number; unique: number } } = {}
  for (const { url, total, unique } of links) {
    const before = urls[url] ?? { count: 0, unique: 0 }
    urls[url] = { count: before.count + total, unique: before.unique + unique }
  }
  return urls
}

function bySubject(campaigns: readonly Campaign[], { sentByRevision }: Totals): Answer {
  const subjects: { [subject: string]: { count: number } } = {}
  for (const { content, plan, revisionIds } of campaigns) {
    const contents = [content, ...plan.variants.map((variant) => variant.content)]
    for (const [index, { subject }] of contents.entries()) {
      const sent = sentByRevision.get(revisionIds[index] ?? 0) ?? 0
      subjects[subject] = { count: (subjects[subject]?.count ?? 0) + sent }
    }
  }
  return subjects
}
