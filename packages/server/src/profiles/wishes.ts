import { isWeaker } from '../consent/levels.ts'
import type { Refusal, RefusedSubject, Wishes } from './change.ts'

/** Somebody who never refused anything. */
export const NO_WISHES: Wishes = {
  level: 'none',
  levelAt: null,
  levelVia: null,
  refusedAt: null,
  complainedAt: null,
  refusals: {},
  decided: 0,
  listsLeft: new Map(),
  templateOptouts: new Map(),
  sms: {},
  pixelConsent: null,
}

/**
 * The stricter of two in everything: level, complaint, tracking, text messages, lists and templates left, and the
 * higher of all numbers. It decides for people who become one, and for an address that somebody has again. Where neither
 * is stricter the first one's answer stays.
 */
export function strictest(first: Wishes, second: Wishes): Wishes {
  const levelOf = isWeaker(first.level, second.level) ? second : first
  return {
    level: levelOf.level,
    levelAt: levelOf.levelAt,
    levelVia: levelOf.levelVia,
    refusedAt: latest(first.refusedAt, second.refusedAt),
    complainedAt: earliest(first.complainedAt, second.complainedAt),
    refusals: highest(first.refusals, second.refusals),
    decided: Math.max(first.decided, second.decided),
    listsLeft: newestOf(first.listsLeft, second.listsLeft),
    templateOptouts: newestOf(first.templateOptouts, second.templateOptouts),
    sms: strictestSms(first.sms, second.sms),
    pixelConsent: strictestAnswer(first.pixelConsent, second.pixelConsent),
  }
}

/** Whether there is anything that has to be kept. */
export const isStrict = (wishes: Wishes): boolean =>
  wishes.level !== 'none' ||
  wishes.decided > 0 ||
  wishes.complainedAt !== null ||
  wishes.listsLeft.size + wishes.templateOptouts.size > 0 ||
  [wishes.pixelConsent, wishes.sms.marketing, wishes.sms.transactional].includes(REFUSED)

/** The templates left that an id or a public name stands for. */
export function leftAs(
  optouts: Wishes['templateOptouts'],
  template: number,
  name: string,
): Array<[number, Refusal & { name: string }]> {
  return [...optouts].filter(([id, optout]) => id === template || optout.name === name)
}

export const REFUSED = 'opt-out'

function strictestAnswer(first: string | null, second: string | null): string | null {
  return second === REFUSED ? second : (first ?? second)
}

function strictestSms(first: Wishes['sms'], second: Wishes['sms']): Wishes['sms'] {
  const sms: Wishes['sms'] = { ...second, ...first }
  for (const channel of ['marketing', 'transactional'] as const) {
    if (second[channel] === REFUSED) sms[channel] = REFUSED
  }
  return sms
}

function highest(first: Wishes['refusals'], second: Wishes['refusals']): Wishes['refusals'] {
  const numbers: { [subject in RefusedSubject]?: number } = { ...first }
  for (const [subject, number] of Object.entries(second) as Array<[RefusedSubject, number]>) {
    numbers[subject] = Math.max(numbers[subject] ?? 0, number)
  }
  return numbers
}

function newestOf<Key, One extends Refusal>(
  first: ReadonlyMap<Key, One>,
  second: ReadonlyMap<Key, One>,
): ReadonlyMap<Key, One> {
  if (second.size === 0) return first
  const both = new Map(first)
  for (const [key, refusal] of second) {
    const known = both.get(key)
    if (!known || known.number < refusal.number) both.set(key, refusal)
  }
  return both
}

export function earliest(a: Date | null, b: Date | null): Date | null {
  if (!a || !b) return a ?? b
  return a <= b ? a : b
}

export function latest(a: Date | null, b: Date | null): Date | null {
  if (!a || !b) return a ?? b
  return a >= b ? a : b
}
