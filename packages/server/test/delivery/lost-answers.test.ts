import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fillChunk } from '../../src/campaigns/fill.ts'
import { type CampaignLoopParts, campaignRound } from '../../src/campaigns/loop.ts'
import { resolveInDoubt } from '../../src/delivery/in-doubt.ts'
import { releaseHeld, retryDeferred } from '../../src/delivery/requeue.ts'
import { LEASE } from '../../src/delivery/workers.ts'
import { type Database, openDatabase } from '../../src/platform/database.ts'
import { type Loss, type LossyPostgres, startLossyPostgres } from '../support/lossy-postgres.ts'
import { orphansIn } from '../support/orphans.ts'
import { type MailHouse, mailHouse, sendOf } from './support.ts'

/*
 * A connection to the database breaks at one statement about messages: just before the server hears of it, or just after
 * it carried it out. The worker lives on, and its lease never runs out here: it has to put things right by itself.
 */

const PEOPLE = 40
const CAMPAIGN = Array.from({ length: PEOPLE }, (_, n) => `member${n}@example.com`)
const READERS = Array.from({ length: PEOPLE }, (_, n) => `reader${n}@example.com`)

let house: MailHouse
let lossy: LossyPostgres
let db: Database

beforeEach(async () => {
  house = await mailHouse()
  lossy = await startLossyPostgres(house.connection)
  db = openDatabase(lossy.connection, 10)
  await house.templates.save('Hello', { subject: 'Hello', content_text: 'Hello' })
})
afterEach(async () => {
  await house.end()
  await db.destroy()
  await lossy.close()
})

/** A campaign that is being sent, and none of whose recipients is written yet. */
async function startCampaign(): Promise<number> {
  const now = house.clock.now()
  const { rows } = await sql<{ id: number }>`
    with list as (insert into list (name, hex_id, created_at) values ('Weekly', 'w', ${now}) returning id),
    person as (
      insert into profile (shard, id, email, level, created_at, salt)
      select n % 64, nextval('profile_number') * 64 + n % 64, address, 0, ${now}, '\\x00'
      from unnest(${CAMPAIGN}::text[]) with ordinality as one(address, n) returning shard, id),
    joined as (insert into list_member select person.shard, person.id, list.id, ${now} from person, list),
    revision as (
      insert into template_revision (campaign, fields, created_at)
      select '{}', fields, ${now} from template_revision limit 1 returning id),
    campaign as (
      insert into campaign (name, status, content, list_ids, revision_ids, started_at, created_at, modified_at)
      select 'News', 'sending', '{}', array[list.id], array[revision.id], ${now}, ${now}, ${now} from list, revision
      returning id)
    insert into campaign_fill (campaign_id) select id from campaign returning campaign_id as id`.execute(house.db)
  return rows[0]!.id
}

const work = () =>
  house.deliver({ db, fill: (worker, now, limit) => fillChunk({ db, templates: house.templates }, worker, now, limit) })

const states = async () => {
  const { rows } = await sql<{ state: string; n: number }>`
    select state, count(*)::int as n from message group by 1`.execute(house.db)
  return Object.fromEntries(rows.map((row) => [row.state, row.n]))
}

/** Everybody has got one message, and nothing is left that says otherwise. */
async function everybodyHasOne(): Promise<void> {
  await expect.poll(states).toEqual({ sent: 2 * PEOPLE })
  expect(house.sink.messages.map(({ to }) => to[0]).toSorted()).toEqual([...CAMPAIGN, ...READERS].toSorted())
  expect(await orphansIn(house.db)).toBe(0)
}

