import { type Level, readLevel } from '../consent/levels.ts'
import type { JsonObject } from '../platform/json.ts'
import { type Act, KEY_KINDS, type KeyKind, type PersonRef } from '../profiles/change.ts'
import { bool01, map, required, text, time } from './coerce.ts'
import type { Context } from './endpoints.ts'
import { ApiError, invalidValue, missingParameter, tooLarge, variableNameTooLong } from './errors.ts'
import type { Params } from './parameters.ts'

/** Readers for what several endpoints take about a person: keys, vars, lists, levels and the proof of a decision. */

/** Characters in a name or a key: what an index of the database can hold with room to spare. */
export const LONGEST_NAME = 255
const LONGEST_VAR_NAME = 32
/** Characters of all vars in one call, written as JSON. */
export const MOST_VARS = 1_000_000

const REF_KINDS: readonly string[] = [...KEY_KINDS, 'sid', 'cookie']
const KEY_ORDER = ['sid', 'email', 'extid', 'sms', 'cookie', 'fb', 'twitter'] as const

/** Text that goes into a key or a name of the database. */
export function nameText(params: Params, name: string, label = name): string | null {
  const value = text(params, name, label)
  if (value !== null && value.length > LONGEST_NAME) throw invalidValue(label, `at most ${LONGEST_NAME} characters`)
  return value
}

/** Text that ends in a header of a message. A line break would begin a header of its own; at the ends it is a slip. */
export function headerText(params: Params, name: string, label = name): string | null {
  return text(params, name, label) === null ? null : oneLine(text(params, name, label) as string, label)
}

/** @throws ApiError for line breaks and other control characters inside */
export function oneLine(value: string, label: string): string {
  const trimmed = value.trim()
  if (/[\u0000-\u001f\u007f\u0085\u2028\u2029]/.test(trimmed)) throw invalidValue(label, 'one line of text')
  return trimmed
}

/** `id` and `key`. Without `key`, text with an at sign is an address and 24 hexadecimal digits are a sid. */
export function readPerson(params: Params): PersonRef | null {
  const id = nameText(params, 'id')?.trim()
  if (!id) return null
  const kind = text(params, 'key') || (/^[0-9a-f]{24}$/.test(id) ? 'sid' : 'email')
  if (!REF_KINDS.includes(kind)) throw invalidValue('key', `one of ${REF_KINDS.join(', ')}`)
  return { kind: kind as KeyKind | 'sid' | 'cookie', value: id }
}

export interface KeysGiven {
  /** Keys to set. The handed-out ones cannot be set: callers send them back after reading them. */
  keys: Partial<Record<KeyKind, string>> | undefined
  /** Whom the keys name, when nothing else does. */
  person: PersonRef | null
}

export function readKeys(params: Params): KeysGiven {
  const given = map(params, 'keys')
  if (given === null) return { keys: undefined, person: null }
  const keys: Partial<Record<KeyKind, string>> = {}
  let person: PersonRef | null = null
  for (const kind of KEY_ORDER) {
    const value = nameText(given, kind, `keys[${kind}]`)?.trim()
    if (!value) continue
    person ??= { kind, value }
    if (kind === 'sid' || kind === 'cookie') continue
    if (kind === 'sms' && !/^\+[1-9]\d{3,14}$/.test(value)) {
      throw invalidValue('keys[sms]', 'a telephone number like +15550100')
    }
    keys[kind] = value
  }
  return { keys, person }
}

/** Vars of a person: null deletes one, and names are short. */
export function readPersonVars(params: Params, name = 'vars'): JsonObject | undefined {
  const vars = readVars(params, name)
  if (vars === undefined) return undefined
  for (const key of Object.keys(vars)) {
    // What is there already, from before the rule, can still be deleted.
    if (vars[key] === null) continue
    if (key.length > LONGEST_VAR_NAME && [...key].length > LONGEST_VAR_NAME) {
      throw variableNameTooLong(key, LONGEST_VAR_NAME)
    }
    if (!/^[\p{L}\p{N}\p{M}_ -]+$/u.test(key)) {
      throw invalidValue(`${name}[${key}]`, 'named with letters, digits, "_", "-" and blanks')
    }
  }
  return vars
}

/** A map of any JSON values, of bounded size. */
export function readVars(params: Params, name = 'vars', label = name): JsonObject | undefined {
  const vars = map(params, name, label)
  if (vars === null) return undefined
  if (JSON.stringify(vars).length > MOST_VARS) throw tooLarge(`Parameter ${label}`, MOST_VARS)
  return vars as JsonObject
}

/** A map of names to 0 or 1. Null, as PHP writes "nothing", leaves a name alone. */
export function readChoices(params: Params, name: string): Map<string, boolean> | null {
  const given = map(params, name)
  if (given === null) return null
  const choices = new Map<string, boolean>()
  for (const key of Object.keys(given)) {
    if (key === '' || key.length > LONGEST_NAME) throw invalidValue(name, `names of 1 to ${LONGEST_NAME} characters`)
    const choice = bool01(given, key, `${name}[${key}]`)
    if (choice !== null) choices.set(key, choice)
  }
  return choices
}

/** An opt-out level; an empty text is not given. */
export function readLevelParam(params: Params, name: string): Level | null {
  const value = text(params, name)
  if (value === null || value === '') return null
  const level = readLevel(value)
  if (level === null) throw invalidValue(name, 'none, basic, blast or all')
  return level
}

/** One of a few words; an empty text is not given. */
export function choice<T extends string>(params: Params, name: string, words: readonly T[], label = name): T | null {
  const value = text(params, name, label)
  if (value === null || value === '') return null
  if (!(words as readonly string[]).includes(value)) throw invalidValue(label, words.join(' or '))
  return value as T
}

/**
 * Who acts, and on what proof. A bare call proves nothing; with `consent` the website attests that the person decided,
 * in front of which words, when and from where.
 *
 * @param zone the account's, for a time without one
 */
export function readAct(context: Context, params: Params, zone: string): Act {
  const act: Act = { via: 'api', evidence: 0, actor: context.apiKey.key, listSource: 'user_api' }
  const consent = map(params, 'consent')
  if (consent === null || Object.keys(consent).length === 0) return act
  const label = (name: string) => `consent[${name}]`
  const told = (name: string) => note(consent, name, label(name))
  const wordingId = required(told('wording_id') ?? null, label('wording_id'))
  const decidedAt = time(consent, 'at', context.now, zone, label('at')) ?? context.now
  if (decidedAt > context.now) throw new ApiError(18, `Invalid time: ${label('at')} lies in the future`)
  return {
    ...act,
    evidence: 3,
    wordingId,
    decidedAt,
    ip: told('ip'),
    userAgent: told('user_agent'),
    url: told('url'),
    reason: told('method'),
  }
}

const LONGEST_NOTE = 2_000

function note(params: Params, name: string, label: string): string | undefined {
  const value = text(params, name, label)
  if (value !== null && value.length > LONGEST_NOTE) throw invalidValue(label, `at most ${LONGEST_NOTE} characters`)
  return value || undefined
}

/** The person that an endpoint cannot do without. */
export function requiredPerson(person: PersonRef | null): PersonRef {
  if (person === null) throw missingParameter('id')
  return person
}
