import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readLedger } from '../../src/consent/ledger.ts'
import { ACTS, backByJoining, DAY, HOUR, type House, house, line, MINUTE } from './support.ts'

let h: House
beforeAll(async () => {
  h = await house()
  await h.setting('timezone', 'Europe/Lisbon')
  for (const name of ['Welcome', 'Other', 'Opt-in Confirm']) await h.template(name)
  await h.template('Account news', { isBasic: true })
})
afterAll(() => h.drop())

describe('opting back in by joining a list', () => {
  it('1: an opted-out person joins by a signed page, becomes valid and is written to', async () => {
    const list = 'case 1'
    const { flowId } = await h.publish(backByJoining(list))
    const person = await h.person('basic')
    h.seen.length = 0
    await h.join(person, list, ACTS.signedPage)
    expect(await h.level(person)).toBe('none')
    expect(await h.effects(person)).toEqual(['back_in applied', 'welcome queued'])
    expect(await h.mail(person)).toEqual(['Welcome'])
    const [run, ...more] = await h.runs(person)
    expect(more).toEqual([])
    expect(run).toMatchObject({ state: 'ended', end_reason: 'completed', due_at: null, lease_owner: null })
    const ledger = await h.flowLedger(person)
    expect(ledger).toHaveLength(1)
    expect(ledger[0]).toMatchObject({ from_state: 'basic', to_state: 'none', evidence: 2 })
    expect(ledger[0]?.actor).toContain(`flow/${flowId}/v1/run ${run?.id}/step back_in`)
    expect(ledger[0]?.context).toMatchObject({ source: 'hosted_page', reason: 'flow' })
  })

  it('1: the public page suffices under the policy legacy', async () => {
    await h.setting('flow_optin_policy', 'legacy')
    await h.publish(backByJoining('case 1 legacy'))
    const person = await h.person('basic')
    await h.join(person, 'case 1 legacy', ACTS.publicPage)
    await h.setting('flow_optin_policy', 'evidence')
    expect(await h.level(person)).toBe('none')
    expect(await h.mail(person)).toEqual(['Welcome'])
  })

  it('1: one signal of the change reaches the postbacks', async () => {
    await h.setting('optout_postback_url', 'http://127.0.0.1:9/none')
    await h.publish(backByJoining('case 1 postback'))
    const person = await h.person('basic')
    h.seen.length = 0
    await h.join(person, 'case 1 postback', ACTS.signedPage)
    await h.setting('optout_postback_url', '')
    expect(h.seen).toEqual(['list_joined', 'optout_changed'])
  })

  it('2: the same for somebody who is on the list already', async () => {
    const list = 'case 2'
    await h.publish(backByJoining(list))
    const person = await h.person()
    await h.join(person, list, ACTS.api)
    await h.change(person, { act: ACTS.page, level: { to: 'basic', mode: 'set' } })
    h.clock.advance(DAY)
    await h.join(person, list, ACTS.signedPage)
    expect(await h.level(person)).toBe('none')
    expect(await h.runs(person)).toHaveLength(2)
    expect(await h.effects(person)).toEqual(['back_in noop', 'welcome queued', 'back_in applied', 'welcome queued'])
  })

  it.each([
    ['public page', ACTS.publicPage],
    ['site form', ACTS.siteForm],
  ])('2b: a %s proves nothing, so a confirmation is mailed and its button does the rest', async (way, act) => {
    const list = `case 2b ${way}`
    await h.publish(backByJoining(list))
    const person = await h.person('basic')
    await h.join(person, list, act)
    expect(await h.level(person)).toBe('basic')
    expect(await h.effects(person)).toEqual(['back_in needs_confirmation', 'welcome skipped optout_marketing'])
    expect(await h.mail(person)).toEqual(['Opt-in Confirm'])
    const message = await h.db.selectFrom('message').selectAll().where('profile_id', '=', person.id).executeTakeFirst()
    const ids = await h.lists.find([list])
    expect(message).toMatchObject({ origin: 'flow', kind: 'optin', context: { confirmLists: [ids.get(list)] } })

    h.clock.advance(5 * MINUTE)
    const lists = new Map([[ids.get(list)!, true]])
    await h.change(person, { act: ACTS.confirmLink, lists, level: { to: 'none', mode: 'set' } })
    await h.settle()
    expect(await h.level(person)).toBe('none')
    expect((await h.effects(person)).slice(2)).toEqual(['back_in noop', 'welcome queued'])
    expect(await h.mail(person)).toEqual(['Opt-in Confirm', 'Welcome'])
  })

  it('2b: mails no more confirmations than the throttle allows', async () => {
    await h.setting('optin_confirm_limit', '2')
    await h.publish(backByJoining('case 2b throttle'))
    const person = await h.person('basic')
    for (let n = 0; n < 4; n++) {
      h.clock.advance(MINUTE)
      await h.join(person, 'case 2b throttle', ACTS.publicPage)
    }
    await h.setting('optin_confirm_limit', '5')
    expect(await h.mail(person)).toEqual(['Opt-in Confirm', 'Opt-in Confirm'])
  })

  it('3: a member who asks again starts nothing with fireOn joined', async () => {
    const list = 'case 3'
    await h.publish(backByJoining(list, { fireOn: 'joined' }))
    const person = await h.person('none', { lists: new Map([[(await h.lists.ensure([list])).get(list)!, true]]) })
    await h.change(person, { act: ACTS.page, level: { to: 'basic', mode: 'set' } })
    const before = (await h.runs(person)).length
    const matched = (await h.matches(person)).length
    h.clock.advance(DAY)
    await h.join(person, list, ACTS.signedPage)
    expect(await h.runs(person)).toHaveLength(before)
    expect(await h.matches(person)).toHaveLength(matched)
    expect(await h.level(person)).toBe('basic')
  })

  it('4: the same from the level all', async () => {
    await h.publish(backByJoining('case 4'))
    const person = await h.person('all')
    await h.join(person, 'case 4', ACTS.signedPage)
    expect(await h.level(person)).toBe('none')
    expect(await h.mail(person)).toEqual(['Welcome'])
  })

  it('5: a member who never opted out and submits again starts nothing', async () => {
    await h.publish(backByJoining('case 5'))
    const person = await h.person()
    await h.join(person, 'case 5', ACTS.signedPage)
    h.clock.advance(DAY)
    await h.join(person, 'case 5', ACTS.signedPage)
    expect(await h.runs(person)).toHaveLength(1)
  })

  it('6: for a valid person the action does nothing and leaves no trace in the ledger', async () => {
    await h.publish(backByJoining('case 6'))
    const person = await h.person()
    h.seen.length = 0
    await h.join(person, 'case 6', ACTS.signedPage)
    expect(await h.effects(person)).toEqual(['back_in noop', 'welcome queued'])
    expect((await readLedger(h.db, person.id)).filter(({ via }) => via === 'flow')).toEqual([])
    expect(h.seen).toEqual(['list_joined'])
  })

  it('7: a send before the action is judged on the old level, one after it on the new', async () => {
    const flow = line('case 7', [
      ['joined', 'list_joined', { lists: ['case 7'] }],
      ['first', 'send_email', { template: 'Other' }],
      ['back_in', 'set_optout', { value: 'none' }],
      ['second', 'send_email', { template: 'Welcome' }],
    ])
    await h.publish(flow)
    const person = await h.person('basic')
    const ids = await h.lists.ensure(['case 7'])
    await h.change(person, { act: ACTS.signedPage, lists: new Map([[ids.get('case 7')!, true]]) })
    await h.flows.dispatcher.dispatchOnce()
    expect(await h.flows.engine.runOnce()).toEqual({ runs: 1, steps: 3 })
    expect((await h.effects(person)).sort()).toEqual([
      'back_in applied',
      'first skipped optout_marketing',
      'second queued',
    ])
    expect(await h.mail(person)).toEqual(['Welcome'])
  })

  it('8: a dead mailbox stays dead; the level is set all the same', async () => {
    await h.publish(backByJoining('case 8'))
    const person = await h.person('basic')
    const deliverability = { address: person.email, state: 'hardbounce', class: '5.1.1', detail: null } as const
    await h.change(person, { act: { via: 'bounce', evidence: 0 }, deliverability })
    await h.join(person, 'case 8', ACTS.signedPage)
    expect(await h.level(person)).toBe('none')
    expect(await h.effects(person)).toEqual(['back_in applied', 'welcome skipped hardbounce'])
    expect((await h.runs(person))[0]).toMatchObject({ end_reason: 'completed' })
    const address = await h.db.selectFrom('address').selectAll().where('address', '=', person.email).executeTakeFirst()
    expect(address?.state).toBe('hardbounce')
  })

  it('9: a refusal after the act that started the run wins, even if it left the level as it was', async () => {
    const flow = line('case 9', [
      ['joined', 'list_joined', { lists: ['case 9'] }],
      ['a_day', 'time', { for: { amount: 1, unit: 'days' } }],
      ['back_in', 'set_optout', { value: 'none' }],
      ['welcome', 'send_email', { template: 'Account news' }],
    ])
    await h.publish(flow)
    const person = await h.person('basic')
    await h.join(person, 'case 9', ACTS.signedPage)
    h.clock.advance(2 * HOUR)
    await h.change(person, { act: ACTS.oneClick, level: { to: 'basic', mode: 'tighten' } })
    h.clock.advance(22 * HOUR)
    await h.settle()
    expect(await h.effects(person)).toEqual(['back_in superseded', 'welcome queued'])
    expect(await h.level(person)).toBe('basic')
  })

  it('9: also when a second flow carries on what the first began', async () => {
    await h.publish(
      line('case 9 first', [
        ['joined', 'list_joined', { lists: ['case 9 a'] }],
        ['a_day', 'time', { for: { amount: 1, unit: 'days' } }],
        ['on', 'add_to_list', { lists: ['case 9 b'] }],
      ]),
    )
    await h.publish(backByJoining('case 9 b'))
    const person = await h.person('basic')
    await h.join(person, 'case 9 a', ACTS.signedPage)
    h.clock.advance(2 * HOUR)
    await h.change(person, { act: ACTS.oneClick, level: { to: 'basic', mode: 'tighten' } })
    h.clock.advance(22 * HOUR)
    await h.settle()
    expect(await h.effects(person)).toEqual(['on joined', 'back_in superseded', 'welcome skipped optout_marketing'])
  })

  it('10: after a complaint only proof of the mailbox helps, under either policy', async () => {
    await h.publish(backByJoining('case 10'))
    const person = await h.person()
    await h.change(person, { act: ACTS.complaint, complaint: true })
    for (const policy of ['evidence', 'legacy']) {
      await h.setting('flow_optin_policy', policy)
      h.clock.advance(DAY)
      await h.join(person, 'case 10', ACTS.signedPage)
      expect(await h.level(person)).toBe('basic')
    }
    await h.setting('flow_optin_policy', 'evidence')
    expect((await h.effects(person)).filter((effect) => effect === 'back_in needs_confirmation')).toHaveLength(2)
    h.clock.advance(DAY)
    await h.join(person, 'case 10', ACTS.confirmLink)
    expect(await h.level(person)).toBe('none')
  })

  it('11: a server that repeats the state of a list asks for nothing, unless the flow trusts it', async () => {
    const thrice = async (list: string, entry: object) => {
      await h.publish(backByJoining(list, entry))
      const ids = await h.lists.ensure([list])
      const person = await h.person('basic', { lists: new Map([[ids.get(list)!, true]]), act: ACTS.bulk })
      await h.change(person, { act: ACTS.page, level: { to: 'basic', mode: 'set' } })
      for (let n = 0; n < 3; n++) {
        h.clock.advance(HOUR)
        await h.join(person, list, ACTS.api)
      }
      return person
    }
    expect(await h.runs(await thrice('case 11', {}))).toEqual([])

    const trusted = await thrice('case 11 trusted', { trustApiResubscribe: true })
    expect(await h.effects(trusted)).toEqual(['back_in applied', 'welcome queued'])

    await h.setting('api_optin_policy', 'attested')
    const attested = await thrice('case 11 attested', { trustApiResubscribe: true })
    await h.setting('api_optin_policy', 'legacy')
    expect(new Set(await h.effects(attested))).toContain('back_in needs_confirmation')
    expect(await h.level(attested)).toBe('basic')
  })

  it('12: the API adds an opted-out person who is not on the list', async () => {
    await h.publish(backByJoining('case 12'))
    const person = await h.person('basic')
    await h.join(person, 'case 12', ACTS.api)
    expect(await h.level(person)).toBe('none')
    expect(await h.mail(person)).toEqual(['Welcome'])
  })

  it('13: a bulk job starts nothing and changes no consent', async () => {
    const list = 'case 13'
    await h.publish(backByJoining(list))
    const id = (await h.lists.ensure([list])).get(list)!
    const emails = Array.from({ length: 500 }, (_, n) => `bulk${n}@example.com`)
    const by = (change: object) => emails.map((value) => ({ person: { kind: 'email' as const, value }, ...change }))
    await h.profiles.changeAll(by({ act: ACTS.page, level: { to: 'basic', mode: 'set' } }) as never)
    const outcomes = await h.profiles.changeAll(by({ act: ACTS.bulk, lists: new Map([[id, true]]) }) as never)
    await h.settle()
    expect(outcomes.every((outcome) => outcome.ok && outcome.level === 'basic' && outcome.joined.length === 1)).toBe(
      true,
    )
    const counted = h.db.selectFrom('flow_run').innerJoin('flow', 'flow.id', 'flow_id').select('flow_run.id')
    expect(await counted.where('name', '=', `Back by joining ${list}`).execute()).toEqual([])
  })

  it('13: a flow that only a bulk job can start cannot lift opt-outs', async () => {
    const published = await h.flows.publish(backByJoining('case 13 only', { sources: ['bulk'] }))
    expect(published).toMatchObject({ ok: false })
    const messages = published.ok ? [] : published.problems.map(({ step, message }) => `${step}: ${message}`)
    expect(messages.join()).toMatch(/back_in: it lifts opt-outs, but people who enter by bulk have not asked for mail/)
  })

  it('14: leaving one template is another matter', async () => {
    await h.publish(backByJoining('case 14'))
    const person = await h.person('basic')
    const template = (await h.templates.byName('Welcome'))!
    const templates = new Map([[template.id, { out: true, name: 'Welcome' }]])
    await h.change(person, { act: ACTS.page, templates })
    h.clock.advance(MINUTE)
    await h.join(person, 'case 14', ACTS.signedPage)
    expect(await h.level(person)).toBe('none')
    expect(await h.effects(person)).toEqual(['back_in applied', 'welcome skipped optout_template'])
  })
})
