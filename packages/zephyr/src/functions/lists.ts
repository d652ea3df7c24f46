import { compareText, equal, related } from '../operators.ts'
import { callLambda, type Run, setKey } from '../run.ts'
import { hasTaint, show } from '../text.ts'
import { LONGEST_KEY, TextSet } from '../text-set.ts'
import {
  fromHost,
  isObject,
  keysOf,
  Lambda,
  member,
  ObjectMap,
  parseNumber,
  Rounded,
  Tainted,
  toInteger,
  toList,
  toNumber,
  truthy,
  type Value,
  valuesOf,
} from '../values.ts'
import { type Arg, type Definition, define } from './definition.ts'
import { part } from './text.ts'

const MOST_IN_RANGE = 10_000

export function sliceList(run: Run, list: Value[], offset: number, length: number | undefined): Value {
  const [from, to] = part(list.length, offset, length)
  return run.madeList(list.slice(from, to))
}

function nameOf(run: Run, value: Arg): string {
  const name = typeof value === 'string' ? value : value instanceof Tainted ? show(run, value) : ''
  return name.length > LONGEST_KEY ? '' : name
}

function set(run: Run, name: Arg, value: Arg): Value {
  const target = nameOf(run, name)
  if (target !== '') run.assignByName(target, value ?? null)
  return null
}

function push(run: Run, name: Arg, value: Arg): Value {
  const target = nameOf(run, name)
  if (target === '') return null
  const list = run.readByName(target)
  if (Array.isArray(list)) {
    run.unlocked(list)
    list.push(value ?? null)
    if (list.length > run.limits.list) run.madeList(list)
    return null
  }
  run.assignByName(target, list === null ? [value ?? null] : [...toList(list), value ?? null])
  return null
}

function range(run: Run, start: Arg, end: Arg, step: Arg): Value {
  const from = toInteger(start, 0)
  const to = toInteger(end, 0)
  const by = Math.abs(toInteger(step, 1)) || 1
  const list: Value[] = []
  for (let n = from; n <= to && list.length < MOST_IN_RANGE; n += by) list.push(n)
  return run.madeList(list)
}

/** Order of two values of a sort: missing ones last, then by kind, then within the kind. */
function naturally(run: Run, a: Value, b: Value): number {
  const x = rank(a)
  const y = rank(b)
  if (x !== y) return x - y
  if (x === 1) return toNumber(a) - toNumber(b)
  return x === 2 ? compareText(run, show(run, a), show(run, b)) : 0
}

function rank(value: Value): number {
  if (typeof value === 'number' || value instanceof Rounded || typeof value === 'boolean') return 1
  if (typeof value === 'string') return Number.isNaN(parseNumber(value)) ? 2 : 1
  if (value instanceof Tainted) return rank(value.text)
  return 3
}

function sort(run: Run, input: Arg, method: Arg): Value {
  if (!Array.isArray(input)) return toList(input)
  run.unlocked(input)
  run.spend(input.length)
  const items = input.map(fromHost)
  const sorted = method instanceof Lambda ? byLambda(run, items, method) : byField(run, items, method)
  // In place: every variable that holds this list sees the new order.
  for (const [i, item] of sorted.entries()) input[i] = item
  return input
}

function byLambda(run: Run, items: Value[], method: Lambda): Value[] {
  return items.sort((a, b) => {
    const order = toNumber(callLambda(run, method, [a, b]))
    return Number.isNaN(order) ? 0 : order
  })
}

function byField(run: Run, items: Value[], method: Arg): Value[] {
  const field = method === undefined || method === null ? '' : show(run, method)
  const descending = field.startsWith('-')
  const name = descending ? field.slice(1) : field
  const keyed = items.map((item) => ({ item, key: name === '' ? item : member(item, name) }))
  keyed.sort((a, b) => {
    run.tick()
    if (a.key === null || b.key === null) return a.key === b.key ? 0 : a.key === null ? 1 : -1
    return descending ? naturally(run, b.key, a.key) : naturally(run, a.key, b.key)
  })
  return keyed.map((entry) => entry.item)
}

function shuffle(run: Run, input: Arg): Value {
  const list = toList(input).map(fromHost)
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(run.random.next() * (i + 1))
    const held = list[i]!
    list[i] = list[j]!
    list[j] = held
  }
  return run.madeList(list)
}

/** Calls a one-argument lambda per item; a round each. Something else than a lambda gives `null` for all. */
function each(run: Run, lambda: Arg, item: Value): Value {
  run.round()
  return lambda instanceof Lambda ? callLambda(run, lambda, [item]) : null
}

function map(run: Run, input: Arg, lambda: Arg): Value {
  return run.madeList(toList(input).map((item) => each(run, lambda, fromHost(item))))
}

function filter(run: Run, input: Arg, lambda: Arg): Value {
  return run.madeList(toList(input).filter((item) => truthy(each(run, lambda, fromHost(item)))))
}

/** Pinned items stay, and stay at their position as far as the shorter list has it. */
function filterContent(run: Run, input: Arg, lambda: Arg): Value {
  const items = toList(input).map(fromHost)
  const pinned: [number, Value][] = []
  const kept: Value[] = []
  for (const [i, item] of items.entries()) {
    run.tick()
    if (truthy(member(item, 'pinned'))) pinned.push([i, item])
    else if (truthy(each(run, lambda, item))) kept.push(item)
  }
  const list: Value[] = []
  let next = 0
  for (const item of kept) {
    while (next < pinned.length && pinned[next]![0] === list.length) list.push(pinned[next++]![1])
    list.push(item)
  }
  for (; next < pinned.length; next++) list.push(pinned[next]![1])
  return run.madeList(list)
}