const CLAIM = /update message m set state = 'leased'.*'\{0,1\}'/s
const CLAIM_OF_CAMPAIGNS = /update message m set state = 'leased'.*over \(\) as campaigns/s
const FILL = /insert into message \(shard, id, profile_id, campaign_id/
const MARK = /insert into delivery_batch \(worker_id, message_ids, is_attempting\) values/
const GIVE_BACK = /due_at = greatest\(coalesce\(m.scheduled_for/
const SETTLE = /update message m set state = s.state/
const JOIN = /insert into delivery_worker/
const RENEW = /update delivery_worker set lease_until/
const TAKE_OVER = /select id from delivery_worker where lease_until/
const STRAYS = /unlisted as \(.*select id from taken/s
const WATCH = /update delivery_watch set looked_at/
const PUT_BACK = /returned as \(/

const BOTH = ['before', 'after'] as const
const each = (name: string, loss: Omit<Loss, 'when'>, ...first: Loss[]) =>
  BOTH.map((when) => [`${name}, ${when} it is carried out`, { ...loss, when }, first] as const)
const once = (statement: RegExp): Loss => ({ statement, when: 'before' })

test.each([
  ...each('a worker joins', { statement: JOIN }),
  ...each('messages are claimed', { statement: CLAIM }),
  ...each('messages of campaigns are claimed', { statement: CLAIM_OF_CAMPAIGNS }),
  ...each('recipients are written', { statement: FILL }),
  ...each('recipients are written: the commit', { statement: FILL, commit: true }),
  ...each('messages are listed as attempted', { statement: MARK }),
  ...each('messages are given back', { statement: GIVE_BACK }, once(MARK)),
  ...each('ends are written', { statement: SETTLE }),
  ...each('the lease is renewed', { statement: RENEW }),
  ...each('others are taken over', { statement: TAKE_OVER }),
  ...each('others are taken over: the commit', { statement: TAKE_OVER, commit: true }),
  ...each('strays are taken back', { statement: STRAYS }, { statement: CLAIM, when: 'after' }),
  ...each('orphans are looked for', { statement: WATCH }),
  ...each('orphans are put back', { statement: PUT_BACK }),
] as const)('the answer is lost when %s: everybody gets one message', async (_, loss, first) => {
  for (const one of first) lossy.lose(one)
  const isLost = lossy.lose(loss)
  await startCampaign()
  await house.sends.send(sendOf('Hello', READERS))
  work()
  await expect.poll(isLost).toBe(true)
  await everybodyHasOne()
})

test.each(
  each('an end that teaches something about an address is written: the commit', { statement: SETTLE, commit: true }),
)('the answer is lost when %s', async (_, loss) => {
  house.sink.refuse({ phase: 'rcpt', code: 550, text: '5.1.1 no such user', recipient: READERS[0] })
  const isLost = lossy.lose(loss)
  await house.sends.send(sendOf('Hello', READERS))
  work()
  await expect.poll(states).toEqual({ sent: PEOPLE - 1, failed: 1 })
  expect(isLost()).toBe(true)
  expect(house.sink.messages).toHaveLength(PEOPLE - 1)
  expect(await orphansIn(house.db)).toBe(0)
})

test.each(each('a worker leaves', { statement: /with mine as \(/ }))(
  'the answer is lost when %s: another takes over what is left',
  async (_, loss) => {
    await house.sends.send(sendOf('Hello', READERS))
    const first = work()
    await house.sink.waitFor(5)
    lossy.lose(loss)
    lossy.lose({ statement: GIVE_BACK, when: loss.when })
    await first.stop()
    expect(await orphansIn(house.db)).toBe(0)
    house.clock.advance(LEASE + 1)
    work()
    await expect.poll(states).toEqual({ sent: PEOPLE })
    expect(house.sink.messages).toHaveLength(PEOPLE)
    expect(await orphansIn(house.db)).toBe(0)
  },
)

const OPERATOR = { via: 'command', actor: null } as const

test.each([
  ...each('what is in doubt is queued', { statement: /state = \$1, reason/, commit: true }),
  ...each('what is deferred is tried now', { statement: /due_at = \$1.*for update skip locked/s }),
  ...each('what was held is released', { statement: /reason = null, reply = null/ }),
  ...each('a cancelled campaign is taken back', { statement: /with unwritten as/ }),
  ...each('a campaign ends', { statement: /select from campaign where id = /, commit: true }),
] as const)('the answer is lost when %s: the next try finds everything as it is', async (name, loss) => {
  const id = await startCampaign()
  const now = () => house.clock.now()
  await fillChunk({ db: house.db, templates: house.templates }, null, now())
  await fillChunk({ db: house.db, templates: house.templates }, null, now())
  const all = (state: string, reason: string | null, due: Date | 'infinity' | null) =>
    sql`update message set state = ${state}, reason = ${reason}, due_at = ${due}::timestamptz`.execute(house.db)
  const later = new Date(now().getTime() + 60_000)
  const round: CampaignLoopParts = {
    ...house.parts,
    db,
    wakeDelivery: () => {},
    settings: house.settings,
  } as unknown as CampaignLoopParts
  const tries: Array<[RegExp, () => Promise<unknown>, () => Promise<unknown>, object]> = [
    [
      /in doubt/,
      () => all('in_doubt', null, 'infinity'),
      () => resolveInDoubt(db, house.clock, id, 'queued', null, OPERATOR),
      { queued: PEOPLE },
    ],
    [/deferred/, () => all('deferred', null, later), () => retryDeferred(db, {}, now()), { deferred: PEOPLE }],
    [/held/, () => all('deferred', 'held', later), () => releaseHeld(db, {}, now()), { queued: PEOPLE }],
    [
      /cancelled/,
      () => sql`update campaign set status = 'cancelled'`.execute(house.db),
      () => campaignRound(round),
      { cancelled: PEOPLE },
    ],
    [/ends/, () => all('sent', null, null), () => campaignRound(round), { sent: PEOPLE }],
  ]
  const [, prepare, act, expected] = tries.find(([about]) => about.test(name))!
  await prepare()
  const isLost = lossy.lose(loss)
  await act().catch(() => {})
  expect(isLost()).toBe(true)
  await act()
  expect(await states()).toEqual(expected)
  expect(await orphansIn(house.db)).toBe(0)
})
