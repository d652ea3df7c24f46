import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hasten } from '../../src/delivery/hasten.ts'
import { createRecovery, type Recovery } from '../../src/delivery/recovery.ts'
import type { TransmitOutcome } from '../../src/delivery/transport.ts'
import { createLog } from '../../src/platform/log.ts'
import { type MailHouse, mailHouse } from './support.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const SLOW = 'slow.example'
const GREYLISTED = '450 4.2.0 come back later'

let house: MailHouse
beforeAll(async () => {
  house = await mailHouse()
  await house.templates.save('Notice', { subject: 'x', content_text: 'x' })
})
afterAll(() => house.end())
beforeEach(async () => {
  await sql`delete from message`.execute(house.db)
  await sql`delete from delivery_domain`.execute(house.db)
})

const refusal = (text: string): TransmitOutcome => ({
  kind: 'refused',
  reply: { phase: 'rcpt', code: Number(text.slice(0, 3)), text, enhanced: null },
})
const accepted = { kind: 'accepted', reply: '250 ok', ms: 1 } as TransmitOutcome

function recovery(): Recovery {
  return createRecovery({ db: house.db, clock: house.clock, log: createLog('test', 'silent'), wake: () => {} })
}

let people = 0
/** A message that waits for another attempt. */
async function waits(change: { [column: string]: unknown } = {}, domain = SLOW): Promise<number> {
  people += 1
  const id = await house.send('Notice', `p${people}@${domain}`)
  const due = new Date(house.clock.now().getTime() + 10 * MINUTE)
  await house.db
    .updateTable('message')
    .set({ state: 'deferred', attempts: 1, reply: GREYLISTED, due_at: due, ...change })
    .where('id', '=', id)
    .execute()
  return id
}
const wait = async (count: number) => {
  const ids: number[] = []
  for (let n = 0; n < count; n++) ids.push(await waits())
  return ids
}
const dueNow = async () => {
  const { rows } = await sql<{ id: number }>`
    select id from message where due_at <= ${house.clock.now()} and hastened_at is not null order by id`.execute(
    house.db,
  )
  return rows.map((row) => row.id)
}
/** What a worker writes when the server took, or refused, all that is due. */
const attempt = async (state: 'sent' | 'deferred') => {
  const now = house.clock.now()
  await sql`update message set state = ${state}, attempts = attempts + 1,
    due_at = case when ${state} = 'deferred' then ${new Date(now.getTime() + 30 * MINUTE)}::timestamptz end
    where due_at <= ${now}`.execute(house.db)
}
/** The domain refused, took something, and refused nothing for half a minute. */
const recovers = async (one: Recovery) => {
  one.saw(SLOW, refusal(GREYLISTED))
  one.saw(SLOW, accepted)
  await one.look()
  house.clock.advance(30 * SECOND)
}

describe('a domain has recovered when it took mail for half a minute without a refusal for now', () => {
  test('not sooner', async () => {
    const one = recovery()
    await wait(1)
    one.saw(SLOW, refusal(GREYLISTED))
    one.saw(SLOW, accepted)
    await one.look()
    house.clock.advance(30 * SECOND - 1)
    await one.look()
    expect(await dueNow()).toEqual([])
    house.clock.advance(1)
    await one.look()
    expect(await dueNow()).toHaveLength(1)
  })

  test('not while it takes nothing, however long it refuses nothing', async () => {
    const one = recovery()
    await wait(1)
    one.saw(SLOW, refusal(GREYLISTED))
    for (let n = 0; n < 5; n++) {
      await one.look()
      house.clock.advance(MINUTE)
    }
    expect(await dueNow()).toEqual([])
  })

  test('a refusal begins the half minute anew, whichever worker sees it', async () => {
    const [one, other] = [recovery(), recovery()]
    await wait(1)
    await recovers(one)
    other.saw(SLOW, refusal('450 4.7.1 too many'))
    await other.look()
    await one.look()
    expect(await dueNow()).toEqual([])
    // The other one only sees acceptances.
    one.saw(SLOW, accepted)
    await one.look()
    house.clock.advance(30 * SECOND)
    await other.look()
    expect(await dueNow()).toHaveLength(1)
  })

  test.each([
    ['a full mailbox', refusal('452 4.2.2 mailbox full')],
    ['a refusal for good', refusal('550 5.1.1 no such user')],
    ['a broken connection', { kind: 'broken', phase: 'rcpt', problem: 'reset', isInDoubt: false } as TransmitOutcome],
  ])('%s does not count', async (_, outcome) => {
    const one = recovery()
    await wait(1)
    await recovers(one)
    one.saw(SLOW, outcome)
    await one.look()
    expect(await dueNow()).toHaveLength(1)
  })

  test('a worker that starts anew goes on from what is written', async () => {
    await wait(1)
    await recovers(recovery())
    await recovery().look()
    expect(await dueNow()).toHaveLength(1)
  })
})