/** Deeper paths lead to nothing. */
const DEEPEST_PATH = 100

/** A dotted path such as `vars.item_id`: gives what it leads to, one own property after the other. */
function pathReader(run: Run, dotted: string): (item: Value) => Value {
  const keys = dotted.length > LONGEST_KEY ? [] : dotted.split('.')
  if (keys.length === 0 || keys.length > DEEPEST_PATH) return () => null
  return (item) => {
    run.tick()
    let value: Value = item
    for (const key of keys) value = member(value, key)
    return value
  }
}

function dedupe(run: Run, input: Arg, field: Arg): Value {
  const name = field === undefined || field === null ? 'url' : show(run, field)
  const seen = new TextSet(run)
  const at = pathReader(run, name)
  const kept = toList(input)
    .map(fromHost)
    .filter((item) => {
      run.tick()
      const value = isObject(item) ? at(item) : item
      // Without the field there is nothing to compare by.
      if (value === null) return isObject(item) || seen.add('null')
      return seen.add(`=${show(run, value)}`)
    })
  return run.madeList(kept)
}

function intersect(run: Run, a: Arg, b: Arg): Value {
  const right = toList(b).map(fromHost)
  const texts = right.every((item) => typeof item === 'string') ? setOf(run, right as string[]) : null
  const kept = toList(a)
    .map(fromHost)
    .filter((item) => {
      run.tick()
      if (texts !== null && typeof item === 'string') return texts.has(item)
      run.spend(right.length)
      return right.some((other) => equal(run, item, other))
    })
  return run.madeList(kept)
}

function setOf(run: Run, texts: Iterable<string>): TextSet {
  const set = new TextSet(run)
  for (const text of texts) {
    run.tick()
    set.add(text)
  }
  return set
}

function contentIntersect(run: Run, a: Arg, b: Arg): Value {
  const urlOf = (item: Value) => {
    run.tick()
    return show(run, member(fromHost(item), 'url'))
  }
  const urls = new TextSet(run)
  for (const item of toList(b)) urls.add(urlOf(item))
  const kept = toList(a).filter((item) => {
    const url = urlOf(item)
    return url !== '' && urls.has(url)
  })
  return run.madeList(kept)
}

function bucketList(run: Run, input: Arg, by: Arg): Value {
  const buckets = new ObjectMap()
  const at = by instanceof Lambda ? null : pathReader(run, show(run, by))
  for (const raw of toList(input)) {
    const item = fromHost(raw)
    const key = at === null ? each(run, by, item) : at(item)
    if (key === null) continue
    const name = show(run, key)
    if (run.tainting && hasTaint(run, key)) buckets.taintedKeys = true
    const bucket = name.length > LONGEST_KEY ? null : buckets.get(name)
    if (Array.isArray(bucket)) bucket.push(item)
    else setKey(run, buckets, name, [item])
  }
  return buckets
}

function keys(run: Run, x: Arg): Value {
  if (x === undefined || !isObject(x)) return []
  const tainted = x instanceof ObjectMap && x.taintedKeys
  return run.madeList(keysOf(x).map((key) => (tainted ? new Tainted(key) : key)))
}

/** The library's own answer when the caller has none: by the orders on the profile. */
export function purchased(run: Run, items: Value[], bought: boolean, days: number, now: number): Value[] {
  const urls = new TextSet(run)
  const ids = new TextSet(run)
  const put = (set: TextSet, text: string) => text !== '' && set.add(text)
  for (const order of toList(member(run.readByName('profile'), 'purchases'))) {
    run.tick()
    if (days > 0 && !related(run, '>=', member(fromHost(order), 'time'), now - days * 86_400)) continue
    for (const item of toList(member(fromHost(order), 'items'))) {
      run.tick()
      put(urls, show(run, member(fromHost(item), 'url')))
      put(ids, show(run, member(fromHost(item), 'id')))
    }
  }
  return items.filter((item) => {
    run.tick()
    const url = show(run, member(item, 'url'))
    const sku = member(item, 'sku') ?? member(item, 'id')
    return (urls.has(url) || ids.has(show(run, sku))) === bought
  })
}

const CARRIES = { taint: 'carries' } as const

export const listFunctions: Definition[] = [
  define('list(x)', 1, (_run, x) => (Array.isArray(x) ? x : x === undefined || x === null ? [] : [x]), CARRIES),
  define("set('name', value)", 2, set, CARRIES),
  define("push('name', value)", 2, push, CARRIES),
  define('range(start, end [, step])', 2, range, { taint: 'clears' }),
  define('sort(list [, method])', 1, sort, CARRIES),
  define('shuffle(list)', 1, shuffle, CARRIES),
  define('map(list, lambda)', 2, map, CARRIES),
  define('filter(list, lambda)', 2, filter, CARRIES),
  define('filter_content(list, lambda)', 2, filterContent, CARRIES),
  define('dedupe(list [, field])', 1, dedupe, CARRIES),
  define('keys(object)', 1, keys, CARRIES),
  define('values(object)', 1, (run, x) => (x === undefined || !isObject(x) ? [] : run.madeList(valuesOf(x))), CARRIES),
  define('intersect(listA, listB)', 2, intersect, CARRIES),
  define('content_intersect(listA, listB)', 2, contentIntersect, CARRIES),
  define('bucket_list(list, field_or_lambda)', 2, bucketList, CARRIES),
]
