import { sql } from 'kysely'
import { fillChunk } from '../../src/campaigns/fill.ts'
import { type CampaignLoopParts, campaignRound } from '../../src/campaigns/loop.ts'
import type { MessageState } from '../../src/sends/message-table.ts'
import { type House, openHouse, type Reply } from '../endpoints/support.ts'

/** A recipient's row as the tests look at it. */
export interface Row {
  address: string
  state: MessageState
  reason: string | null
  revision_id: number
  due_at: Date
}

/** The API with a database of its own, and campaigns that move when told to. */
export interface CampaignHouse extends House {
  /** One round of the loops, as a worker does them. @returns whether there may be more to do */
  round(): Promise<boolean>
  /** Rounds until there is nothing to do at this moment. */
  settle(): Promise<void>
  /** People on a list; those who are given twice are on it once. */
  join(list: string, ...emails: string[]): Promise<void>
  /** Calls, and expects success. */
  must(endpoint: string, params: object): Promise<Reply['body']>
  /** A campaign to the list `Weekly`, scheduled for now unless told otherwise. @returns its id */
  campaign(params?: object): Promise<number>
  rows(id: number): Promise<Row[]>
  /** What delivery would write when the relay took, or refused, everything that waits and may go. */
  deliver(id: number, state?: 'sent' | 'failed', reason?: string): Promise<number>
  blast(id: number): Promise<Reply['body']>
}

export async function campaignHouse(): Promise<CampaignHouse> {
  const house = await openHouse()
  const parts: CampaignLoopParts = { ...house.services, wakeDelivery: () => {} }
  const round = async () => {
    const isBusy = await campaignRound(parts)
    return (await fillChunk(house.services, null, house.clock.now())) !== null || isBusy
  }
  const must = async (endpoint: string, params: object) => {
    const { status, body } = await house.post(endpoint, params)
    if (status !== 200) throw new Error(`POST ${endpoint}: ${JSON.stringify(body)}`)
    return body
  }
  return {
    ...house,
    must,
    round,
    async settle() {
      while (await round());
    },
    async join(list, ...emails) {
      await must('list', { list, emails })
    },
    async campaign(params = {}) {
      return (await must('blast', { ...CONTENT, schedule_time: 'now', ...params })).blast_id
    },
    async rows(id) {
      const { rows } = await sql<Row>`
        select address, state, reason, revision_id, due_at from message where campaign_id = ${id}
        order by address`.execute(house.db)
      return rows
    },
    async deliver(id, state = 'sent', reason) {
      const now = house.clock.now()
      const { numAffectedRows } = await sql`
        update message set state = ${state}, due_at = null, reason = ${reason ?? null}, settled_at = ${now},
          sent_at = case when ${state} = 'sent' then ${now}::timestamptz end
        where campaign_id in (select id from campaign where id = ${id} and status = 'sending')
          and state in ('queued', 'deferred') and due_at <= ${now}`.execute(house.db)
      return Number(numAffectedRows)
    },
    async blast(id) {
      const { status, body } = await house.get('blast', { blast_id: id })
      if (status !== 200) throw new Error(JSON.stringify(body))
      return body
    },
  }
}

/** What every campaign of the tests says unless told otherwise. */
export const CONTENT = {
  name: 'Spring',
  list: 'Weekly',
  from_name: 'The Harbour',
  from_email: 'harbour@example.com',
  subject: 'Spring at the harbour',
  content_html: '<p>Hello {name}</p>',
  content_text: 'Hello {name}',
}

/** `person1@example.com` … */
export const people = (count: number, domain = 'example.com') =>
  Array.from({ length: count }, (_, index) => `person${index + 1}@${domain}`)
