import { sql } from 'kysely'
import { expect } from 'vitest'
import { addressHashWith } from '../../src/account/pepper.ts'
import { BELONGINGS } from '../../src/belongings.ts'
import type { Level } from '../../src/consent/levels.ts'
import type { FlowSettings } from '../../src/flows/definition.ts'
import { createFlows } from '../../src/flows/flows.ts'
import '../../src/flows/tables.ts'
import { createLists } from '../../src/lists/lists.ts'
import { movableClock } from '../../src/platform/clock.ts'
import type { Tx } from '../../src/platform/database.ts'
import { createLog } from '../../src/platform/log.ts'
import type { Act, ProfileChange } from '../../src/profiles/change.ts'
import { createProfiles } from '../../src/profiles/door.ts'
import { findProfile } from '../../src/profiles/read.ts'
import { cacheSettings, changeSetting } from '../../src/settings/settings.ts'
import { HOST_FUNCTIONS } from '../../src/templates/compile.ts'
import { createTemplates } from '../../src/templates/templates.ts'
import { freshDatabase } from '../support/database.ts'

/** A Monday; Lisbon is on UTC then. */
export const T0 = '2026-03-02T10:00:00Z'
export const MINUTE = 60_000
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** What people do, by way and proof. */
export const ACTS = {
  signedPage: { via: 'hosted_page', listSource: 'hosted_page', evidence: 2 },
  publicPage: { via: 'hosted_page', listSource: 'hosted_page', evidence: 0 },
  siteForm: { via: 'hosted_page', listSource: 'site_form', evidence: 0 },
  confirmLink: { via: 'confirm_link', listSource: 'confirm_link', evidence: 4 },
  api: { via: 'api', listSource: 'user_api', evidence: 0 },
  bulk: { via: 'import', listSource: 'bulk', evidence: 0 },
  page: { via: 'hosted_page', evidence: 2 },
  oneClick: { via: 'one_click', evidence: 2 },
  complaint: { via: 'complaint', evidence: 4 },
} as const satisfies Record<string, Act>

export type House = Awaited<ReturnType<typeof house>>

