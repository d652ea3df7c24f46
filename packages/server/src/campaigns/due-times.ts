import { sql } from 'kysely'
import type { Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import { zoneIn } from './person-zone.ts'
import { type SendFacts, type SendPlan, sendTimes } from './send-time.ts'
import { type CampaignPlan, EMPTY_PLAN } from './tables.ts'
import { placeFor } from './variants.ts'

/** A campaign that is being sent. */
interface Sending {
  id: number
  plan: Partial<CampaignPlan>
  started_at: Date
}

interface Person {
  profileId: number
}

/**
 * When each of these people gets a campaign, in their order. Reads what the rule needs to know of them, which is nothing
 * for campaigns that go to everybody at the same moment, and otherwise one statement for all.
 */
export async function dueTimes(tx: Tx, campaign: Sending, people: readonly Person[], now: Date): Promise<Date[]> {
  const plan = await sendPlanOf(tx, campaign)
  const zones = plan.type === 'local_timezone' ? await readZones(tx, people) : null
  const hours = plan.type === 'personalized' ? await readHabits(tx, people, plan.zone) : null
  const timeFor = sendTimes(plan, now)
  return people.map(({ profileId }): Date => {
    const facts: SendFacts = {
      zone: zones?.get(profileId) ?? null,
      hour: hours?.get(profileId) ?? null,
      place: plan.hours === 0 ? 0 : placeFor(campaign.id, profileId),
    }
    return timeFor(facts)
  })
}

async function sendPlanOf(tx: Tx, { id, plan, started_at }: Sending): Promise<SendPlan> {
  const { scheduleType, fallbackTime, zone, hours } = { ...EMPTY_PLAN, ...plan }
  const sendPlan = { type: scheduleType, startedAt: started_at, zone, fallback: fallbackTime, hours }
  if (scheduleType === 'specific') return { ...sendPlan, scheduledFor: started_at }
  const { rows } = await sql<{ at: Date | null }>`select scheduled_for as at from campaign where id = ${id}`.execute(tx)
  return { ...sendPlan, scheduledFor: rows[0]?.at ?? started_at }
}

/** Characters of a var that may be a zone: longer ones are none. */
const LONGEST_ZONE = 64

/** Zones of those whose profile has one that exists: in the var `timezone`, or else `time_zone`. */
async function readZones(tx: Tx, people: readonly Person[]): Promise<Map<number, string>> {
  const { rows } = await sql<{ id: number; zone: string }>`
    select w.id, left(coalesce(nullif(p.vars ->> 'timezone', ''), p.vars ->> 'time_zone'), ${LONGEST_ZONE}) as zone
    from unnest(${shardsOf(people)}::smallint[], ${idsOf(people)}::bigint[]) as w(shard, id)
    join profile p using (shard, id)
    where coalesce(nullif(p.vars ->> 'timezone', ''), p.vars ->> 'time_zone') is not null`.execute(tx)
  const understood = new Map([...new Set(rows.map(({ zone }) => zone))].map((text) => [text, zoneIn(text)]))
  return new Map(
    rows.flatMap(({ id, zone: text }) => {
      const zone = understood.get(text)
      return zone ? [[id, zone] as const] : []
    }),
  )
}

/** The newest openings and clicks say what somebody's habit is; years of them need not be read. */
const REMEMBERED = 100

/** Of each of these people the hour at which they most often opened or clicked; of equal ones the most recent. */
async function readHabits(tx: Tx, people: readonly Person[], zone: string): Promise<Map<number, number>> {
  const { rows } = await sql<{ id: number; hour: number }>`
    select w.id, habit.hour
    from unnest(${shardsOf(people)}::smallint[], ${idsOf(people)}::bigint[]) as w(shard, id)
    cross join lateral (
      select extract(hour from at at time zone ${zone})::int as hour
      from (select e.at from message_event e
        where e.shard = w.shard and e.profile_id = w.id and not e.machine
        order by e.at desc limit ${REMEMBERED}) recent
      group by 1 order by count(*) desc, max(at) desc limit 1) habit`.execute(tx)
  return new Map(rows.map(({ id, hour }) => [id, hour]))
}

const idsOf = (people: readonly Person[]) => people.map(({ profileId }) => profileId)
const shardsOf = (people: readonly Person[]) => people.map(({ profileId }) => shardOfId(profileId))