describe('what waits for it is brought forward', () => {
  test('few at first, the next ones when these were tried, until nothing is left', async () => {
    const one = recovery()
    await wait(10)
    await recovers(one)
    const steps: number[] = []
    for (let n = 0; n < 4; n++) {
      await one.look()
      await one.look()
      steps.push((await dueNow()).length)
      await attempt('sent')
    }
    expect(steps).toEqual([1, 2, 4, 3])
    await one.look()
    expect(await house.db.selectFrom('delivery_domain').selectAll().execute()).toEqual([])
  })

  test('those first that are due first', async () => {
    const at = (minutes: number) => new Date(house.clock.now().getTime() + minutes * MINUTE)
    const [, second] = [await waits({ due_at: at(30) }), await waits({ due_at: at(5) })]
    const one = recovery()
    await recovers(one)
    await one.look()
    expect(await dueNow()).toEqual([second])
  })

  test('no further at the first refusal; what is refused again keeps its pause and is not brought forward again', async () => {
    const one = recovery()
    const ids = await wait(10)
    await recovers(one)
    for (const state of ['sent', 'deferred'] as const) {
      await one.look()
      await attempt(state)
    }
    one.saw(SLOW, refusal(GREYLISTED))
    await one.look()
    house.clock.advance(MINUTE)
    await one.look()
    expect(await dueNow()).toEqual([])
    const refused = ids.slice(1, 3)
    for (let n = 0; n < 6; n++) {
      await recovers(one)
      await one.look()
      for (const id of await dueNow()) expect(refused).not.toContain(id)
      await attempt('sent')
    }
    for (const id of refused) expect(await house.row(id)).toMatchObject({ state: 'deferred', attempts: 2 })
  })

  test('by one of several workers', async () => {
    await wait(40)
    const workers = [recovery(), recovery(), recovery()]
    await recovers(workers[0]!)
    const steps: number[] = []
    for (let n = 0; n < 6; n++) {
      const before = await dueNow()
      await Promise.all(workers.map(() => hasten(house.db, SLOW, house.clock.now())))
      steps.push((await dueNow()).length - before.length)
      await attempt('sent')
    }
    expect(steps).toEqual([1, 2, 4, 8, 16, 9])
  })

  test('and nothing else', async () => {
    const later = new Date(house.clock.now().getTime() + 3 * 86_400_000)
    const { rows } = await sql<{ id: number; status: string }>`
      insert into campaign (name, status, content, list_ids, created_at, modified_at)
      select s, s, '{}', '{}', now(), now() from unnest('{sending,paused}'::text[]) as s returning id, status`.execute(
      house.db,
    )
    const ofCampaign = (status: string) => ({
      kind: 'campaign' as const,
      campaign_id: rows.find((row) => row.status === status)!.id,
      priority: 2,
    })
    const meant = [await waits(), await waits(ofCampaign('sending')), await waits({ reply: '421 4.7.0 too many' })]
    await waits({}, 'other.example')
    await waits({ reason: 'held', reply: 'held by an operator' })
    await waits({ reply: 'connect ECONNREFUSED' })
    await waits({ reply: '535 5.7.8 who are you' })
    await waits({ reply: '452 4.2.2 mailbox full' })
    await waits({ state: 'queued', attempts: 0, reply: null, due_at: later, scheduled_for: later })
    await waits(ofCampaign('paused'))
    const one = recovery()
    await recovers(one)
    const hastened = new Set<number>()
    for (let n = 0; n < 4; n++) {
      await one.look()
      for (const id of await dueNow()) hastened.add(id)
      await attempt('sent')
    }
    expect([...hastened].sort()).toEqual([...meant].sort())
  })

  test('past more than it looks at in one step, along the index of the queue', async () => {
    const id = await waits({}, 'other.example')
    await sql`
      insert into message (shard, id, profile_id, template_id, revision_id, kind, origin, address, priority, state,
        due_at, created_at, attempts, reply)
      select m.shard, nextval('message_number') * 64 + m.shard, m.profile_id, m.template_id, m.revision_id, m.kind,
        m.origin, m.address, m.priority, m.state, m.due_at + n / 2000 * interval '1 minute', m.created_at, 1, m.reply
      from message m, generate_series(1, 5000) n where m.id = ${id}`.execute(house.db)
    const far = await waits({ due_at: new Date(house.clock.now().getTime() + 30 * MINUTE) })
    const one = recovery()
    await recovers(one)
    await sql`analyze message`.execute(house.db)
    // Each moment has twice as many as are looked at in a step.
    for (let n = 0; n < 20 && (await dueNow()).length === 0; n++) await one.look()
    expect(await dueNow()).toEqual([far])
  })
})

describe('with a mail server', () => {
  afterEach(() => house.sink.accept())
  const states = async () => {
    const { rows } = await sql<{ state: string; n: number }>`
      select state, count(*)::int as n from message group by state`.execute(house.db)
    return Object.fromEntries(rows.map(({ state, n }) => [state, n]))
  }

  test('that refused every third recipient for a while, nothing waits a minute after it took mail again', async () => {
    for (let n = 0; n < 60; n += 3) {
      house.sink.refuse({ phase: 'rcpt', code: 450, text: GREYLISTED.slice(4), recipient: `t${n}@${SLOW}` })
    }
    for (let n = 0; n < 60; n++) await house.send('Notice', `t${n}@${SLOW}`)
    house.deliver()
    house.deliver()
    await expect.poll(states).toEqual({ sent: 40, deferred: 20 })
    house.sink.accept()
    await house.send('Notice', `again@${SLOW}`)
    await expect
      .poll(() => house.db.selectFrom('delivery_domain').select('accepted_at').executeTakeFirst())
      .toEqual({ accepted_at: expect.any(Date) })
    house.clock.advance(31 * SECOND)
    await expect.poll(states).toEqual({ sent: 61 })
  })
})