/** Flows on a database of their own, with a clock that is moved. */
export async function house() {
  const { db, connection, drop } = await freshDatabase(16)
  const clock = movableClock(T0)
  const settings = cacheSettings(db)
  const log = createLog('flows under test', 'silent')
  const lists = createLists({ db, clock })
  const profiles = createProfiles({
    db,
    clock,
    settings,
    lists,
    hash: addressHashWith(Buffer.alloc(32, 1)),
    belongings: BELONGINGS,
  })
  const templates = createTemplates({ db, clock, hostFunctions: HOST_FUNCTIONS, isInUse: async () => false })
  const seen: string[] = []
  const react = async (_tx: Tx, signals: readonly { type: string }[]) => {
    seen.push(...signals.map(({ type }) => type))
  }
  const make = () => createFlows({ db, clock, log, settings, lists, templates, profiles, reactions: [react] })
  const flows = make()
  let people = 0

  const h = {
    db,
    connection,
    drop,
    clock,
    profiles,
    lists,
    templates,
    flows,
    /** Another worker. */
    make,
    /** Types of signals that were handed to postbacks. */
    seen,

    async template(name: string, options: { isBasic?: boolean } = {}) {
      const saved = await templates.save(name, {
        subject: name,
        content_html: name === 'Opt-in Confirm' ? '<a href="{signup_confirm()}">Yes</a>' : '<p>Hello</p>',
        ...(options.isBasic ? { is_basic: true } : {}),
      })
      if (!saved.ok) throw new Error(saved.problem)
    },
    async setting(name: string, value: string) {
      expect(await changeSetting(db, clock, name, value)).toBeNull()
      settings.forget()
    },
    async publish(definition: object) {
      const published = await flows.publish(definition)
      if (!published.ok) throw new Error(published.problems.map(({ message }) => message).join('; '))
      return published
    },
    /** A new person, who may have opted out a day before. */
    async person(level: Level = 'none', how: Partial<ProfileChange> = {}) {
      people += 1
      const email = `person${people}@example.com`
      const now = clock.now()
      clock.set(new Date(now.getTime() - DAY))
      const act = ACTS.page
      const outcome = await profiles.change({
        person: { kind: 'email', value: email },
        act,
        level: { to: level, mode: 'set' },
        ...how,
      })
      clock.set(now)
      if (!outcome.ok) throw new Error(outcome.problem)
      await h.settle()
      return { id: outcome.profileId, email }
    },
    async join(person: { id: number }, list: string, act: Act) {
      const ids = await lists.ensure([list])
      const outcome = await h.change(person, { act, lists: new Map([[ids.get(list)!, true]]) })
      await h.settle()
      return outcome
    },
    change(person: { id: number }, change: Omit<ProfileChange, 'person'>) {
      return profiles.change({ person: { kind: 'id', value: person.id }, create: false, ...change })
    },
    /** Lets everything happen that happens now. */
    async settle() {
      for (;;) {
        const signals = await flows.dispatcher.dispatchOnce()
        const { runs } = await flows.engine.runOnce()
        if (signals + runs === 0) return
      }
    },
    async level(person: { id: number }) {
      return (await findProfile(db, { kind: 'id', value: person.id }))?.level
    },
    /** Runs of a person, oldest first. */
    async runs(person: { id: number }) {
      return db.selectFrom('flow_run').selectAll().where('profile_id', '=', person.id).orderBy('id').execute()
    },
    /** What the steps of a person's runs did: `back_in applied`. */
    async effects(person: { id: number }) {
      const { rows } = await sql<{ step_id: string; outcome: string }>`
        select e.step_id, e.outcome from flow_effect e
        join flow_run r on r.shard = e.shard and r.id = e.run_id
        where r.profile_id = ${person.id}
        order by r.id, (select min(seq) from flow_log l where l.run_id = r.id and l.step_id = e.step_id), e.ordinal`.execute(
        db,
      )
      return rows.map(({ step_id, outcome }) => `${step_id} ${outcome}`)
    },
    /** Names of the templates that a person's queued messages are made of. */
    async mail(person: { id: number }) {
      const rows = await db
        .selectFrom('message as m')
        .innerJoin('template as t', 't.id', 'm.template_id')
        .select('t.name')
        .where('m.profile_id', '=', person.id)
        .orderBy('m.id')
        .execute()
      return rows.map(({ name }) => name)
    },
    async matches(person: { id: number }) {
      const rows = await db
        .selectFrom('flow_match')
        .select('outcome')
        .where('profile_id', '=', person.id)
        .orderBy('signal_id')
        .execute()
      return rows.map(({ outcome }) => outcome)
    },
    /** Changes of level in the ledger that a flow made. */
    async flowLedger(person: { id: number }) {
      return db
        .selectFrom('consent_ledger')
        .selectAll()
        .where('profile_id', '=', person.id)
        .where('via', '=', 'flow')
        .where('event', '=', 'opted_in')
        .orderBy('id')
        .execute()
    },
  }
  return h
}

type Steps = Array<[id: string, type: string, params: object]>

const KINDS: Record<string, string> = {
  list_joined: 'entry',
  time: 'wait',
  optout_status: 'check',
  set_optout: 'action',
  send_email: 'action',
  add_to_list: 'action',
}

/** A flow whose steps follow each other. The first begins with List Joined. */
export function line(name: string, steps: Steps, settings: Partial<FlowSettings> = {}): object {
  return {
    name,
    settings,
    steps: Object.fromEntries(steps.map(([id, type, params]) => [id, { kind: KINDS[type] ?? 'action', type, params }])),
    edges: steps.slice(1).map(([to], index) => ({ from: steps[index]![0], port: 'next', to })),
  }
}

/** The flow of the founding case: joining lifts the opt-out, then a word of welcome. */
export function backByJoining(list: string, entry: object = {}, settings: Partial<FlowSettings> = {}): object {
  return line(
    `Back by joining ${list}`,
    [
      ['joined', 'list_joined', { lists: [list], ...entry }],
      ['back_in', 'set_optout', { value: 'none' }],
      ['welcome', 'send_email', { template: 'Welcome' }],
    ],
    settings,
  )
}
