import type { Data, Profile } from './data.ts'
import { Failure } from './errors.ts'
import type { Env } from './host.ts'
import { type Limits, VALUE_DEPTH } from './limits.ts'
import { Random } from './random.ts'
import type { Source } from './source.ts'
import { LONGEST_KEY } from './text-set.ts'
import {
  Frame,
  fromHost,
  type HostObject,
  isObject,
  keysOf,
  Labelled,
  type Lambda,
  member,
  NONE,
  ObjectMap,
  Tainted,
  type Value,
} from './values.ts'
import { PROTECTED } from './vocabulary.ts'

/** Variable names of a template or of all parts of one message, each with a place in `Run.vars`. */
export class Names {
  private readonly slots = new Map<string, number>()
  readonly list: string[] = []

  /** The place of a name, made if it is new. Compilation only. */
  slot(name: string): number {
    const known = this.slots.get(name)
    if (known !== undefined) return known
    this.slots.set(name, this.list.length)
    this.list.push(name)
    return this.list.length - 1
  }

  /** The place of a name if the template mentions it. */
  find(name: string): number | undefined {
    return this.slots.get(name)
  }
}

/** What the parts of one message have in common besides variables. */
export interface Shared {
  promotion: Value | undefined
  interest: Map<string, number> | null
}

/** What Setup left behind. */
export interface Base {
  readonly vars: readonly (Value | undefined)[]
  readonly extra: ReadonlyMap<string, Value> | null
  /** Copies of the caller's lists and objects that Setup may have changed. */
  readonly copies: Map<object, Value> | null
  /** `null`: none drawn yet. */
  readonly random: Random | null
  readonly shared: Shared
}

export interface RunOptions {
  readonly names: Names
  readonly source: Source
  readonly data: Data
  readonly env: Env
  readonly limits: Limits
  /** Hosted page: text typed by visitors is tracked. */
  readonly tainting: boolean
  /** The template can change lists and objects in place, so it works on copies of the caller's. */
  readonly changes: boolean
  readonly base?: Base
}

export const NO_SIGNAL = 0
export const BREAK = 1
export const CONTINUE = 2

/**
 * Work between two looks at the clock. One of it is what the slowest function does with one UTF-16 unit of text, some ten
 * nanoseconds: so a rendering is at most a fraction of a millisecond late.
 */
const TANK = 4096
/** Of one step that does not depend on the size of anything. */
const STEP = 32

const DEFAULT_CLOCK = () => performance.now()
const NO_LAYERS: NonNullable<Data['layers']> = []

/** One rendering of one part: variables, budgets, and where it stands. */
export class Run {
  readonly names: Names
  readonly data: Data
  readonly env: Env
  readonly limits: Limits
  readonly tainting: boolean
  readonly changes: boolean
  /** `undefined`: neither assigned nor looked up yet. A looked-up value stays, the data cannot change. */
  readonly vars: (Value | undefined)[]
  /** Variables set under a name the template does not mention. */
  extra: Map<string, Value> | null = null
  /** Locals of the running lambda or comprehension. */
  frame: Frame | null = null
  /** For messages: the last spot that could fail. */
  at = 0
  source: Source
  /** A `break` or `continue` on its way to its loop. */
  signal = NO_SIGNAL
  depth = 0
  /** Lists and objects being walked by `foreach`. */
  readonly loops: Value[] = []
  readonly shared: Shared
  private generator: Random | null = null
  private rounds = 0
  /** Work until the clock is asked again. */
  private fuel = TANK
  private work = 0
  private readonly deadline: number
  private readonly clock: () => number
  private readonly before: Map<object, Value> | null
  private copies: Map<object, Value> | null = null

  constructor(options: RunOptions) {
    this.names = options.names
    this.source = options.source
    this.data = options.data
    this.env = options.env
    this.limits = options.limits
    this.tainting = options.tainting
    this.changes = options.changes
    this.clock = options.env.clock ?? DEFAULT_CLOCK
    this.deadline = this.clock() + this.limits.time
    const { base } = options
    const count = options.names.list.length
    if (base === undefined) {
      this.vars = new Array(count).fill(undefined)
      this.before = null
      this.shared = { promotion: undefined, interest: null }
    } else {
      this.before = base.copies
      this.vars = base.vars.slice()
      while (this.vars.length < count) this.vars.push(undefined)
      if (this.changes) for (let i = 0; i < this.vars.length; i++) this.vars[i] = this.ownOrNot(this.vars[i])
      if (base.extra !== null)
        this.extra = new Map([...base.extra].map(([key, value]) => [key, this.ownOrNot(value) as Value]))
      this.shared = {
        promotion: base.shared.promotion,
        interest: base.shared.interest && new Map(base.shared.interest),
      }
      this.generator = base.random?.copy() ?? null
    }
  }

