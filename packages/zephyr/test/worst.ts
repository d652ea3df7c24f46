import { parseArgs } from 'node:util'
import { FUNCTIONS } from '../src/functions/index.ts'
import { compile, dataOf, type Env, type Host, type Layer, RenderError, Stop } from '../src/index.ts'

/*
 * Every function with the worst that it can be given, as a program of its own, so that the memory which it may take can
 * be bounded from outside. Prints a line of JSON for each template: what it was, how it ended, and how much longer than
 * its time the thread worked, in ms (best of three).
 */

const many = (text: string, length: number) => text.repeat(Math.ceil(length / text.length)).slice(0, length)
const LONG = 1_900_000

/** Texts, lists and objects of the caller's that are as bad as they can be. */
const VALUES: { [name: string]: unknown } = {
  long: many('a', LONG),
  words: many('a b ', LONG),
  spaces: many(' ', LONG),
  snow: many('雪', LONG),
  ligatures: many('ﬃ', LONG / 3),
  sigmas: many('Σ', LONG),
  faces: many('😀', LONG),
  signs: many('&<"', LONG),
  commas: many(',a', LONG),
  dots: many('.a', LONG),
  digits: many('1', LONG),
  controls: many('\u0001', LONG),
  entities: many('&lt;&#65;', LONG),
  tags: many('<a href=" x\' > y </a> ', LONG),
  open_tags: many('<a b="', LONG),
  attributes: `<a ${many('a= ', LONG)}>`,
  lines: many('<p> a\n ', LONG),
  half: `${many('a', 300)}b${many('a', 300)}`,
  ending: `${many('a', 900_000)}b`,
  // The same length and the same beginning: the engine's hash does not tell them apart.
  alike: Array.from({ length: 400 }, (_, n) => `${many('a', 20_000)}${1_000 + n}`),
  urls: Array.from({ length: 400 }, (_, n) => ({ url: `${many('a', 20_000)}${1_000 + n}`, tags: many('t,', 2_000) })),
  numbers: Array.from({ length: 300_000 }, (_, n) => n),
  names: Array.from({ length: 200_000 }, (_, n) => `name ${(n * 7919) % 200_000}`),
  items: Array.from({ length: 100_000 }, (_, n) => ({ url: `u${n}`, pinned: n % 2, tags: 'a,b,c', weight: 1 })),
  pinned: Array.from({ length: 200_000 }, (_, n) => ({ url: `u${n}`, pinned: n >= 90_000 ? 1 : 0 })),
  wide: Object.fromEntries(Array.from({ length: 40_000 }, (_, n) => [`key${n}`, n])),
  deep: Array.from({ length: 90 }).reduce((inside: unknown) => [inside, inside], many('x', 40)),
  nested: Array.from({ length: 95 }).reduce((inside: unknown) => [inside, many('y', 10_000)], []),
}
const TEXTS = Object.keys(VALUES).filter((name) => typeof VALUES[name] === 'string')

