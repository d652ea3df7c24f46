import { sql } from 'kysely'
import type { Clock } from '../platform/clock.ts'
import type { Database, Tx } from '../platform/database.ts'
import { shardOfId, shardOfKey } from '../platform/shard.ts'
import { parseAddress } from '../profiles/address.ts'
import type { ProfileChange } from '../profiles/change.ts'
import { type Profiles, retrying } from '../profiles/door.ts'
import { burstsIn, type Clicked, SETTLE_AFTER } from './machine.ts'
import type { MessageEventTable } from './tables.ts'

export interface SettleParts {
  db: Database
  clock: Clock
  profiles: Pick<Profiles, 'changeIn'>
}

const BATCH = 500

type Event = Pick<MessageEventTable, 'shard' | 'id' | 'message_id' | 'profile_id' | 'type' | 'machine' | 'at'>

/**
 * Counts events for the people behind them, once each. It waits some seconds, until others have shown whether a click
 * was one of a machine's burst.
 *
 * @returns how many were settled
 */
export function settleEvents({ db, clock, profiles }: SettleParts): Promise<number> {
  return retrying(() =>
    db.transaction().execute(async (tx) => {
      const before = new Date(clock.now().getTime() - SETTLE_AFTER)
      const { rows: events } = await sql<Event>`
        select shard, id, message_id, profile_id, type, machine, at from message_event
        where not settled and at <= ${before} order by at limit ${BATCH} for update skip locked`.execute(tx)
      if (events.length === 0) return 0
      const bursts = await findBursts(tx, events)
      const isMachine = (event: Event) => event.machine || bursts.has(event.id)
      await sql`
        update message_event e set settled = true, machine = s.machine
        from unnest(${events.map((e) => e.shard)}::smallint[], ${events.map((e) => e.id)}::bigint[],
          ${events.map(isMachine)}::boolean[]) as s(shard, id, machine)
        where e.shard = s.shard and e.id = s.id`.execute(tx)
      const human = events.filter((event) => !isMachine(event))
      await count(tx, human)
      await cureSoftBounces(tx, profiles, human)
      return events.length
    }),
  )
}

/** Clicks on several links of a message within moments, also among those that were settled before. */
async function findBursts(tx: Tx, events: readonly Event[]): Promise<Set<number>> {
  const ids = [...new Set(events.filter(({ type }) => type === 'click').map((event) => event.message_id))]
  if (ids.length === 0) return new Set()
  const from = new Date(Math.min(...events.map(({ at }) => at.getTime())) - SETTLE_AFTER)
  const { rows } = await sql<Clicked & { message_id: number }>`
    select e.message_id, e.id, e.link, e.url, e.at
    from unnest(${ids.map(shardOfId)}::smallint[], ${ids}::bigint[]) as w(shard, message_id)
    join message_event e using (shard, message_id)
    where e.type = 'click' and e.at >= ${from}`.execute(tx)
  const found = new Set<number>()
  for (const clicks of Map.groupBy(rows, (row) => row.message_id).values()) {
    for (const id of burstsIn(clicks)) found.add(id)
  }
  return found
}

async function count(tx: Tx, events: readonly Event[]): Promise<void> {
  if (events.length === 0) return
  await sql`
    insert into profile_activity as a (shard, profile_id, opened_at, clicked_at, opens, clicks)
    select s.shard, s.profile_id, max(s.at) filter (where s.type = 'open'), max(s.at) filter (where s.type = 'click'),
      count(*) filter (where s.type = 'open'), count(*) filter (where s.type = 'click')
    from unnest(${events.map((e) => e.shard)}::smallint[], ${events.map((e) => e.profile_id)}::bigint[],
      ${events.map((e) => e.type)}::text[], ${events.map((e) => e.at)}::timestamptz[]) as s(shard, profile_id, type, at)
    join profile p on p.shard = s.shard and p.id = s.profile_id
    group by s.shard, s.profile_id order by s.profile_id
    on conflict (shard, profile_id) do update set opened_at = greatest(a.opened_at, excluded.opened_at),
      clicked_at = greatest(a.clicked_at, excluded.clicked_at), opens = a.opens + excluded.opens,
      clicks = a.clicks + excluded.clicks`.execute(tx)
}

/** Who follows a link has a mailbox that takes mail. */
async function cureSoftBounces(tx: Tx, profiles: SettleParts['profiles'], events: readonly Event[]): Promise<void> {
  const clicks = new Map(events.filter(({ type }) => type === 'click').map((event) => [event.message_id, event]))
  if (clicks.size === 0) return
  const ids = [...clicks.keys()]
  const { rows: messages } = await sql<{ id: number; address: string }>`
    select m.id, m.address from unnest(${ids.map(shardOfId)}::smallint[], ${ids}::bigint[]) as w(shard, id)
    join message m using (shard, id)`.execute(tx)
  const addressed = messages.flatMap(({ id, address }) => {
    const lookup = parseAddress(address)?.lookup
    return lookup === undefined ? [] : [{ id, address, lookup }]
  })
  const { rows: bouncing } = await sql<{ address: string }>`
    select a.address from unnest(${addressed.map(({ lookup }) => shardOfKey('email', lookup))}::smallint[],
      ${addressed.map(({ lookup }) => lookup)}::text[]) as w(shard, address)
    join address a using (shard, address) where a.state = 'softbounce'`.execute(tx)
  if (bouncing.length === 0) return
  const cured = new Set(bouncing.map(({ address }) => address))
  const changes = addressed
    .filter(({ lookup }) => cured.has(lookup))
    .map(({ id, address }): ProfileChange => {
      const { profile_id } = clicks.get(id)!
      return {
        person: { kind: 'id', value: profile_id },
        create: false,
        act: { via: 'link', evidence: 0, messageId: id },
        deliverability: { address, state: 'ok', class: null, detail: 'a link of a message was followed' },
      }
    })
  await profiles.changeIn(tx, changes)
}
