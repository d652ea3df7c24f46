import { sql } from 'kysely'
import type { Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import type { Order } from './order.ts'

/** Which message a purchase is credited to. */
export interface Credit {
  messageId: number
  /** Null: it was no campaign's. */
  campaignId: number | null
}

/** Something that may have led to a purchase: a message, to whom it went, and when it was sent or followed. */
export interface Lead extends Credit {
  profileId: number
  at: Date | null
}

/** A click may lead to a purchase for so long, in ms. */
export const CLICK_LEADS_FOR = 30 * 86_400_000

/**
 * The rule. The message that the shop names, if it went to the buyer: the shop knows better than we what brought them,
 * and may date an order by its day. Otherwise the campaign that they clicked last, if that is not too long ago; at a till
 * nobody comes by a link. A cart is no purchase.
 *
 * @param leads `named`: what the shop's message id stands for; `clicked`: the buyer's last click on a campaign
 */
export function creditOf(
  order: Pick<Order, 'isIncomplete' | 'at' | 'channel'>,
  buyer: number,
  { named, clicked }: { named: Lead | null; clicked: Lead | null },
): Credit | null {
  if (order.isIncomplete) return null
  if (named?.profileId === buyer) return { messageId: named.messageId, campaignId: named.campaignId }
  if (clicked?.profileId !== buyer || clicked.at === null || order.channel === 'offline') return null
  const age = order.at.getTime() - clicked.at.getTime()
  if (age < 0 || age > CLICK_LEADS_FOR) return null
  return { messageId: clicked.messageId, campaignId: clicked.campaignId }
}

/** Finds what an order is to be credited to. @param named number of the message that the shop names; null: none */
export async function findCredit(tx: Tx, order: Order, buyer: number, named: number | null): Promise<Credit | null> {
  if (order.isIncomplete) return null
  const { rows } = await sql<Lead & { way: 'named' | 'clicked' }>`
    select 'named' as way, id as "messageId", campaign_id as "campaignId", profile_id as "profileId", sent_at as at
    from message where shard = ${named === null ? null : shardOfId(named)} and id = ${named}
    union all
    (select 'clicked', message_id, campaign_id, profile_id, at from message_event
    where shard = ${shardOfId(buyer)} and profile_id = ${buyer} and type = 'click' and not machine
      and campaign_id is not null and at <= ${order.at} and at >= ${new Date(order.at.getTime() - CLICK_LEADS_FOR)}
    order by at desc limit 1)`.execute(tx)
  const leadOf = (way: 'named' | 'clicked') => rows.find((row) => row.way === way) ?? null
  return creditOf(order, buyer, { named: leadOf('named'), clicked: leadOf('clicked') })
}
