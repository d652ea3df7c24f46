import { Failure } from '../errors.ts'
import type { Host, SendRequest, SignupRequest } from '../host.ts'
import type { Run } from '../run.ts'
import { show } from '../text.ts'
import {
  fromHost,
  isObject,
  keysOf,
  Labelled,
  member,
  toHost,
  toInteger,
  toList,
  toNumberOr,
  truthy,
  type Value,
} from '../values.ts'
import { nowOf } from './dates.ts'
import { type Arg, type Definition, define } from './definition.ts'
import { purchased } from './lists.ts'
import { urlEncode } from './text.ts'

type Fn = (...args: never[]) => unknown

/** Calls the caller's side; what it throws is reported as its failure, what it lacks as missing. */
function ask<T>(run: Run, name: keyof Host, call: (host: Required<Host>) => T): T {
  const { host } = run.env
  if (typeof (host?.[name] as Fn | undefined) !== 'function') {
    throw new Failure('host', `this rendering has no '${String(name)}'`)
  }
  try {
    return call(host as Required<Host>)
  } catch (cause) {
    throw new Failure(
      'host',
      `'${String(name)}' failed: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    )
  }
}

function has(run: Run, name: keyof Host): boolean {
  return typeof run.env.host?.[name] === 'function'
}

/** A result of the caller's, taken into the rendering. */
function answer(run: Run, value: unknown): Value {
  return run.adopt(fromHost(value), false)
}

function options(run: Run, value: Arg): Record<string, unknown> {
  return value !== undefined && isObject(value) ? (toHost(run, value) as Record<string, unknown>) : {}
}

function signupRequest(run: Run, lists: Arg, page: Arg): SignupRequest {
  if (lists === undefined) return { kind: 'optin' }
  const named = page === undefined || page === null ? '' : show(run, page)
  const names = listNames(run, lists)
  const more = named === '' ? {} : { page: named }
  // A mistyped variable must never read as the form without argument, which lifts an opt-out.
  return names.length === 0 ? { kind: 'nothing', ...more } : { kind: 'lists', lists: names, ...more }
}

function listNames(run: Run, lists: Value): string[] {
  if (!truthy(lists)) return []
  if (Array.isArray(lists)) {
    const names = lists.map((item) => {
      run.tick()
      return show(run, fromHost(item))
    })
    return names.filter((name) => name.trim() !== '')
  }
  if (isObject(lists) && !(lists instanceof Labelled)) {
    const names = keysOf(lists)
    run.burn(names.length * 16)
    return names.filter((key) => truthy(member(lists, key)))
  }
  const name = show(run, lists)
  return name.trim() === '' ? [] : [name]
}

/** More tags than these are not looked at, nor longer ones, in UTF-16 units. */
const MOST_TAGS = 1000
const LONGEST_TAG = 1000

function tagsOf(run: Run, value: Arg): string[] {
  const tags = Array.isArray(value) ? value.slice(0, MOST_TAGS).map((tag) => show(run, fromHost(tag))) : cut(run, value)
  return tags
    .filter((tag) => tag.length <= LONGEST_TAG)
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '')
}

function cut(run: Run, value: Arg): string[] {
  const text = show(run, value).slice(0, MOST_TAGS * LONGEST_TAG)
  run.burn(text.length)
  return text.split(',', MOST_TAGS)
}

/** Interest in one tag: what the template set for this message, else what the caller knows. */
function interestIn(run: Run, tag: string): number {
  const set = run.shared.interest?.get(tag)
  if (set !== undefined) return set
  return has(run, 'interest') ? (ask(run, 'interest', (host) => host.interest(tag)) ?? 0) : 0
}

function horizonInterest(run: Run, tags: Arg): Value {
  return Math.max(0, ...tagsOf(run, tags).map((tag) => interestIn(run, tag)))
}

function horizonCount(run: Run, tags: Arg): Value {
  if (!has(run, 'pageViews')) return 0
  return tagsOf(run, tags).reduce((sum, tag) => sum + (ask(run, 'pageViews', (host) => host.pageViews(tag)) ?? 0), 0)
}

function setInterest(run: Run, tags: Arg, score: Arg, onlyIncrease: Arg): Value {
  const value = toNumberOr(score, 0)
  for (const tag of tagsOf(run, tags)) {
    if (onlyIncrease !== undefined && truthy(onlyIncrease) && interestIn(run, tag) >= value) continue
    run.shared.interest ??= new Map()
    run.shared.interest.set(tag, value)
  }
  return null
}

/** The items of most interest: interest of the best tag times the item's weight, ties in given order. */
function horizonSelect(run: Run, list: Arg, quantity: Arg, _engine: Arg, filterTags: Arg): Value {
  const wanted = new Set(tagsOf(run, filterTags))
  const scored: { item: Value; score: number }[] = []
  for (const raw of toList(list)) {
    run.round()
    const item = fromHost(raw)
    const tags = tagsOf(run, member(item, 'tags'))
    run.burn(tags.length * 16)
    if (wanted.size > 0 && !tags.some((tag) => wanted.has(tag))) continue
    const weight = toNumberOr(member(item, 'weight'), 1)
    scored.push({ item, score: Math.max(0, ...tags.map((tag) => interestIn(run, tag))) * weight })
  }
  const chosen = scored.sort((a, b) => b.score - a.score).slice(0, Math.max(0, toInteger(quantity, 0)))
  return run.madeList(chosen.map(({ item }) => item))
}

function promotion(run: Run): Value {
  run.shared.promotion ??= answer(
    run,
    ask(run, 'promotion', (host) => host.promotion()),
  )
  return run.shared.promotion
}

function socialShare(run: Run, mode: Arg, url: Arg, description: Arg, media: Arg): Value {
  const args = [show(run, mode), show(run, url), show(run, description), show(run, media)] as const
  // An address is never so long, and encoding makes nine of one.
  for (const arg of args) run.long(arg.length * 9)
  if (has(run, 'socialShare')) return ask(run, 'socialShare', (host) => host.socialShare(...args))
  return shareAddress(...args)
}

/** Addresses at which the networks let a visitor share a page; unknown modes give the page itself. */
export function shareAddress(mode: string, url: string, description: string, media: string): string {
  const target = urlEncode(url)
  switch (mode) {
    case 'fblike':
    case 'fbshare':
      return `https://www.facebook.com/sharer/sharer.php?u=${target}`
    case 'twitter':
      return `https://twitter.com/intent/tweet?url=${target}${description === '' ? '' : `&text=${urlEncode(description)}`}`
    case 'pinterest': {
      const about = description === '' ? '' : `&description=${urlEncode(description)}`
      return `https://www.pinterest.com/pin/create/button/?url=${target}${media === '' ? '' : `&media=${urlEncode(media)}`}${about}`
    }
    default:
      return url
  }
}

function purchasedItems(run: Run, items: Arg, only: Arg, days: Arg): Value {
  const list = toList(items).map(fromHost)
  const bought = only === undefined || truthy(only)
  const lookback = toNumberOr(days, 0)
  if (!has(run, 'purchasedItems')) return run.madeList(purchased(run, list, bought, lookback, nowOf(run)))
  const plain = toHost(run, list) as unknown[]
  return answer(
    run,
    ask(run, 'purchasedItems', (host) => host.purchasedItems(plain, bought, lookback)),
  )
}

function apiSend(run: Run, template: Arg, email: Arg, vars: Arg, schedule: Arg, more: Arg, evars: Arg): Value {
  const object = template !== undefined && isObject(template) ? options(run, template) : null
  const given: Record<string, unknown> = object ?? {
    template: show(run, template),
    email: toHost(run, email),
    vars: toHost(run, vars),
    schedule_time: toHost(run, schedule),
    options: toHost(run, more),
    evars: toHost(run, evars),
  }
  const names = Object.keys(given).filter((name) => (given[name] ?? '') !== '')
  run.burn(names.length * 32)
  // fromEntries defines own properties, so a key such as __proto__ stays a key.
  const present = Object.fromEntries([['template', ''], ...names.map((name) => [name, given[name]])])
  ask(run, 'apiSend', (host) => host.apiSend(present as unknown as SendRequest))
  return null
}

function apiUser(run: Run, fields: Arg, id: Arg): Value {
  ask(run, 'apiUser', (host) =>
    host.apiUser(options(run, fields), id === undefined || id === null ? null : show(run, id)),
  )
  return null
}

function appendUserVar(run: Run, name: Arg, value: Arg, cap: Arg): Value {
  const most = cap === undefined || cap === null ? null : Math.max(0, toInteger(cap, 0))
  ask(run, 'appendUserVar', (host) => host.appendUserVar(show(run, name), toHost(run, value), most))
  return null
}

function engagement(run: Run): Value {
  return has(run, 'engagement') ? (ask(run, 'engagement', (host) => host.engagement()) ?? 3) : 3
}

const PERSONAL = { group: 'personal' } as const
const HOSTED = { group: 'personal', host: true } as const
const API = { group: 'api', host: true, strict: true, taint: 'clears' } as const

export const platformFunctions: Definition[] = [
  define(
    'signup_confirm([lists [, page]])',
    0,
    (run, lists, page) => ask(run, 'signupConfirm', (host) => host.signupConfirm(signupRequest(run, lists, page))),
    { group: 'message', host: true, taint: 'clears' },
  ),
  define('message_id()', 0, (run) => ask(run, 'messageId', (host) => host.messageId()), {
    group: 'message',
    host: true,
  }),
  define(
    'public_share(type [, text])',
    1,
    (run, type, text) => ask(run, 'publicShare', (host) => host.publicShare(show(run, type), show(run, text))),
    { group: 'message', host: true, strict: true },
  ),
  define('social_share(mode, url [, description [, media]])', 2, socialShare, { group: 'message', strict: true }),
  define(
    'personalize(options)',
    0,
    (run, fields) =>
      answer(
        run,
        ask(run, 'personalize', (host) => host.personalize(options(run, fields))),
      ),
    HOSTED,
  ),
  define('horizon_select(list, quantity [, engine [, filter_tags]])', 2, horizonSelect, {
    ...PERSONAL,
    taint: 'carries',
  }),
  define("horizon_interest('tag[,tag…]')", 1, horizonInterest, { ...PERSONAL, strict: true, taint: 'clears' }),
  define("horizon_count('tag[,tag…]')", 1, horizonCount, { ...PERSONAL, strict: true, taint: 'clears' }),
  define('horizon_set_interest(tags, score [, only_increase])', 2, setInterest, {
    ...PERSONAL,
    strict: true,
    taint: 'clears',
  }),
  define('promotion()', 0, promotion, { group: 'promotion', host: true }),
  define(
    'ad(section)',
    1,
    (run, section) => (ask(run, 'ad', (host) => host.ad(show(run, section))) as string | null) ?? '',
    HOSTED,
  ),
  define(
    'adinfo(section)',
    1,
    (run, section) =>
      answer(
        run,
        ask(run, 'adinfo', (host) => host.adinfo(show(run, section))),
      ),
    HOSTED,
  ),
  define('user_engagement()', 0, engagement, PERSONAL),
  define(
    'user_geo_home(field)',
    1,
    (run, field) =>
      answer(
        run,
        ask(run, 'geoHome', (host) => host.geoHome(show(run, field))),
      ),
    { ...HOSTED, strict: true },
  ),
  define(
    'user_geo_select_region(regions)',
    1,
    (run, regions) =>
      answer(
        run,
        ask(run, 'geoRegion', (host) => host.geoRegion(toHost(run, toList(regions)) as unknown[])),
      ),
    { ...HOSTED, strict: true },
  ),
  define('purchased_items(items, show, lookback_days)', 1, purchasedItems, { ...PERSONAL, taint: 'carries' }),
  define('api_user(options [, id])', 1, apiUser, API),
  define('api_set_email(options [, id])', 1, apiUser, API),
  define('api_send(template [, email [, vars [, schedule_time [, options [, evars]]]]])', 1, apiSend, API),
  define(
    'api_event(object)',
    1,
    (run, event) => {
      ask(run, 'apiEvent', (host) => host.apiEvent(options(run, event)))
      return null
    },
    API,
  ),
  define('append_user_var(name, value [, cap])', 2, appendUserVar, {
    group: 'append',
    host: true,
    strict: true,
    taint: 'clears',
  }),
]
