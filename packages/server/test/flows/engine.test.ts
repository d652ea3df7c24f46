import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { claimRuns, LEASE } from '../../src/flows/claim.ts'
import { listFlows, listProblems } from '../../src/flows/counts.ts'
import { deactivateFlow, holdFlow, retryBlocked } from '../../src/flows/operate.ts'
import { ACTS, backByJoining, DAY, HOUR, type House, house, line, MINUTE } from './support.ts'

let h: House
beforeAll(async () => {
  h = await house()
  for (const name of ['Welcome', 'Second', 'Third', 'Opt-in Confirm']) await h.template(name)
  await h.template('Account news', { isBasic: true })
})
afterAll(() => h.drop())

const flowNamed = async (name: string) => (await listFlows(h.db)).find((flow) => flow.name === name)

/** Three messages, a day apart. */
const series = (list: string, third: string, settings: object = {}) =>
  line(
    list,
    [
      ['joined', 'list_joined', { lists: [list] }],
      ['first', 'send_email', { template: 'Welcome' }],
      ['day_1', 'time', { for: { amount: 1, unit: 'days' } }],
      ['second', 'send_email', { template: 'Second' }],
      ['day_2', 'time', { for: { amount: 1, unit: 'days' } }],
      ['third', 'send_email', { template: third }],
    ],
    settings,
  )

async function throughSeries(list: string, level: 'basic' | 'all') {
  const person = await h.person()
  await h.join(person, list, ACTS.api)
  h.clock.advance(HOUR)
  await h.change(person, { act: ACTS.page, level: { to: level, mode: 'set' } })
  await h.settle()
  for (let day = 0; day < 2; day++) {
    h.clock.advance(DAY)
    await h.settle()
  }
  return person
}

describe('people who opt out on the way', () => {
  it('48: later messages are skipped with a reason, and the run goes on to its end', async () => {
    await h.publish(series('case 48', 'Third'))
    const person = await throughSeries('case 48', 'basic')
    const skipped = 'skipped optout_marketing'
    expect(await h.effects(person)).toEqual(['first queued', `second ${skipped}`, `third ${skipped}`])
    expect((await h.runs(person))[0]?.end_reason).toBe('completed')
  })

  it('48: where the flow says so, the run ends when the person opts out', async () => {
    await h.publish(series('case 48 exit', 'Third', { onOptOut: 'exit' }))
    const person = await throughSeries('case 48 exit', 'basic')
    expect(await h.effects(person)).toEqual(['first queued'])
    const [run] = await h.runs(person)
    expect(run).toMatchObject({ state: 'ended', end_reason: 'opted_out', due_at: null })
    expect(run?.ended_at).toEqual(new Date(run!.entered_at.getTime() + HOUR))
  })

  it('48: but not by its own action, nor because they are out when they enter', async () => {
    const flow = line(
      'case 48 own',
      [
        ['joined', 'list_joined', { lists: ['case 48 own'] }],
        ['out', 'set_optout', { value: 'all' }],
        ['minute', 'time', { for: { amount: 1, unit: 'minutes' } }],
        ['back', 'set_optout', { value: 'none' }],
      ],
      { onOptOut: 'exit' },
    )
    await h.publish(flow)
    const person = await h.person('basic')
    await h.join(person, 'case 48 own', ACTS.signedPage)
    h.clock.advance(MINUTE)
    await h.settle()
    expect(await h.effects(person)).toEqual(['out applied', 'back applied'])
  })

  it.each([
    ['basic', 'third queued'],
    ['all', 'third skipped optout_all'],
  ] as const)('49: a transactional template at %s', async (level, expected) => {
    await h.publish(series(`case 49 ${level}`, 'Account news'))
    const person = await throughSeries(`case 49 ${level}`, level)
    expect((await h.effects(person)).at(-1)).toBe(expected)
  })

  it('52: a person without an address is skipped', async () => {
    await h.publish(backByJoining('case 52'))
    const list = (await h.lists.find(['case 52'])).get('case 52')!
    const outcome = await h.profiles.change({
      person: { kind: 'extid', value: 'no-mail' },
      act: ACTS.api,
      lists: new Map([[list, true]]),
    })
    await h.settle()
    expect(await h.effects({ id: outcome.ok ? outcome.profileId : 0 })).toEqual([
      'back_in noop',
      'welcome skipped no_email',
    ])
  })

  it('76: a skip leaves through not_sent where that leads somewhere', async () => {
    const steps = {
      joined: { kind: 'entry', type: 'list_joined', params: { lists: ['case 76'] } },
      hello: { kind: 'action', type: 'send_email', params: { template: 'Welcome' } },
      sent: { kind: 'action', type: 'add_to_list', params: { lists: ['case 76 sent'] } },
      missed: { kind: 'action', type: 'add_to_list', params: { lists: ['case 76 missed'] } },
    }
    const edges = [
      { from: 'joined', port: 'next', to: 'hello' },
      { from: 'hello', port: 'next', to: 'sent' },
      { from: 'hello', port: 'not_sent', to: 'missed' },
    ]
    await h.publish({ name: 'case 76', steps, edges })
    const out = await h.person('basic')
    const valid = await h.person()
    for (const person of [out, valid]) await h.join(person, 'case 76', ACTS.api)
    expect(await h.effects(out)).toEqual(['hello skipped optout_marketing', 'missed joined'])
    expect(await h.effects(valid)).toEqual(['hello queued', 'sent joined'])
  })

  it('77: the confirmation is for people who asked for it, within a day', async () => {
    const flow = (list: string, hours: number) =>
      line(list, [
        ['joined', 'list_joined', { lists: [list] }],
        ['wait', 'time', { for: { amount: hours, unit: 'hours' } }],
        ['ask', 'send_email', { template: 'Opt-in Confirm' }],
      ])
    await h.publish(flow('case 77 soon', 1))
    await h.publish(flow('case 77 late', 25))
    const outcomes = []
    for (const [list, act] of [
      ['case 77 soon', ACTS.publicPage],
      ['case 77 soon', ACTS.api],
      ['case 77 late', ACTS.publicPage],
    ] as const) {
      const person = await h.person('all')
      await h.join(person, list, act)
      h.clock.advance(26 * HOUR)
      outcomes.push(person)
    }
    // Each run is taken when it is due, not when all are.
    await h.settle()
    const effects = await Promise.all(outcomes.map((person) => h.effects(person)))
    expect(effects).toEqual([
      ['ask skipped optin_not_requested'],
      ['ask skipped optin_not_requested'],
      ['ask skipped optin_not_requested'],
    ])
    const prompt = await h.person('all')
    await h.join(prompt, 'case 77 soon', ACTS.publicPage)
    h.clock.advance(HOUR)
    await h.settle()
    expect(await h.effects(prompt)).toEqual(['ask queued'])
  })

  it('70: a person who is erased leaves the flow', async () => {
    await h.publish(series('case 70', 'Third'))
    const person = await h.person()
    await h.join(person, 'case 70', ACTS.api)
    await h.change(person, { act: { via: 'ui', evidence: 1 }, erase: true })
    h.clock.advance(DAY)
    await h.settle()
    expect((await h.runs(person)).map(({ end_reason }) => end_reason)).toEqual(['profile_deleted'])
  })
})

