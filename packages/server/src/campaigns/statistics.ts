import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../platform/database.ts'

/*
 * What happened after the hand-over. Everything is counted from the facts themselves: messages, what people and
 * machines did with them, and the ledger. What machines open and click is in the totals of openings, and in no count
 * of people who did something.
 */

/** Openings, clicks and departures that campaigns led to. */
export interface Engagement {
  /** Openings, machines included. */
  openTotal: number
  /** People whose message was opened, by whomever. */
  beacon: number
  /** People who opened, as far as we can tell. */
  confirmedOpens: number
  /** People who opened or clicked. */
  estimatedOpens: number
  clickTotal: number
  /** People who clicked. */
  clicked: number
  /** People who clicked several different links. */
  clickedSeveral: number
  optouts: number
  complaints: number
}

/** A moment of the account's clocks to the hour, as `2030-03-05 09:00`, or a name, and how often. */
export type Tally = { [name: string]: number }

export interface LinkClicks {
  url: string
  /** Place of the link in the content; null: unknown. */
  link: number | null
  total: number
  /** People. */
  unique: number
}

export interface DomainCounts {
  sent: number
  hardbounce: number
  softbounce: number
  open: number
  click: number
}

const messagesOf = (ids: readonly number[]): RawBuilder<unknown> => sql`m.campaign_id = any(${[...ids]}::int[])`
const eventsOf = (ids: readonly number[]): RawBuilder<unknown> => sql`e.campaign_id = any(${[...ids]}::int[])`

/** Counts for campaigns together. */
export async function readEngagement(q: Queryable, ids: readonly number[]): Promise<Engagement> {
  const [opens, clicks, departures] = await Promise.all([
    sql<{ total: number; beacon: number; confirmed: number; estimated: number }>`
      select (sum(opens))::int as total, count(*) filter (where opens > 0)::int as beacon,
        count(*) filter (where opened)::int as confirmed, count(*) filter (where opened or clicked)::int as estimated
      from (select count(*) filter (where e.type = 'open') as opens,
          bool_or(e.type = 'open' and not e.machine) as opened, bool_or(e.type = 'click' and not e.machine) as clicked
        from message_event e where ${eventsOf(ids)} group by e.shard, e.message_id) one`.execute(q),
    sql<{ total: number; clicked: number; several: number }>`
      select coalesce(sum(n), 0)::int as total, count(*)::int as clicked,
        count(*) filter (where urls > 1)::int as several
      from (select count(*) as n, count(distinct e.url) as urls from message_event e
        where ${eventsOf(ids)} and e.type = 'click' and not e.machine group by e.shard, e.message_id) one`.execute(q),
    // A complaint opts out as well, and is counted as what it is.
    sql<{ optouts: number; complaints: number }>`
      select count(*) filter (where not complained)::int as optouts, count(*) filter (where complained)::int as complaints
      from (select bool_or(l.event = 'complained') as complained
        from consent_ledger l join message m on m.id = (l.context ->> 'message_id')::bigint
          and m.shard = ((l.context ->> 'message_id')::bigint & 63)::smallint
        where l.context ->> 'message_id' is not null and l.event in ('opted_out', 'complained')
          and m.campaign_id = any(${[...ids]}::int[])
        group by m.shard, m.id) one`.execute(q),
  ])
  const [open, click, departure] = [opens.rows[0], clicks.rows[0], departures.rows[0]]
  return {
    openTotal: open?.total ?? 0,
    beacon: open?.beacon ?? 0,
    confirmedOpens: open?.confirmed ?? 0,
    estimatedOpens: open?.estimated ?? 0,
    clickTotal: click?.total ?? 0,
    clicked: click?.clicked ?? 0,
    clickedSeveral: click?.several ?? 0,
    optouts: departure?.optouts ?? 0,
    complaints: departure?.complaints ?? 0,
  }
}

/** Purchases that are credited to campaigns, and what they come to together, in cents. */
export async function readPurchases(q: Queryable, ids: readonly number[]): Promise<{ count: number; price: number }> {
  const { rows } = await sql<{ count: number; price: number }>`
    select count(*)::int as count, coalesce(sum(e.price), 0)::bigint as price from purchase e
    where ${eventsOf(ids)}`.execute(q)
  return rows[0] ?? { count: 0, price: 0 }
}

/** Failed messages by enhanced status code (`5.1.1`), or by reply code where there is none. */
export async function readBounceCodes(q: Queryable, ids: readonly number[]): Promise<Tally> {
  const { rows } = await sql<{ code: string; n: number }>`
    select coalesce(substring(m.reply from '\\m([245]\\.\\d{1,3}\\.\\d{1,3})\\M'), substring(m.reply from '^\\s*([45]\\d\\d)\\M'),
      m.reason, 'unknown') as code, count(*)::int as n
    from message m where ${messagesOf(ids)} and m.state = 'failed' group by 1 order by n desc, code`.execute(q)
  return Object.fromEntries(rows.map((row) => [row.code, row.n]))
}

/** By hour of the account's clocks. @param what `sent`, or what people did */
export async function readHours(
  q: Queryable,
  ids: readonly number[],
  what: 'sent' | 'open' | 'click' | 'purchase',
  zone: string,
): Promise<Tally> {
  const at = what === 'sent' ? sql`m.sent_at` : sql`e.at`
  const from =
    what === 'sent'
      ? sql`message m where ${messagesOf(ids)} and m.state = 'sent'`
      : what === 'purchase'
        ? sql`purchase e where ${eventsOf(ids)}`
        : sql`message_event e where ${eventsOf(ids)} and e.type = ${what} and not e.machine`
  const { rows } = await sql<{ hour: string; n: number }>`
    select to_char(date_trunc('hour', ${at} at time zone ${zone}), 'YYYY-MM-DD HH24:MI') as hour, count(*)::int as n
    from ${from} group by 1 order by 1`.execute(q)
  return Object.fromEntries(rows.map((row) => [row.hour, row.n]))
}

/** Links that people clicked, most clicked first. */
export async function readLinks(q: Queryable, ids: readonly number[], limit = 500): Promise<LinkClicks[]> {
  const { rows } = await sql<LinkClicks>`
    select e.url, e.link, count(*)::int as total, count(distinct e.message_id)::int as "unique"
    from message_event e where ${eventsOf(ids)} and e.type = 'click' and not e.machine and e.url is not null
    group by e.url, e.link order by total desc, e.url, e.link limit ${limit}`.execute(q)
  return rows
}

/** What happened at each domain of recipients, the largest first. */
export async function readDomains(
  q: Queryable,
  ids: readonly number[],
  limit = 100,
): Promise<Array<{ domain: string } & DomainCounts>> {
  const { rows } = await sql<{ domain: string } & DomainCounts>`
    select lower(substring(m.address from '[^@]*$')) as domain,
      count(*) filter (where m.state = 'sent')::int as sent,
      count(*) filter (where m.state = 'failed' and m.reason in ('hardbounce', 'invalid'))::int as hardbounce,
      count(*) filter (where m.state = 'failed' and m.reason = 'softbounce')::int as softbounce,
      count(*) filter (where did.opened)::int as open, count(*) filter (where did.clicked)::int as click
    from message m
    left join (
      select e.shard, e.message_id, bool_or(e.type = 'open') as opened, bool_or(e.type = 'click') as clicked
      from message_event e where ${eventsOf(ids)} and not e.machine group by 1, 2) did
      on did.shard = m.shard and did.message_id = m.id
    where ${messagesOf(ids)} and m.state in ('sent', 'failed')
    group by 1 order by count(*) desc, 1 limit ${limit}`.execute(q)
  return rows
}