  /** What the next part of the message starts from. */
  base(): Base {
    const { vars, extra, generator: random, shared } = this
    return { vars, extra, random, shared, copies: this.copies ?? this.before }
  }

  /** Made when first asked for: few templates draw. */
  get random(): Random {
    this.generator ??= new Random(this.env.seed ?? '')
    return this.generator
  }

  // Budgets

  round(): void {
    if (++this.rounds > this.limits.rounds) {
      throw new Failure('limit', `more than ${this.limits.rounds} rounds of loops`)
    }
    this.fuel -= STEP
    if (this.fuel < 0) this.checkTime()
  }

  /** Accounts for one step. */
  tick(): void {
    this.fuel -= STEP
    if (this.fuel < 0) this.checkTime()
  }

  /** Accounts for time alone, in proportion to the units of text or the items that are looked at. */
  burn(amount: number): void {
    this.fuel -= amount
    if (this.fuel < 0) this.checkTime()
  }

  private checkTime(): void {
    this.fuel = TANK
    if (this.clock() > this.deadline)
      throw new Failure('limit', `the rendering took longer than ${this.limits.time} ms`)
  }

  /** Accounts for work in proportion to `amount` characters or cells. */
  spend(amount: number): void {
    this.work += amount
    if (this.work > this.limits.work) throw new Failure('limit', 'the template works on too much text')
    this.fuel -= amount
    if (this.fuel < 0) this.checkTime()
  }

  /** Refuses texts longer than the output may be. */
  long(length: number): void {
    if (length > this.limits.output)
      throw new Failure('limit', `a text is longer than ${this.limits.output} characters`)
    if (length > 1024) this.spend(32)
    // It is put together when somebody reads it.
    this.burn(length)
  }

  /** A text made by a function, accounted for. */
  made(text: string): string {
    if (text.length > this.limits.output) this.long(text.length)
    if (text.length > 64) this.spend(text.length)
    return text
  }

  /** A list made by an operator or function, accounted for. */
  madeList(list: Value[]): Value[] {
    if (list.length > this.limits.list) throw new Failure('limit', `a list is longer than ${this.limits.list}`)
    this.spend(list.length)
    return list
  }

  // Variables

  /** First look-up of a name that the template has not assigned. */
  read(slot: number): Value {
    const value = this.lookUp(this.names.list[slot]!)
    this.vars[slot] = value
    return value
  }

  readByName(name: string): Value {
    const slot = this.names.find(name)
    if (slot !== undefined) {
      const value = this.vars[slot]
      return value === undefined ? this.read(slot) : value
    }
    const set = this.extra?.get(name)
    return set === undefined ? this.lookUp(name) : set
  }

  assignByName(name: string, value: Value): void {
    const slot = this.names.find(name)
    if (slot !== undefined) this.vars[slot] = value
    else {
      this.extra ??= new Map()
      this.extra.set(name, value)
    }
  }

  private lookUp(name: string): Value {
    const set = this.extra?.get(name)
    if (set !== undefined) return set
    const { standard, layers } = this.data
    if (PROTECTED.has(name)) {
      if (name === 'profile') return this.profile()
      if (standard === undefined || !Object.hasOwn(standard, name)) return null
      return this.adopt(fromHost(standard[name]), name === 'email')
    }
    for (const layer of layers ?? NO_LAYERS) {
      if (Object.hasOwn(layer.values, name)) return this.adopt(fromHost(layer.values[name]), layer.tainted === true)
    }
    return null
  }

  private profile(): Value {
    const { profile } = this.data
    if (profile === null || profile === undefined) return null
    const { optout } = profile
    const filled: Record<string, unknown> = { lists: [], vars: {}, ...profile }
    filled.lists ??= []
    filled.vars ??= {}
    filled.optout = optout === undefined || optout === null || optout === 'none' || optout === '' ? NONE : optout
    if (Object.hasOwn(profile, 'returns') && !Object.hasOwn(profile, 'return')) filled.return = profile.returns
    return this.adopt(filled as Profile as HostObject, true)
  }