describe('crashes and competition', () => {
  it('46: two branches meet at a step, which every run visits once', async () => {
    const steps = {
      joined: { kind: 'entry', type: 'list_joined', params: { lists: ['case 46'] } },
      was_out: { kind: 'check', type: 'optout_status', params: { anyOf: ['basic', 'all'] } },
      back_in: { kind: 'action', type: 'set_optout', params: { value: 'none' } },
      hello: { kind: 'action', type: 'send_email', params: { template: 'Welcome' } },
    }
    const edges = [
      { from: 'joined', port: 'next', to: 'was_out' },
      { from: 'was_out', port: 'yes', to: 'back_in' },
      { from: 'was_out', port: 'no', to: 'hello' },
      { from: 'back_in', port: 'next', to: 'hello' },
    ]
    await h.publish({ name: 'case 46', steps, edges })
    const out = await h.person('basic')
    const valid = await h.person()
    for (const person of [out, valid]) await h.join(person, 'case 46', ACTS.signedPage)
    expect(await h.effects(out)).toEqual(['back_in applied', 'hello queued'])
    expect(await h.effects(valid)).toEqual(['hello queued'])
  })

  it('61: a step that dies before its commit has not happened; done again, it happens once', async () => {
    await h.publish(backByJoining('case 61'))
    const person = await h.person('basic')
    const list = (await h.lists.find(['case 61'])).get('case 61')!
    await h.change(person, { act: ACTS.signedPage, lists: new Map([[list, true]]) })
    await h.flows.dispatcher.dispatchOnce()
    // The last statement of a step breaks, after its effects were written.
    await sql`create function break_off() returns trigger language plpgsql as $$
      begin if new.step_id is distinct from old.step_id or new.state = 'ended' then raise exception 'power cut' using errcode = '57P01';
      end if; return new; end $$`.execute(h.db)
    await sql`create trigger break_off after update on flow_run for each row execute function break_off()`.execute(h.db)
    for (let n = 0; n < 20; n++) {
      expect(await h.flows.engine.runOnce()).toEqual({ runs: 1, steps: 0 })
      h.clock.advance(MINUTE * 6)
    }
    expect(await h.effects(person)).toEqual([])
    expect(await h.level(person)).toBe('basic')
    await sql`drop trigger break_off on flow_run`.execute(h.db)
    await sql`drop function break_off`.execute(h.db)
    await h.settle()
    expect(await h.effects(person)).toEqual(['back_in applied', 'welcome queued'])
    expect(await h.mail(person)).toEqual(['Welcome'])
    expect(await h.flowLedger(person)).toHaveLength(1)
  })

  it('62: who comes back after their lease ran out changes nothing', async () => {
    await h.publish(backByJoining('case 62'))
    const person = await h.person('basic')
    const list = (await h.lists.find(['case 62'])).get('case 62')!
    await h.change(person, { act: ACTS.signedPage, lists: new Map([[list, true]]) })
    await h.flows.dispatcher.dispatchOnce()
    const [late] = await claimRuns(h.db, 'the slow one', 100, h.clock.now())
    expect(late?.profileId).toBe(person.id)
    expect(await h.flows.engine.runOnce()).toEqual({ runs: 0, steps: 0 })
    h.clock.advance(LEASE)
    const others = [h.make(), h.make()]
    const done = await Promise.all(others.map(({ engine }) => engine.runOnce()))
    expect(done.reduce((sum, { steps }) => sum + steps, 0)).toBe(2)
    expect(await h.effects(person)).toEqual(['back_in applied', 'welcome queued'])
    const { advance } = await import('../../src/flows/advance.ts')
    const { createDefinitions } = await import('../../src/flows/definitions.ts')
    const { DEFAULTS } = await import('../../src/settings/settings.ts')
    const advanced = await advance(
      {
        db: h.db,
        definitions: createDefinitions(),
        references: h,
        profiles: h.profiles,
        settings: DEFAULTS,
        now: h.clock.now(),
        owner: 'the slow one',
        keepsLease: true,
      },
      late!,
    )
    expect(advanced).toEqual({ type: 'lost' })
    expect(await h.mail(person)).toEqual(['Welcome'])
  })

  it('64: one run that fails every time is set aside after ten times, and stops no other', async () => {
    await h.publish(backByJoining('case 64'))
    const list = (await h.lists.find(['case 64'])).get('case 64')!
    const people = []
    for (let n = 0; n < 20; n++) people.push(await h.person('basic'))
    const bad = people[7]!
    await sql`create function refuse() returns trigger language plpgsql as $$
      begin raise exception 'a defect'; end $$`.execute(h.db)
    await sql`create trigger refuse before insert on message for each row when (new.profile_id = ${sql.lit(bad.id)})
      execute function refuse()`.execute(h.db)
    await h.profiles.changeAll(
      people.map(({ id }) => ({
        person: { kind: 'id', value: id },
        create: false,
        act: ACTS.signedPage,
        lists: new Map([[list, true]]),
      })),
    )
    for (let n = 0; n < 12; n++) {
      await h.settle()
      h.clock.advance(10 * MINUTE)
    }
    for (const person of people) {
      expect(await h.mail(person)).toEqual(person === bad ? [] : ['Welcome'])
    }
    const [run] = await h.runs(bad)
    expect(run).toMatchObject({ state: 'blocked', step_id: 'welcome', attempts: 10 })
    expect(run?.problem).toMatch(/failed 10 times: a defect \(trace /)
    await sql`drop trigger refuse on message`.execute(h.db)
    expect(await retryBlocked(h.db, h.clock, 'Back by joining case 64')).toEqual({ ok: true, runs: 1 })
    await h.settle()
    expect(await h.effects(bad)).toEqual(['back_in applied', 'welcome queued'])
  })

  it('a bad signal is set aside and holds up no other', async () => {
    await h.publish(backByJoining('bad signal'))
    const list = (await h.lists.find(['bad signal'])).get('bad signal')!
    const people = [await h.person(), await h.person(), await h.person()]
    await sql`create function refuse_run() returns trigger language plpgsql as $$
      begin raise exception 'a defect'; end $$`.execute(h.db)
    await sql`create trigger refuse_run before insert on flow_run for each row
      when (new.profile_id = ${sql.lit(people[1]!.id)}) execute function refuse_run()`.execute(h.db)
    for (const person of people) await h.change(person, { act: ACTS.api, lists: new Map([[list, true]]) })
    for (let n = 0; n < 12; n++) {
      await h.settle()
      h.clock.advance(20 * MINUTE)
    }
    await sql`drop trigger refuse_run on flow_run`.execute(h.db)
    expect(await Promise.all(people.map(async (person) => (await h.runs(person)).length))).toEqual([1, 0, 1])
    const left = await sql<{ attempts: number; retry_at: unknown }>`select attempts, retry_at from signal`.execute(h.db)
    expect(left.rows).toEqual([{ attempts: 10, retry_at: Number.POSITIVE_INFINITY }])
    await sql`update signal set retry_at = null`.execute(h.db)
    await h.settle()
    expect(await h.effects(people[1]!)).toEqual(['back_in noop', 'welcome queued'])
  })
})

describe('operating', () => {
  it('a missing template holds the run up, with a reason; put right, it goes on', async () => {
    await h.template('Fleeting')
    const flow = line('needs attention', [
      ['joined', 'list_joined', { lists: ['needs attention'] }],
      ['minute', 'time', { for: { amount: 1, unit: 'minutes' } }],
      ['send', 'send_email', { template: 'Fleeting' }],
    ])
    const { flowId } = await h.publish(flow)
    const [person, patient] = [await h.person(), await h.person()]
    for (const one of [person, patient]) await h.join(one, 'needs attention', ACTS.api)
    expect(await h.templates.remove('Fleeting')).toEqual({ ok: true })
    h.clock.advance(MINUTE)
    await h.settle()
    expect((await h.runs(person))[0]).toMatchObject({ state: 'blocked' })
    expect(await flowNamed('needs attention')).toMatchObject({ entered: 2, inProgress: 2, blocked: 2, ended: 0 })
    expect(await listProblems(h.db, flowId)).toEqual([{ problem: 'the template "Fleeting" does not exist', runs: 2 }])
    await h.template('Fleeting')
    expect(await retryBlocked(h.db, h.clock, 'needs attention')).toEqual({ ok: true, runs: 2 })
    await h.settle()
    expect(await h.mail(person)).toEqual(['Fleeting'])
  })

  it('a run that stays blocked is given up after a week', async () => {
    await h.template('Lost')
    await h.publish(
      line('given up', [
        ['joined', 'list_joined', { lists: ['given up'] }],
        ['send', 'send_email', { template: 'Lost' }],
      ]),
    )
    await h.templates.remove('Lost')
    const person = await h.person()
    await h.join(person, 'given up', ACTS.api)
    h.clock.advance(6 * DAY)
    await h.settle()
    expect((await h.runs(person))[0]?.state).toBe('blocked')
    h.clock.advance(DAY)
    await h.settle()
    expect((await h.runs(person))[0]).toMatchObject({ state: 'ended', end_reason: 'error_expired' })
  })

  it('53: switching a flow off empties it at once; switched on again it starts empty', async () => {
    await h.publish(series('case 53', 'Third'))
    const people = [await h.person(), await h.person()]
    for (const person of people) await h.join(person, 'case 53', ACTS.api)
    expect(await deactivateFlow(h.db, h.clock, 'case 53')).toEqual({ ok: true, runs: 2 })
    expect(await flowNamed('case 53')).toMatchObject({ status: 'inactive', entered: 2, inProgress: 0, ended: 2 })
    const late = await h.person()
    await h.join(late, 'case 53', ACTS.api)
    expect(await h.matches(late)).toEqual([])
    expect(await h.publish(series('case 53', 'Third'))).toMatchObject({ version: 1, isNew: false })
    // One whose old run has not been touched yet comes again, and is let in.
    const list = (await h.lists.find(['case 53'])).get('case 53')!
    await h.change(people[0]!, { act: ACTS.api, lists: new Map([[list, false]]) })
    await h.join(people[0]!, 'case 53', ACTS.api)
    expect((await h.runs(people[0]!)).map(({ end_reason }) => end_reason)).toEqual(['flow_inactive', null])
    h.clock.advance(DAY)
    await h.settle()
    expect((await h.runs(people[1]!)).map(({ end_reason }) => end_reason)).toEqual(['flow_inactive'])
    expect(await h.effects(people[1]!)).toEqual(['first queued'])
    expect(await flowNamed('case 53')).toMatchObject({ status: 'active', entered: 3, inProgress: 1, ended: 2 })
  })

  it('60: in a flow that is held nobody moves, and nobody is lost', async () => {
    await h.publish(series('case 60', 'Third'))
    const inside = await h.person()
    await h.join(inside, 'case 60', ACTS.api)
    await holdFlow(h.db, h.clock, 'case 60', true)
    h.clock.advance(DAY)
    const late = await h.person()
    await h.join(late, 'case 60', ACTS.api)
    expect(await h.effects(inside)).toEqual(['first queued'])
    expect(await h.effects(late)).toEqual([])
    await holdFlow(h.db, h.clock, 'case 60', false)
    await h.settle()
    expect(await h.effects(inside)).toEqual(['first queued', 'second queued'])
    expect(await h.effects(late)).toEqual(['first queued'])
  })
})