/** The worst of each function that is not just any large value. Every function has to be here, if with nothing. */
const WORST: { [name: string]: readonly string[] } = {
  upper: [],
  lower: [],
  title: [],
  strip_tags: [],
  h: [],
  u: [],
  text: [],
  substr: ['substr(faces, 900000, 10)', 'substr(faces, -3)'],
  replace: [
    "replace(long, 'a', 'b')",
    "replace(long, 'aa', 'a')",
    "replace(words, ' ', '')",
    'replace(long, half, long)',
    "replace(long, ending, 'x')",
  ],
  split: ["split(words, ' ')", "split(long, '')", "split(faces, '😀')", 'split(long, words)', 'split(long, faces)'],
  join: [
    'join(numbers, long)',
    "join(names, ',')",
    'join(alike, alike)',
    "join(wide, ',')",
    'join(nested, nested)',
    "join(items, ', ')",
  ],
  strpos: ['strpos(long, half)', 'strpos(long, ending)', 'strpos(faces, faces, 900000)'],
  strrpos: [
    'strrpos(long, half)',
    'strrpos(long, ending)',
    "strrpos(long, half + 'c')",
    'strrpos(faces, faces, 900000)',
  ],
  first: ['first(spaces)', 'first(long, half)', 'first(wide)'],
  length: ['length(wide)', 'length(faces)'],
  contains: [
    'contains(long, half)',
    'contains(numbers, -1)',
    'contains(alike, long)',
    'contains(alike, alike)',
    'contains([deep, 1], deep)',
  ],
  slice: ['slice(faces, 900000, 10)', 'slice(numbers, 1)'],
  md5: ['md5(snow)'],
  sha1: ['sha1(snow)'],
  sha256: ['sha256(snow)'],
  base64_encode: ['base64_encode(snow)'],
  base64_decode: ['base64_decode(base64_encode(long))', 'base64_decode(long)'],
  raw: [],
  list: [],
  set: ['set(long, 1)', 'set(alike[i], i)'],
  push: ["push('wide', i)", "push('pushed', long)", "push('numbers', i)"],
  range: ['range(1, 1000000000)', 'range(1, 10000, 0.0001)'],
  sort: [
    'sort(names)',
    "sort(urls, 'url')",
    "sort(urls, '-url')",
    'sort(alike)',
    'sort(numbers, lambda a, b: b - a)',
    'sort(items, long)',
    'sort([words, words + 1, words + 2, words + 3])',
  ],
  shuffle: ['shuffle(numbers)'],
  map: ['map(numbers, lambda a: map(numbers, lambda b: b))', 'map(alike, lambda a: upper(a))'],
  filter: ['filter(numbers, lambda a: contains(numbers, -a))'],
  filter_content: ['filter_content(pinned, lambda a: true)', 'filter_content(items, lambda a: true)'],
  dedupe: ['dedupe(alike)', 'dedupe(urls)', 'dedupe(items, dots)', 'dedupe(names)', 'dedupe([deep, deep])'],
  keys: ['keys(wide)'],
  values: ['values(wide)'],
  intersect: [
    'intersect(alike, alike)',
    'intersect(names, names)',
    'intersect(numbers, numbers)',
    'intersect([deep, deep], [deep, 1])',
  ],
  content_intersect: [
    'content_intersect(urls, urls)',
    'content_intersect(items, items)',
    'content_intersect(numbers, numbers)',
  ],
  bucket_list: [
    "bucket_list(urls, 'url')",
    "bucket_list(items, 'url')",
    'bucket_list(items, dots)',
    'bucket_list(alike, lambda a: a)',
    'bucket_list(numbers, lambda a: long)',
  ],
  number: ['number(digits)', 'number(1, long)', 'number(1, digits)', 'number(spaces)'],
  int: [],
  round: [],
  abs: [],
  sqrt: [],
  exp: ['exp(9999, 9999)'],
  random: [],
  compare: ['compare(long, long + 1)', 'compare(snow, snow + 1)'],
  distance: ['distance(1, 2, 3, 4, snow)'],
  type: [],
  date: [
    'date(alike[i])',
    "date('z zzzz z zzzz z zzzz z zzzz z zzzz z zzzz z zzzz z zzzz z zzzz z zzzz z zzzz', i * 10000000)",
    'date(long, long)',
    "date('z', i * 900000)",
  ],
  time: [
    "time('1 hr 1 hr 1 hr 1 hr 1 hr 1 hr 1 hr 1 hr 1 hr 1 hr 1 hr 1 hr 1 hr 1 hr 1 hr 1 hr 1 hr 1 hr 1 hr 1 hr', i * 10000000)",
    "time('mon mon mon mon mon mon mon mon mon mon mon mon mon mon mon mon mon mon mon mon x')",
    'time(spaces)',
  ],
  assert: ['assert(false, deep)', 'assert(false, wide)', 'assert(true, nested)'],
  cancel: ['cancel(true, deep)', 'cancel(true, wide)', 'cancel(false, nested)'],
  signup_confirm: ['signup_confirm(alike)', 'signup_confirm(wide)', 'signup_confirm([deep])'],
  message_id: [],
  public_share: ['public_share(deep, deep)'],
  social_share: ["social_share('twitter', snow, snow)", "social_share('pinterest', snow, snow, snow)"],
  personalize: ['personalize({a: deep})', 'personalize(wide)'],
  horizon_select: [
    'horizon_select(urls, 9)',
    'horizon_select(items, 9, 1, commas)',
    'horizon_select([{tags: commas}, {tags: commas}], 1)',
  ],
  horizon_interest: ['horizon_interest(commas)'],
  horizon_count: ['horizon_count(commas)'],
  horizon_set_interest: [
    'horizon_set_interest(commas, 1)',
    'horizon_set_interest(alike, 1)',
    'horizon_set_interest(names, 1, true)',
  ],
  promotion: [],
  ad: [],
  adinfo: [],
  user_engagement: [],
  user_geo_home: [],
  user_geo_select_region: ['user_geo_select_region([deep])'],
  purchased_items: [
    'purchased_items(urls, true, 1)',
    'purchased_items(items, false, 0)',
    'purchased_items([{url: deep}], true, 0)',
  ],
  api_user: ['api_user({a: deep})'],
  api_set_email: ['api_set_email({a: deep})'],
  api_send: ["api_send('a', 'b', {a: deep})"],
  api_event: ['api_event({a: deep})'],
  append_user_var: ["append_user_var('a', deep)"],
}