  /** Takes a value from outside into the rendering: marked as tainted and copied as far as need be. */
  adopt(value: Value, tainted: boolean): Value {
    if (this.tainting && tainted) {
      this.copies ??= new Map()
      return this.copy(value, true, 0)
    }
    if (typeof value !== 'object' || value === null) return value
    if (this.changes) return this.own(value)
    if (this.before !== null) return this.before.get(value) ?? this.own(value)
    return value
  }

  private ownOrNot(value: Value | undefined): Value | undefined {
    return typeof value === 'object' && value !== null ? this.own(value) : value
  }

  /** This rendering's own copy of a list or object; the same original always gives the same copy. */
  private own(value: Value & object): Value {
    this.copies ??= new Map()
    return this.copy(value, false, 0)
  }

  private copy(original: Value, taint: boolean, depth: number): Value {
    if (typeof original === 'string') return taint ? new Tainted(original) : original
    if (typeof original !== 'object' || original === null) return original
    const value = this.before?.get(original) ?? original
    const known = this.copies!.get(value as object)
    if (known !== undefined) return known
    if (depth > VALUE_DEPTH) throw new Failure('limit', 'a value is nested too deeply')
    if (Array.isArray(value)) {
      this.spend(value.length)
      const list: Value[] = []
      this.remember(original, value, list)
      for (const item of value) list.push(this.copy(fromHost(item), taint, depth + 1))
      return list
    }
    if (value instanceof Labelled) {
      if (!taint) return value
      const fields = Object.entries(value.fields).map(([key, item]) => [
        key,
        this.copy(fromHost(item), true, depth + 1),
      ])
      return new Labelled(this.copy(value.label, true, depth + 1), Object.fromEntries(fields))
    }
    if (!isObject(value)) return value
    const keys = keysOf(value)
    this.spend(keys.length)
    const map = new ObjectMap()
    map.taintedKeys = taint || (value instanceof ObjectMap && value.taintedKeys)
    this.remember(original, value, map)
    for (const key of keys) setKey(this, map, key, this.copy(member(value, key), taint, depth + 1))
    return map
  }

  private remember(original: object, value: Value, copy: Value & object): void {
    this.copies!.set(original, copy)
    this.copies!.set(value as object, copy)
    this.copies!.set(copy, copy)
  }

  /** Refuses to change what a `foreach` is walking. */
  unlocked(collection: Value): void {
    if (this.loops.includes(collection)) {
      throw new Failure('collection', 'a list or object cannot be changed inside its own foreach')
    }
  }
}

/** Puts a value into an object. Keys are short: the engine does not tell long ones apart in time. */
export function setKey(run: Run, map: ObjectMap, key: string, value: Value): void {
  if (key.length > LONGEST_KEY) throw new Failure('limit', `a key is longer than ${LONGEST_KEY} characters`)
  if (key.length > 256) run.burn(key.length)
  map.set(key, value)
}

/** Accounts for what a function is going to look at of an argument. */
export function weigh(run: Run, value: Value | undefined): void {
  if (typeof value === 'string') {
    if (value.length > 256) run.burn(value.length)
  } else if (typeof value !== 'object' || value === null) return
  else if (Array.isArray(value)) run.burn(value.length * 8)
  else if (value instanceof ObjectMap) run.burn(value.size * 8)
  else if (value instanceof Tainted) run.burn(value.text.length)
  else run.tick()
}

/** Calls a lambda; missing arguments are `null`, surplus ones vanish. */
export function callLambda(run: Run, lambda: Lambda, args: Value[]): Value {
  if (run.depth >= run.limits.lambdaDepth) {
    throw new Failure('limit', `lambdas call each other more than ${run.limits.lambdaDepth} deep`)
  }
  run.tick()
  const caller = run.frame
  const { source } = run
  args.length = lambda.arity
  if (args.length > 16) run.burn(args.length)
  for (let i = 0; i < args.length; i++) args[i] ??= null
  run.depth++
  run.frame = new Frame(args, lambda.frame)
  run.source = lambda.source
  const result = lambda.body(run)
  run.frame = caller
  run.source = source
  run.depth--
  return result
}
