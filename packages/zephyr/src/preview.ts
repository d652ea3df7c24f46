import type { Context } from './compile/builder.ts'
import { type Data, dataOf, type Profile, type Sources, type Values } from './data.ts'
import { urlEncode } from './functions/text.ts'
import type { Env, Host } from './host.ts'
import { compileMessage } from './message.ts'
import { compile } from './template.ts'
import { PROTECTED } from './vocabulary.ts'

/** One rendering outside of the platform, as the `zephyr` command takes it. */
export interface Request {
  readonly template: string
  /**
   * Variables by name. `profile`, `standard`, `request`, `vars` (or `send_vars`), `evars`, `event_vars`, `feed_vars` and
   * `test_vars` may be given as objects of their own; other standard names go where they belong. A `standard` object
   * marks a fixture, whose `clock`, `send_time`, `timezone`, `message_id`, `engagement` and `interest` describe the
   * surroundings.
   */
  readonly data?: Values
  readonly context?: Context
  readonly mode?: 'strict' | 'lenient'
  /** Setup to run before. */
  readonly setup?: string
  readonly field?: string
  readonly env?: Pick<Env, 'now' | 'sendTime' | 'timeZone' | 'seed'>
}

const SURROUNDINGS: ReadonlySet<string> = new Set([
  'clock',
  'send_time',
  'timezone',
  'locale',
  'message_id',
  'engagement',
  'interest',
])
const NAMED: ReadonlySet<string> = new Set([
  'content',
  'feed',
  'blast',
  'message',
  'event',
  'purchase',
  'template',
  'page',
])

/** Sources of variables that may be given as objects of their own, and what they are called in `Sources`. */
const SOURCES = {
  request: 'request',
  evars: 'evars',
  vars: 'vars',
  send_vars: 'vars',
  event_vars: 'event',
  feed_vars: 'feed',
  test_vars: 'test',
} as const

const CONTEXTS: readonly string[] = ['mail', 'page', 'setup', 'link', 'trigger'] satisfies Context[]

/** Refuses a context from outside that does not exist. */
export function checkContext(context: string): asserts context is Context {
  if (!CONTEXTS.includes(context)) throw new SyntaxError(`context is one of ${CONTEXTS.join(', ')}, not '${context}'`)
}

/** Compiles and renders in one go, with a platform that does nothing. Throws what both throw. */
export function renderRequest(request: Request): string {
  const data = request.data ?? {}
  if (!isRecord(data)) throw new SyntaxError('the data is an object of variables: {"name": "value"}')
  const { field, mode, context = 'mail', setup } = request
  checkContext(context)
  const env = envOf(data, request.env)
  if (setup === undefined || setup === '') {
    return compile(request.template, { field, mode, context }).render(previewData(data), env)
  }
  return compileMessage({ setup, content_html: request.template }, { mode }).render(previewData(data), env).html
}

function isFixture(data: Values): boolean {
  return isRecord(data.standard)
}

function isRecord(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Puts plain variables into the layers they belong to. */
export function previewData(data: Values): Data {
  const standard: Record<string, unknown> = {}
  const named: Record<string, unknown> = {}
  const vars: Record<string, unknown> = {}
  const sources: Sources = {}
  for (const [name, value] of Object.entries(data)) {
    if ((name === 'profile' || name === 'standard') && isRecord(value)) continue
    if (Object.hasOwn(SOURCES, name) && isRecord(value)) {
      const source = SOURCES[name as keyof typeof SOURCES]
      sources[source] = { ...sources[source], ...value }
      continue
    }
    if (isFixture(data) && SURROUNDINGS.has(name)) continue
    if (PROTECTED.has(name)) define(standard, name, value)
    else define(NAMED.has(name) ? named : vars, name, value)
  }
  const profile = isRecord(data.profile) ? (data.profile as Profile) : null
  const email = profile?.email === undefined ? {} : { email: profile.email }
  return dataOf({
    standard: { ...email, ...standard, ...(isRecord(data.standard) ? data.standard : {}) },
    profile,
    ...sources,
    // Variables given bare come before those in objects of their own.
    evars: { ...sources.evars, ...vars },
    named,
  })
}

/** Assignment would treat a key such as `__proto__` as something else. */
function define(target: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true })
}

function envOf(data: Values, given: Request['env']): Env {
  const seconds = (value: unknown) => (typeof value === 'number' ? value : undefined)
  const fixture: Values = isFixture(data) ? data : {}
  const now = given?.now ?? seconds(fixture.clock)
  return {
    now,
    sendTime: given?.sendTime ?? seconds(fixture.send_time) ?? now,
    timeZone: given?.timeZone ?? (typeof fixture.timezone === 'string' ? fixture.timezone : 'UTC'),
    seed: given?.seed ?? '',
    host: previewHost(fixture),
  }
}

/** A platform for previews: links lead nowhere in particular, codes are samples, nothing is stored. */
export function previewHost(fixture: Values = {}): Host {
  const standard = isRecord(fixture.standard) ? fixture.standard : {}
  const link =
    typeof standard.signup_confirm_url === 'string' ? standard.signup_confirm_url : 'https://preview.invalid/sc/preview'
  const interest = isRecord(fixture.interest) ? fixture.interest : {}
  return {
    signupConfirm(request) {
      if (request.kind === 'optin') return link
      if (request.kind === 'nothing') return link.replace('/sc/', '/pref/')
      return `${link}?l=${urlEncode(request.lists.join(','))}`
    },
    messageId: () => (typeof fixture.message_id === 'string' ? fixture.message_id : 'preview'),
    publicShare: () => '',
    personalize: (options) =>
      Array.isArray(options.content) ? options.content.slice(0, Number(options.size ?? 5)) : [],
    interest: (tag) => (Object.hasOwn(interest, tag) ? Number(interest[tag]) : null),
    promotion: () => ({ code: 'sample_code', vars: {} }),
    ad: () => '',
    adinfo: () => null,
    engagement: () => (typeof fixture.engagement === 'number' ? fixture.engagement : null),
    geoHome: () => null,
    geoRegion: () => null,
    apiUser() {},
    apiSend() {},
    apiEvent() {},
    appendUserVar() {},
  }
}