/** What is no function, and can be as bad. */
const OPERATORS: readonly string[] = [
  'deep == nested',
  'deep == [deep]',
  'long < long + 1',
  'alike[i % 400] == alike[(i + 1) % 400]',
  '{a: deep} == {a: deep}',
  'wide + wide',
  'numbers + numbers',
  'long + i',
  "'' + deep",
  "'' + nested",
  "'' + wide",
  'wide[long]',
  'wide[alike[i % 400]]',
  'faces[900000]',
  'snow[i]',
  '[long, deep]',
  `{'a': ${many("'a' + ", 3_000)} 'a'}`,
  '(lambda a, b: a)(deep, long)',
]

const host = new Proxy({} as Host, { get: () => () => 'answer', has: () => true })
const env = (limit: number): Env => ({
  now: 1_700_000_000,
  timeZone: 'America/New_York',
  seed: 's',
  host,
  limits: { time: limit },
})

interface Found {
  what: string
  source: string
  outcome: string
  /** Milliseconds of the thread beyond the limit. */
  over: number
}

const LIMIT = 10
/** Noise that is not looked into again. */
const QUIET = 30

function busy(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

function tried(what: string, source: string, context: 'trigger' | 'page' | 'mail'): Found {
  let best: Found = { what, source, outcome: '', over: Number.POSITIVE_INFINITY }
  // Values of a page are a visitor's, and copied for each rendering.
  const layers: Layer[] = [{ name: 'worst', values: VALUES, tainted: context === 'page' }]
  for (let n = 0; n < 3 && best.over > QUIET; n++) {
    const began = busy()
    let outcome: string
    try {
      const template = compile(source, { context, missingSnippet: 'render' })
      outcome = `rendered ${template.render({ ...dataOf({}), layers }, env(LIMIT)).length}`
    } catch (error) {
      if (error instanceof RenderError) outcome = `${error.kind}: ${error.message.slice(0, 80)}`
      else if (error instanceof Stop) outcome = `stop ${error.reason.length}`
      else outcome = `refused: ${String(error).slice(0, 200)}`
    }
    const over = busy() - began - LIMIT
    if (over < best.over) best = { ...best, outcome, over }
  }
  return best
}

/** A call by itself, in a loop, and in a loop with what it makes kept. */
function templatesOf(call: string): string[] {
  return [
    `{i = 1}{x = ${call}}`,
    `{foreach range(1,9999) as i}{x = ${call}}{/foreach}`,
    `{l = [${call} for i in range(1,9999)]}`,
  ]
}

/** The function with each large value in each of its places. */
function ordinaryCalls(name: string): string[] {
  const { signature } = FUNCTIONS.get(name)!
  const inside = signature.slice(signature.indexOf('(') + 1, -1).replace(/[[\]]/g, '')
  const places =
    inside === '' ? 0 : inside.split(name.startsWith('horizon') && inside.startsWith("'") ? '\n' : ',').length
  const calls: string[] = []
  for (let place = 0; place < places; place++) {
    // Only the first two places are read as texts of any length.
    for (const value of Object.keys(VALUES).filter((value) => place < 2 || !TEXTS.includes(value))) {
      calls.push(`${name}(${Array.from({ length: places }, (_, n) => (n === place ? value : '1')).join(', ')})`)
    }
  }
  return calls
}

const { values: options } = parseArgs({ options: { only: { type: 'string' } } })
const say = (found: object) => process.stdout.write(`${JSON.stringify(found)}\n`)
const missing = [...FUNCTIONS.keys()].filter((name) => !Object.hasOwn(WORST, name))
say({ missing, unknown: Object.keys(WORST).filter((name) => !FUNCTIONS.has(name)) })
for (const name of FUNCTIONS.keys()) {
  if (options.only !== undefined && options.only !== name) continue
  const context = FUNCTIONS.get(name)!.group === 'api' ? 'trigger' : 'mail'
  for (const call of WORST[name] ?? []) for (const source of templatesOf(call)) say(tried(name, source, context))
  // Each by itself; in a loop the clock is asked before each call, for what large arguments weigh.
  for (const call of ordinaryCalls(name)) say(tried(name, `{i = 1}{x = ${call}}`, context))
  if (FUNCTIONS.get(name)!.required > 0) {
    for (const value of TEXTS) say(tried(name, templatesOf(`${name}(${value}, 1, 1, 1)`)[1]!, context))
  }
}
if (options.only === undefined) {
  for (const source of OPERATORS.flatMap(templatesOf)) say(tried('operators', source, 'mail'))
  for (const value of Object.keys(VALUES)) {
    say(tried('printing', `{foreach range(1,99) as i}{${value}}{/foreach}`, 'mail'))
    const places = `{x}<a href="{x}" title={x} onclick="{x}" style="{x}" {x}>{x}</a><script>{x} '{x}'</script><style>a{{color:{x}}}</style>`
    say(tried('printing on a page', places.replaceAll('{x}', `{${value}}`), 'page'))
    for (const call of [`upper(${value})`, `join([${value}, ${value}], ', ')`, `h(${value})`, `split(${value}, ' ')`]) {
      say(tried('on a page', `{i = 1}{x = ${call}}`, 'page'))
    }
  }
}
