import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ClaimedMessage } from '../../src/delivery/queue.ts'
import { render } from '../../src/delivery/render.ts'
import { loadSigningKeys } from '../../src/links/keys.ts'
import { createLinks, type Links } from '../../src/links/links.ts'
import { movableClock } from '../../src/platform/clock.ts'
import { compileFields, HOST_FUNCTIONS } from '../../src/templates/compile.ts'
import { EMPTY_FIELDS, type TemplateFields } from '../../src/templates/fields.ts'
import type { LoadedTemplate } from '../../src/templates/templates.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

const clock = movableClock('2026-03-02T23:30:00Z')
let fresh: FreshDatabase
let links: Links
beforeAll(async () => {
  fresh = await freshDatabase()
  links = createLinks({ keys: await loadSigningKeys(fresh.db, clock), publicUrl: 'https://mail.example.com', clock })
})
afterAll(() => fresh.drop())

/** Every field of a template, rendered for one message. */
function rendered(change: Partial<TemplateFields>, about: Partial<ClaimedMessage> = {}) {
  const fields = { ...EMPTY_FIELDS, ...change }
  const template = { publicName: 'News', fields, message: compileFields(fields, HOST_FUNCTIONS) } as LoadedTemplate
  const message = { id: 64, profile_id: 1, address: 'ada@example.com', vars: {}, options: {}, context: {}, ...about }
  const profile = {
    email: 'ada@example.com',
    vars: { first_name: 'Ada', tier: 'gold' },
    lists: [],
    optout: 'none',
    pixel_tracking_consent: 'opt-out',
  }
  const env = { now: clock.now(), timeZone: 'Europe/Berlin', engagement: 'dormant' } as Parameters<typeof render>[5]
  const parts = { links, sendIdOf: (id: number) => `s${id}` }
  return render(parts, message as ClaimedMessage, template, profile, new Map([['A', 7]]), env)
}

const shown = (...args: Parameters<typeof rendered>) => {
  const outcome = rendered(...args)
  if (outcome.kind !== 'rendered') throw new Error(JSON.stringify(outcome))
  return outcome.rendered
}

test('Setup, From name, subject, both parts and link parameters are Zephyr, each on its own copy of Setup', () => {
  expect(
    shown({
      setup: "not printed{n = 1}{greet = lambda who: 'Ahoy ' + who}",
      from_name: '{greet(first_name)}{n = 2}',
      subject: '{n}\r\n{greet(first_name)}',
      content_html: '<p>{n} {tier}</p>',
      content_text: '{n}: {text(rendered_html)}',
      link_params: { uid: '{md5(email)}', n: 5 },
    }),
  ).toMatchObject({
    fromName: 'Ahoy Ada',
    subject: '1 Ahoy Ada',
    html: expect.stringMatching(/^<p>1 gold<\/p>/),
    text: '1: 1 gold',
    linkParams: `uid=${shown({ subject: '{md5(email)}' }).subject}&n=5`,
  })
  expect(shown({ content_html: '<p>Go <b>on</b></p>' }).text).toBe('Go on')
})

test('variables: of the call before those of the event, before those of the person; what is ours cannot be replaced', () => {
  const subject = '{tier}/{event.name}/{step}/{email}/{template}/{profile.vars.tier}/{blast.id}{public_url}'
  const context = { event: { name: 'joined', vars: { step: 'one', tier: 'event' } } }
  expect(shown({ subject }, { context }).subject).toBe('event/joined/one/ada@example.com/News/gold/')
  expect(shown({ subject }, { context, vars: { tier: 'call', email: 'x', step: null } }).subject).toBe(
    'call/joined//ada@example.com/News/gold/',
  )
})

test('dates are those of the account, the person as they are, the message by its id', () => {
  const subject =
    "{date('yyyy-MM-dd HH:mm')} {profile.optout ? 'out' : 'in'} {user_engagement()}{profile.engagement} {message_id()}{public_share('url')}"
  expect(shown({ subject }).subject).toBe('2026-03-03 00:30 in 1 s64')
})

test('confirmation links by form of the argument', () => {
  const link = (call: string, about?: Partial<ClaimedMessage>) => {
    const opened = links.openConfirm(shown({ subject: `{${call}}` }, about).subject.replace(/^.*\/s\//, ''))
    return opened.ok ? { lists: opened.confirm.lists, page: opened.confirm.page } : opened
  }
  expect(rendered({ subject: '{signup_confirm_url}' })).toMatchObject({ isForOne: true })
  expect(rendered({ subject: '{optout_confirm_url}' })).toMatchObject({ isForOne: false })
  expect(link('signup_confirm()')).toEqual({ lists: null, page: null })
  expect(link('signup_confirm_url')).toEqual({ lists: null, page: null })
  expect(link("signup_confirm(['A'], 'thanks')")).toEqual({ lists: [7], page: 'thanks' })
  expect(link("signup_confirm('A')")).toEqual({ lists: [7], page: null })
  expect(link('signup_confirm(signup_lists)', { vars: { signup_lists: ['A'] } })).toEqual({ lists: [7], page: null })
  for (const nothing of ['missing', '[]', "''", "{'A': 0}", 'profile.optout']) {
    expect(link(`signup_confirm(${nothing})`), nothing).toEqual({ lists: [], page: null })
  }
  expect(rendered({ subject: "{signup_confirm(['A', 'New'])}" })).toEqual({ kind: 'needs', lists: ['New'] })
})

test('a stop and a failure are told apart, with the reason and the place', () => {
  expect(rendered({ setup: "{assert(profile.vars.points, 'no points')}", subject: 'x' })).toEqual({
    kind: 'stopped',
    reason: 'no points',
  })
  expect(rendered({ subject: 'x', content_html: '\n{x = [1]}{foreach x as y}{push("x", y)}{/foreach}' })).toMatchObject(
    {
      kind: 'failed',
      reason: expect.stringContaining('content_html, line 2'),
    },
  )
})
